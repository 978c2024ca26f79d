"""Scores of probabilities against truth beside the AUC: decisions, calibration, groups."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from w2sprobe.errors import InputError
from w2sprobe.labels import THRESHOLD
from w2sprobe.metrics._checks import check_labels, check_probabilities
from w2sprobe.metrics.auc import roc_auc
from w2sprobe.metrics.estimates import mean_of_runs
from w2sprobe.metrics.monitoring import FALSE_POSITIVE_RATES, recalls_at_fpr
from w2sprobe.results import GroupPerformance, Interval, Performance

N_BINS = 10  # of the calibration error; Guo et al. use 15 for samples of 10,000
MIN_GROUP_ROWS = 20  # with 20 rows, the standard error of a group's accuracy may be .11


def accuracy(truth: ArrayLike, p: ArrayLike, threshold: float = THRESHOLD) -> float:
    """Share of rows whose hard decision, 1 where p > threshold, is the true label.

    Parameters
    ----------
    truth : array_like of 0 and 1, shape (n,)
    p : array_like of float, shape (n,)
        P(label = 1), in [0, 1].

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    InputError
        No rows, shapes differ, `truth` is not 0 or 1, or a probability is outside [0, 1].

    Examples
    --------
    >>> accuracy([0, 0, 1, 1], [0.1, 0.6, 0.7, 0.9])
    0.75
    """
    positive, values = check_probabilities(truth, p)
    return float(((values > threshold) == positive).mean())


def best_threshold(labels: ArrayLike, p: ArrayLike) -> float:
    """Threshold on p at which the hard decisions agree best with the given hard labels.

    Parameters
    ----------
    labels : array_like of 0 and 1, shape (n,)
        For example the weak model's hard labels.
    p : array_like of float, shape (n,)
        P(label = 1), in [0, 1].

    Returns
    -------
    float
        Midway between two neighbouring values of p; a row is 1 where p is above it. At least the
        largest p if calling all rows 0 is best; below the smallest p (-1 if that is 0) if calling
        all rows 1 is best.

    Raises
    ------
    InputError
        No rows, shapes differ, `labels` are not 0 or 1, or a probability is outside [0, 1].

    Examples
    --------
    >>> best_threshold([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4])  # all below one half
    0.25
    """
    positive, values = check_probabilities(labels, p, "labels")
    levels, level = np.unique(values, return_inverse=True)
    ones = np.bincount(level[positive], minlength=len(levels))
    zeros = np.bincount(level[~positive], minlength=len(levels))
    # cut c calls the c lowest levels 0 and the others 1: agreements, exact in integers
    agree = np.concatenate([[0], np.cumsum(zeros)]) + np.concatenate(
        [np.cumsum(ones[::-1])[::-1], [0]]
    )
    middles = levels[:-1] + np.diff(levels) / 2
    # between two neighbouring floats there is no middle: it rounds to one of them
    middles = np.where(middles < levels[1:], middles, levels[:-1])
    below = levels[0] / 2 if levels[0] > 0 else -1.0
    cuts = np.concatenate([[below], middles, [(levels[-1] + 1) / 2]])
    # of equally good cuts the nearest to one half; of two equally near, the lower
    best = cuts[agree == agree.max()]
    return float(best[np.argmin(np.abs(best - THRESHOLD))])


def log_loss(truth: ArrayLike, p: ArrayLike) -> float:
    """Mean of -log P(true label), natural logarithm (Good 1952); nothing is clipped.

    Parameters
    ----------
    truth : array_like of 0 and 1, shape (n,)
    p : array_like of float, shape (n,)
        P(label = 1), in [0, 1].

    Returns
    -------
    float
        At least 0, lower is better; log(2) = .693 for p = .5 on every row. Infinite where a row
        with p of exactly 0 or 1 is wrong: kNN votes and rounded scores do that.

    Raises
    ------
    InputError
        No rows, shapes differ, `truth` is not 0 or 1, or a probability is outside [0, 1].

    Examples
    --------
    >>> log_loss([0, 1], [0.0, 0.5]), log_loss([0, 1], [1.0, 0.5])
    (0.34657359027997264, inf)
    """
    positive, values = check_probabilities(truth, p)
    right = np.where(positive, values, 1 - values)
    # scikit-learn clips p to machine precision: one wrong row of certainty then costs 36 in float64
    with np.errstate(divide="ignore"):
        return abs(float(np.log(right).mean()))  # the mean is at most 0; abs makes -0 to 0


def brier(truth: ArrayLike, p: ArrayLike) -> float:
    """Mean squared difference between p and the true label (Brier 1950, halved for two classes).

    Parameters
    ----------
    truth : array_like of 0 and 1, shape (n,)
    p : array_like of float, shape (n,)
        P(label = 1), in [0, 1].

    Returns
    -------
    float
        In [0, 1], lower is better; .25 for p = .5 on every row.

    Raises
    ------
    InputError
        No rows, shapes differ, `truth` is not 0 or 1, or a probability is outside [0, 1].
    """
    positive, values = check_probabilities(truth, p)
    return float(((values - positive) ** 2).mean())


def expected_calibration_error(truth: ArrayLike, p: ArrayLike, n_bins: int = N_BINS) -> float:
    """Mean distance, over bins of p, between the mean p and the share of ones.

    Parameters
    ----------
    truth : array_like of 0 and 1, shape (n,)
    p : array_like of float, shape (n,)
        P(label = 1), in [0, 1].
    n_bins : int, default 10
        Bins of equal width, [0, .1) to [.9, 1]; more bins give a larger error from the same rows.

    Returns
    -------
    float
        In [0, 1], lower is better. Above 0 even for perfect probabilities: where these are spread
        evenly, by about .3 times the root of bins / rows (.05 with 400 rows).

    Raises
    ------
    InputError
        No rows, no bins, shapes differ, `truth` is not 0 or 1, or a probability is outside [0, 1].

    Notes
    -----
    Naeini, Cooper & Hauskrecht 2015, AAAI, equation 3. Guo et al. 2017, ICML, equation 3, bin the
    confidence max(p, 1 - p) instead.

    Examples
    --------
    >>> expected_calibration_error([0, 1, 1, 1], [0.25, 0.25, 1.0, 1.0])
    0.125
    """
    if n_bins < 1:
        raise InputError(f"n_bins is {n_bins!r}", allowed="1 or more")
    positive, values = check_probabilities(truth, p)
    edges = np.arange(1, n_bins) / n_bins
    in_bin = np.searchsorted(edges, values, side="right")
    # (rows of a bin / n) times the difference of its means = difference of its sums / n
    return float(np.abs(np.bincount(in_bin, values - positive)).sum() / len(values))


def performance(
    truth: ArrayLike,
    p: ArrayLike,
    weak_p: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> Performance:
    """Compute all scores of this file for one model on one set of rows; undefined ones are None.

    Parameters
    ----------
    truth : array_like of 0 and 1, shape (n,)
    p : array_like of float, shape (n,)
        P(label = 1), in [0, 1].
    weak_p : array_like of float, shape (n,), optional
        The weak model's on the same rows. `best_threshold` for its hard labels (above .5) gives a
        second accuracy that uses no truth; None where these are of one class.
    groups : array_like of str, shape (n,), optional
        Groups of at least `MIN_GROUP_ROWS` rows are scored, if there are at least two of them.

    Raises
    ------
    InputError
        No rows, shapes differ, `truth` is not 0 or 1, or a probability is outside [0, 1].
    """
    positive, values = check_probabilities(truth, p)
    n_zeros = int((~positive).sum())
    loss = log_loss(positive, values)
    threshold = None
    if weak_p is not None:
        weak = check_labels(weak_p, "weak_p", len(values)) > THRESHOLD
        threshold = best_threshold(weak, values) if weak.any() and not weak.all() else None
    scored, n_groups = _groups(positive, values, groups)
    recalls = _recalls(positive, values, groups if n_groups > 1 else None)
    return Performance(
        n_rows=len(values),
        n_zeros=n_zeros,
        accuracy=accuracy(positive, values),
        weak_threshold=threshold,
        accuracy_at_weak_threshold=None
        if threshold is None
        else accuracy(positive, values, threshold),
        log_loss=loss if np.isfinite(loss) else None,
        certain_and_wrong=float((values == ~positive).mean()),
        brier=brier(positive, values),
        calibration_error=expected_calibration_error(positive, values),
        recall_at_fpr={name: known and known[0] for name, known in recalls.items()},
        recall_at_fpr_interval={name: known and known[1] for name, known in recalls.items()},
        groups=scored,
        n_groups=n_groups,
    )


def mean_performance(runs: Sequence[Performance]) -> Performance:
    """Average the scores of one method over runs, for example seeds.

    Returns
    -------
    Performance
        A score that one run lacks is None. Intervals of recalls add the spread of the runs, as if
        these were independent. Groups are those that all runs score, ordered by their
        mean accuracy: the worst one is above the mean of the runs' worst ones. `n_rows`, `n_zeros`
        and `n_groups` are the smallest of the runs.

    Raises
    ------
    InputError
        No runs.
    """
    if not runs:
        raise InputError("no runs to average", allowed="at least one Performance")
    by_name = [{group.name: group for group in run.groups} for run in runs]
    shared = [name for name in by_name[0] if all(name in groups for groups in by_name)]
    groups = [_mean_group([groups[name] for groups in by_name]) for name in shared]
    means = {name: _mean([getattr(run, name) for run in runs]) for name in _MEANS}
    return Performance.model_validate(
        {
            **means,
            "n_rows": min(run.n_rows for run in runs),
            "n_zeros": min(run.n_zeros for run in runs),
            "recall_at_fpr": {
                name: _mean([run.recall_at_fpr.get(name) for run in runs])
                for name in runs[0].recall_at_fpr
            },
            "recall_at_fpr_interval": {
                name: _mean_interval(runs, name) for name in runs[0].recall_at_fpr_interval
            },
            "groups": _worst_first(groups),
            "n_groups": min(run.n_groups for run in runs),
        }
    )


_MEANS = (
    "accuracy",
    "weak_threshold",
    "accuracy_at_weak_threshold",
    "log_loss",
    "certain_and_wrong",
    "brier",
    "calibration_error",
)


def _mean(values: Sequence[float | None]) -> float | None:
    """Mean; None where one is unknown, as the mean of the others would be of other runs."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _recalls(
    positive: np.ndarray, values: np.ndarray, groups: ArrayLike | None
) -> dict[str, tuple[float, Interval] | None]:
    """Recall and interval by rate, written `.001`; None if undefined."""
    names = [f"{fpr:g}".removeprefix("0") for fpr in FALSE_POSITIVE_RATES]
    if positive.all() or not positive.any():
        return dict.fromkeys(names)
    found = recalls_at_fpr(positive, values, groups=groups)
    return {
        name: None if np.isnan(one.recall) else (one.recall, one.interval)
        for name, one in zip(names, found, strict=True)
    }


