"""Performance gap recovered on one task, and how sure we are of it.

"Weak", "student" and "ceiling" are the weak supervisor, the strong model trained on its labels and
the strong model trained on the truth; all three are scored on the same test rows.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from w2sprobe.errors import InputError
from w2sprobe.metrics._checks import check_truth
from w2sprobe.metrics.estimates import Estimate, Interval
from w2sprobe.metrics.gaps import MIN_GAP, MIN_GAP_SE, gap_objection
from w2sprobe.metrics.influence import Metric, auc_influence
from w2sprobe.metrics.nested import Means, ScoredRun, mean_scores

UNBOUNDED = (-math.inf, math.inf)
WEAK, CEILING = "weak", "ceiling"


@dataclass(frozen=True)
class BootstrapPGR:
    """PGR and its parts, with 95 % intervals over test rows, cuts of the rows and seeds.

    Parameters
    ----------
    weak, student, ceiling : Estimate
        AUCs, means over the runs.
    gap_estimate : Estimate
        ceiling - weak; positive where the strong model on truth is better.
    delta_estimate : Estimate
        student - weak; positive where the student beats its supervisor.
    pgr : float
        delta / gap; nan where the gap is 0.
    pgr_interval : tuple of float
        Fieller's interval; (-inf, inf) where that of the gap includes 0 or lies below; nan where
        `pgr` is.
    resolved : bool
        False where `gap_objection` finds the gap too small or too uncertain to divide by.
    n_cuts, n_supervisors, n_learners : int
        Cuts of the rows, supervisors per cut, learners per supervisor. A factor with one level adds
        nothing to the intervals: its noise is not known.
    """

    weak: Estimate
    student: Estimate
    ceiling: Estimate
    gap_estimate: Estimate
    delta_estimate: Estimate
    pgr: float
    pgr_interval: Interval
    resolved: bool
    n_cuts: int
    n_supervisors: int
    n_learners: int

    @property
    def weak_auc(self) -> float:
        """Mean AUC of the weak model."""
        return self.weak.value

    @property
    def weak_auc_interval(self) -> Interval:
        """Its interval, within [0, 1]."""
        return share_interval(self.weak)

    @property
    def student_auc(self) -> float:
        """Mean AUC of the student."""
        return self.student.value

    @property
    def student_auc_interval(self) -> Interval:
        """Its interval, within [0, 1]."""
        return share_interval(self.student)

    @property
    def ceiling_auc(self) -> float:
        """Mean AUC of the ceiling."""
        return self.ceiling.value

    @property
    def ceiling_auc_interval(self) -> Interval:
        """Its interval, within [0, 1]."""
        return share_interval(self.ceiling)

    @property
    def gap(self) -> float:
        """Ceiling less weak model."""
        return self.gap_estimate.value

    @property
    def gap_interval(self) -> Interval:
        """Interval of the gap."""
        return self.gap_estimate.interval

    @property
    def gap_se(self) -> float:
        """Standard error of the gap, of rows and seeds together."""
        return self.gap_estimate.se

    @property
    def delta_auc(self) -> float:
        """Student less weak model."""
        return self.delta_estimate.value

    @property
    def delta_auc_interval(self) -> Interval:
        """Interval of the difference."""
        return self.delta_estimate.interval


def pgr(weak: float, student: float, ceiling: float) -> float:
    """Compute the performance gap recovered: (student - weak) / (ceiling - weak).

    Parameters
    ----------
    weak, student, ceiling : float
        One metric, usually AUC, of the three models on the same rows.

    Returns
    -------
    float
        0: as good as the weak model; 1: as good as the ceiling; below 0 and above 1 occur.
        nan where ceiling equals weak.

    Notes
    -----
    Source: Burns et al., arXiv 2312.09390.

    Examples
    --------
    >>> pgr(0.5, 0.75, 1.0)
    0.5
    """
    return (student - weak) / (ceiling - weak) if ceiling != weak else float("nan")


def bootstrap_pgr(
    truth: npt.ArrayLike,
    weak: npt.ArrayLike,
    student: npt.ArrayLike,
    ceiling: npt.ArrayLike,
    *,
    n_resamples: int | None = None,  # noqa: ARG001
    groups: npt.ArrayLike | None = None,
    rows: npt.ArrayLike | None = None,
    seed: int | None = None,  # noqa: ARG001
    min_gap: float = MIN_GAP,
    min_gap_se: float = MIN_GAP_SE,
) -> BootstrapPGR:
    """AUC, gap and PGR of three models, with intervals over test rows, cuts and seeds.

    Parameters
    ----------
    truth : array_like of 0 and 1, shape (n,) or (cuts, n)
        Both classes present. A second axis: each cut of the rows has test rows of its own.
    weak, student, ceiling : array_like of float
        Finite scores of the same rows; higher means more like class 1. Shape (n,), (seeds, n) or
        (supervisors, learners, n), after an axis of cuts where `truth` has one. Run i of each model
        belongs to seed i; a model with one run, or an axis of size 1, serves all. With (seeds, n)
        each supervisor has one learner.
    n_resamples, seed : int, optional
        Change nothing: the variance of the bootstrap over rows is computed without resampling.
        Accepted so that calls written for earlier versions work.
    groups : array_like, shape of truth, optional
        Rows that share a value (a passage, a scenario) are one unit, as in a cluster bootstrap.
        None: rows are independent; if they are not, the intervals are too narrow.
    rows : array_like, shape of truth, optional
        Ids by which the rows of several cuts are matched. None: no row is in two cuts.
    min_gap, min_gap_se : float
        Thresholds of `resolved`, as in `gap_objection`.

    Returns
    -------
    BootstrapPGR
        With several runs: mean AUCs, and the PGR of these means.

    Raises
    ------
    InputError
        As `roc_auc`, for each model; a class in one row or group alone; models that differ in the
        number of their runs.

    Notes
    -----
    The variance is that of `mean_scores`; `benchmarks/coverage.py` measures how often the intervals
    hold the truth.
    """
    runs = _runs(truth, {WEAK: weak, "student": student, CEILING: ceiling}, groups, rows)
    return recover(runs, min_gap=min_gap, min_gap_se=min_gap_se)["student"]


def recover(
    runs: Sequence[ScoredRun],
    *,
    metric: Metric = auc_influence,
    min_gap: float = MIN_GAP,
    min_gap_se: float = MIN_GAP_SE,
) -> dict[str, BootstrapPGR]:
    """Gap recovered by every model of some runs, in any metric that is a mean over rows or pairs.

    Parameters
    ----------
    runs : sequence of ScoredRun
        With the models "weak" and "ceiling", and any others.
    min_gap, min_gap_se : float
        Thresholds of `resolved`.

    Returns
    -------
    dict of str to BootstrapPGR
        By model, weak model and ceiling included. With another metric, the fields named auc hold
        its values.

    Raises
    ------
    InputError
        As `mean_scores`.
    """
    means = mean_scores(runs, metric)
    return {
        name: gap_recovered(means, name, min_gap=min_gap, min_gap_se=min_gap_se)
        for name in means.names
    }


def gap_recovered(
    means: Means,
    model: str,
    ceiling: str = CEILING,
    *,
    min_gap: float = MIN_GAP,
    min_gap_se: float = MIN_GAP_SE,
) -> BootstrapPGR:
    """Share of the gap between "weak" and a ceiling that one model recovers.

    Parameters
    ----------
    means : Means
        Of "weak", the model and the ceiling, from `mean_scores`.
    model, ceiling : str
        Names in `means`. The ceiling of a probe may be the same probe fitted on the truth.
    min_gap, min_gap_se : float
        Thresholds of `resolved`.
    """
    gap, delta = (means.contrast(_gain(name, ceiling)) for name in (ceiling, model))
    n_cuts, n_supervisors, n_learners = means.n_levels
    return BootstrapPGR(
        weak=means.contrast({WEAK: 1}),
        student=means.contrast({model: 1}),
        ceiling=means.contrast({ceiling: 1}),
        gap_estimate=gap,
        delta_estimate=delta,
        pgr=delta.value / gap.value if gap.value else math.nan,
        pgr_interval=_fieller(means, model, ceiling, delta, gap),
        resolved=not gap_objection(gap, min_gap=min_gap, min_gap_se=min_gap_se),
        n_cuts=n_cuts,
        n_supervisors=n_supervisors,
        n_learners=n_learners,
    )


def share_interval(estimate: Estimate) -> Interval:
    """95 % interval of an AUC or another share, within [0, 1].

    Returns
    -------
    tuple of float
        The value itself where it is 0 or 1.
    """
    value = estimate.value
    if not 0 < value < 1:
        return value, value
    # on the scale of log odds, where the noise of shares near 0 and 1 is more nearly symmetric
    log_odds = math.log(value / (1 - value))
    reach = estimate.critical() * estimate.se / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-(log_odds + side * reach))) for side in (-1, 1))
    return low, high


def auc_intervals(
    truth: npt.ArrayLike,
    scores: Sequence[npt.ArrayLike],
    *,
    groups: npt.ArrayLike | None = None,
) -> list[Interval] | None:
    """95 % intervals of the AUCs of several scores of the same rows.

    Parameters
    ----------
    truth : array_like of 0 and 1, shape (n,)
        Both classes present.
    scores : sequence of array_like of float, shape (n,)
        Finite; higher means more like class 1.
    groups : array_like, shape (n,), optional
        As in `bootstrap_pgr`.

    Returns
    -------
    list of tuple of float, or None
        None: a class has only one row or group, so there is no variance to estimate.

    Raises
    ------
    InputError
        As `roc_auc`.
    """
    positive = check_truth(truth)
    unit = np.arange(len(positive)) if groups is None else np.asarray(groups)
    if any(len(np.unique(unit[of_class])) < 2 for of_class in (positive, ~positive)):
        return None
    named = {str(number): np.asarray(of_model) for number, of_model in enumerate(scores)}
    means = mean_scores([ScoredRun(positive, named, groups=None if groups is None else unit)])
    return [share_interval(means.contrast({name: 1})) for name in named]


def _runs(
    truth: npt.ArrayLike,
    models: Mapping[str, npt.ArrayLike],
    groups: npt.ArrayLike | None,
    rows: npt.ArrayLike | None,
) -> list[ScoredRun]:
    """Runs from arrays with axes of cuts, supervisors, learners and rows."""
    truths = np.asarray(truth)
    has_cuts = truths.ndim == 2
    truths = np.atleast_2d(truths)
    n_cuts, n = truths.shape
    arrays = {
        name: _four_axes(scores, name, n_cuts if has_cuts else 0, n)
        for name, scores in models.items()
    }
    n_supervisors, n_learners = _n_levels(arrays)
    by_cut = {
        name: _like_truth(values, name, np.shape(truth)).reshape(truths.shape)
        for name, values in (("groups", groups), ("rows", rows))
        if values is not None
    }
    runs = []
    for cut, supervisor, learner in product(range(n_cuts), range(n_supervisors), range(n_learners)):
        scores = {
            # an axis of size 1 serves all supervisors or learners
            name: array[cut, supervisor % array.shape[1], learner % array.shape[2]]
            for name, array in arrays.items()
        }
        of_cut = {name: values[cut] for name, values in by_cut.items()}
        runs.append(
            ScoredRun(
                truths[cut], scores, cut=cut, supervisor=supervisor, learner=learner, **of_cut
            )
        )
    return runs


def _n_levels(arrays: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """Supervisors per cut and learners per supervisor, which models with several must share."""
    sizes = [{array.shape[axis] for array in arrays.values()} - {1} for axis in (1, 2)]
    if any(len(of_axis) > 1 for of_axis in sizes):
        *first, last = arrays
        raise InputError(
            f"{', '.join(first)} and {last} have "
            f"{', '.join(_seeds_text(array) for array in arrays.values())} seeds",
            allowed="the same number, or one",
        )
    n_supervisors, n_learners = (of_axis.pop() if of_axis else 1 for of_axis in sizes)
    return n_supervisors, n_learners


def _like_truth(values: npt.ArrayLike, name: str, shape: tuple[int, ...]) -> np.ndarray:
    given = np.asarray(values)
    if given.shape != shape:
        raise InputError(f"{name} has shape {given.shape}", allowed=f"{shape}, that of truth")
    return given


def _four_axes(scores: npt.ArrayLike, name: str, n_cuts: int, n: int) -> np.ndarray:
    """Scores as (cuts, supervisors, learners, n); `n_cuts` 0: without an axis of cuts."""
    values = np.asarray(scores)
    expected = "(supervisors, learners, n), (seeds, n) or (n,)"
    if n_cuts == 0:
        values = values[np.newaxis] if values.ndim else values
    fits = values.ndim in (2, 3, 4) and values.shape[-1] == n and 0 not in values.shape
    if not fits or values.shape[0] != max(n_cuts, 1):
        raise InputError(
            f"{name} has shape {np.shape(scores)}",
            allowed=f"{expected}, n = {n}" + (f", after {n_cuts} cuts" if n_cuts else ""),
        )
    missing = (1,) * (4 - values.ndim)
    return values.reshape(*values.shape[:-1], *missing, n)


def _seeds_text(array: np.ndarray) -> str:
    return " x ".join(str(size) for size in array.shape[1:3] if size > 1) or "1"


def _gain(name: str, ceiling: str, ratio: float = 0.0) -> dict[str, float]:
    """Weights of a model's gain over the weak model, less this ratio of the gap."""
    weights = dict.fromkeys((name, WEAK, ceiling), 0.0)  # the model may be one of the ends
    weights[name] += 1
    weights[WEAK] += ratio - 1
    weights[ceiling] -= ratio
    return weights


def _fieller(means: Means, name: str, ceiling: str, delta: Estimate, gap: Estimate) -> Interval:
    """Ratios that are not rejected: student - weak - ratio (ceiling - weak) may be 0.

    Fieller 1954, Journal of the Royal Statistical Society B 16.
    """
    if not gap.value:
        return math.nan, math.nan
    if gap.interval[0] <= 0:
        return UNBOUNDED
    point = delta.value / gap.value

    def excess(ratio: float) -> float:
        contrast = means.contrast(_gain(name, ceiling, ratio))
        return abs(contrast.value) - contrast.critical() * contrast.se

    return _end(excess, point, -1), _end(excess, point, 1)


def _end(excess: Callable[[float], float], point: float, side: int) -> float:
    """First ratio beyond the point on one side that is rejected."""
    if excess(point) >= 0:  # nothing varies
        return point
    from scipy.optimize import brentq

    step = 1e-3
    # this ends: as the gap's interval is above 0, distant ratios are rejected
    while excess(point + side * step) < 0:
        step *= 2
    return float(brentq(excess, point, point + side * step))