def _mean_interval(runs: Sequence[Performance], name: str) -> Interval | None:
    """Interval of a mean recall: of rows, and of the spread of the runs.

    Rows are shared by the runs, so their part does not fall with the number of runs: it is the mean
    reach of the runs' intervals. Both are combined by square-and-add, as in `recalls_at_fpr`.
    """
    recalls = [run.recall_at_fpr[name] for run in runs]
    intervals = [run.recall_at_fpr_interval.get(name) for run in runs]
    if None in recalls or None in intervals:
        return None
    values, ends = np.array(recalls, dtype=np.float64), np.array(intervals, dtype=np.float64)
    below, above = np.abs(ends - values[:, np.newaxis]).mean(axis=0)
    mean = mean_of_runs(values, np.nan)
    spread = mean.interval[1] - mean.value if len(runs) > 1 else 0.0
    return (
        max(0.0, mean.value - float(np.hypot(below, spread))),
        min(1.0, mean.value + float(np.hypot(above, spread))),
    )


def _mean_group(runs: Sequence[GroupPerformance]) -> GroupPerformance:
    return GroupPerformance(
        name=runs[0].name,
        n_rows=min(run.n_rows for run in runs),
        accuracy=float(np.mean([run.accuracy for run in runs])),
        auc=_mean([run.auc for run in runs]),
    )


def _groups(
    positive: np.ndarray, values: np.ndarray, groups: ArrayLike | None
) -> tuple[tuple[GroupPerformance, ...], int]:
    """Scores of the groups that are large enough, worst first, and the number of all groups."""
    if groups is None:
        return (), 0
    names = np.asarray(groups)
    if names.shape != values.shape:
        raise InputError(
            f"groups has shape {names.shape}", allowed=f"({len(values)},), one for each row"
        )
    distinct, group, counts = np.unique(names, return_inverse=True, return_counts=True)
    large = np.flatnonzero(counts >= MIN_GROUP_ROWS)
    if len(large) < 2:
        return (), len(distinct)
    scored = []
    for number in large:
        truth, p = positive[group == number], values[group == number]
        scored.append(
            GroupPerformance(
                name=str(distinct[number]),
                n_rows=len(p),
                accuracy=accuracy(truth, p),
                auc=roc_auc(truth, p) if truth.any() and not truth.all() else None,
            )
        )
    return _worst_first(scored), len(distinct)


def _worst_first(groups: Sequence[GroupPerformance]) -> tuple[GroupPerformance, ...]:
    return tuple(sorted(groups, key=lambda group: (group.accuracy, group.name)))
