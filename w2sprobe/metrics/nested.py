"""Mean scores over several runs, and the variance that rows, cuts and seeds give them.

Three factors are nested: a cut of the rows (split), in it seeds of the supervisor, and for each of
these seeds of the learner. A run is one of each.
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from w2sprobe.errors import InputError
from w2sprobe.metrics._checks import check_groups, check_scores, check_truth
from w2sprobe.metrics.estimates import Estimate
from w2sprobe.metrics.influence import Metric, auc_influence


@dataclass(frozen=True)
class ScoredRun:
    """Scores that several models give the test rows in one run.

    Parameters
    ----------
    truth : ndarray of 0 and 1, shape (n,)
    scores : mapping of str to ndarray of float, shape (n,)
        By model; every run has the same models.
    groups : ndarray, shape (n,), optional
        Rows that share a value depend on one another.
    rows : ndarray, shape (n,), optional
        Ids by which the rows of several cuts are matched. None: no row is in two cuts.
    cut, supervisor, learner : hashable
        Levels of the three factors. Supervisors of different cuts are different, and so are
        learners of different supervisors.
    """

    truth: np.ndarray
    scores: Mapping[str, np.ndarray]
    groups: np.ndarray | None = None
    rows: np.ndarray | None = None
    cut: Hashable = 0
    supervisor: Hashable = 0
    learner: Hashable = 0


@dataclass(frozen=True)
class Means:
    """Mean scores of models over runs, with the covariances of their noise.

    Parameters
    ----------
    names : tuple of str
        Models.
    values : ndarray of float64, shape (models,)
        Means over cuts of means over supervisors of means over learners.
    rows : ndarray of float64, shape (models, models)
        Covariance of the means due to the test rows that all runs share.
    row_df : float
        Its degrees of freedom.
    factors : tuple of (ndarray of float64, float)
        Covariance of the means due to the levels of a factor, and its degrees of freedom. It
        includes the variance of inner factors, and of rows that levels do not share.
    n_levels : tuple of int
        Cuts; most supervisors of any cut; most learners of any supervisor.
    """

    names: tuple[str, ...]
    values: np.ndarray
    rows: np.ndarray
    row_df: float
    factors: tuple[tuple[np.ndarray, float], ...]
    n_levels: tuple[int, int, int]

    def contrast(self, weights: Mapping[str, float]) -> Estimate:
        """Weighted sum of the means, with its sources of noise.

        Parameters
        ----------
        weights : mapping of str to float
            By model; 0 for those left out.
        """
        models = [self.names.index(name) for name in weights]
        w = np.array(list(weights.values()))

        def variance(covariance: np.ndarray) -> float:
            # a difference of estimates, as `rows` is, may come out below 0
            return max(float(w @ covariance[np.ix_(models, models)] @ w), 0.0)

        parts = [(variance(self.rows), self.row_df)]
        parts += [(variance(covariance), df) for covariance, df in self.factors]
        return Estimate(float(w @ self.values[models]), tuple(parts))


def mean_scores(runs: Sequence[ScoredRun], metric: Metric = auc_influence) -> Means:
    """Score every model in every run and average over learners, supervisors and cuts.

    Parameters
    ----------
    runs : sequence of ScoredRun
        At least one; no two of the same cut, supervisor and learner.

    Raises
    ------
    InputError
        As `roc_auc`, for each model of each run; all rows of a class in one group; a run twice.

    Notes
    -----
    Variance of a mean: s^2 / levels + c, with s^2 the variance between the levels of the outermost
    factor that has several, and c the mean covariance of two levels due to the rows they share. s^2
    includes the variance of inner factors. c comes from the influence of each row; influences of a
    group are summed first (Obuchowski 1997, Biometrics 53), and rows of several cuts are matched by
    name. Without a factor of several levels, the variance is that of the rows.
    """
    tree, smallest = _score_all(runs, metric)
    supervisors = [[_mean(list(of.values())) for of in cut.values()] for cut in tree.values()]
    cuts = [_mean(of_cut) for of_cut in supervisors]
    spreads = []
    if len(cuts) > 1:
        spreads = [_spread(cuts)]
    elif len(supervisors[0]) > 1:
        (cut,) = tree.values()
        of_learners = _learners_alone(list(cut.values()))
        spreads = [_spread(supervisors[0]), *([_spread(of_learners)] if of_learners else [])]
    elif len(runs) > 1:
        ((learners,),) = (cut.values() for cut in tree.values())
        spreads = [_spread(list(learners.values()))]
    whole = _mean(cuts)
    # row variance of the mean, less the part that is already in the spreads between levels
    rows = whole.influence @ whole.influence.T
    for _, of_rows, _ in spreads:
        rows = rows - of_rows
    return Means(
        names=tuple(runs[0].scores),
        values=whole.values,
        rows=rows,
        row_df=smallest - 1.0,
        factors=tuple((between, df) for between, _, df in spreads),
        n_levels=(
            len(tree),
            max(map(len, tree.values())),
            max(len(of) for cut in tree.values() for of in cut.values()),
        ),
    )


@dataclass(frozen=True)
class _Node:
    """Mean scores of some runs: values (models,) and influences of row units (models, units).

    A unit is a row, or a group of rows.
    """

    values: np.ndarray
    influence: np.ndarray


_Tree = dict[Hashable, dict[Hashable, dict[Hashable, _Node]]]


def _score_all(runs: Sequence[ScoredRun], metric: Metric) -> tuple[_Tree, float]:
    """Scores by cut, supervisor and learner; smallest number of units of a class in any run."""
    tree: _Tree = {}
    smallest = math.inf
    for run, (unit, n_units) in zip(runs, _units(runs), strict=True):
        learners = tree.setdefault(run.cut, {}).setdefault(run.supervisor, {})
        if run.learner in learners:
            raise InputError(
                f"two runs of cut {run.cut!r}, supervisor {run.supervisor!r}, learner "
                f"{run.learner!r}",
                allowed="one run each",
            )
        learners[run.learner], n_of_class = _score(run, metric, unit, n_units)
        smallest = min(smallest, n_of_class)
    return tree, smallest


def _units(runs: Sequence[ScoredRun]) -> Iterable[tuple[np.ndarray, int]]:
    """Unit number of each row of each run, and how many units there are."""
    ends = np.cumsum([len(run.truth) for run in runs])
    names = [
        check_groups(run.groups, len(run.truth)) if run.groups is not None else run.rows
        for run in runs
    ]
    if all(of_run is None for of_run in names):
        # the runs of a cut have the same rows
        cuts = {run.cut: number for number, run in enumerate(runs)}
        firsts = [ends[cuts[run.cut]] - len(run.truth) for run in runs]
        numbers = [
            first + np.arange(len(run.truth)) for run, first in zip(runs, firsts, strict=True)
        ]
        return [(unit, int(ends[-1])) for unit in numbers]
    given = [of_run for of_run in names if of_run is not None]
    if len(given) < len(runs):
        raise InputError("some runs name their rows or groups", allowed="all of them, or none")
    units, numbers_of_all = np.unique(np.concatenate(given), return_inverse=True)
    return [(unit, len(units)) for unit in np.split(numbers_of_all, ends[:-1])]


def _score(run: ScoredRun, metric: Metric, unit: np.ndarray, n_units: int) -> tuple[_Node, int]:
    """Scores and influences of one run, and how many units its rarer class has."""
    positive = check_truth(run.truth)
    scale = np.empty(len(positive))
    sizes = []
    for of_class in (positive, ~positive):
        size = len(np.unique(unit[of_class]))
        if size < 2:
            raise InputError(
                f"class {int(positive[of_class][0])} is in one "
                f"{'row' if run.groups is None else 'group'} alone",
                allowed="at least 2 of each class",
                advice="The variance between rows needs two; score more rows.",
            )
        scale[of_class] = math.sqrt(size / (size - 1))  # unbiased, as DeLong et al., eq. 5 and 6
        sizes.append(size)
    scored = [
        metric(positive, check_scores(scores, name, len(positive)))
        for name, scores in run.scores.items()
    ]
    influence = np.stack([np.bincount(unit, scale * of_row, n_units) for _, of_row in scored])
    return _Node(np.array([value for value, _ in scored]), influence), min(sizes)


def _mean(nodes: Sequence[_Node]) -> _Node:
    if len(nodes) == 1:
        return nodes[0]
    return _Node(
        np.mean([node.values for node in nodes], axis=0),
        np.mean([node.influence for node in nodes], axis=0),
    )


def _spread(nodes: Sequence[_Node]) -> tuple[np.ndarray, np.ndarray, float]:
    """Covariance of the mean between levels, the part of it due to rows, degrees of freedom."""
    n = len(nodes)
    values = np.stack([node.values for node in nodes])
    values = values - values.mean(axis=0)
    influence = np.stack([node.influence for node in nodes])
    influence -= influence.mean(axis=0)
    scale = 1 / (n * (n - 1))
    return (
        scale * values.T @ values,
        scale * np.einsum("lmu,lku->mk", influence, influence, optimize=True),
        n - 1.0,
    )


def _learners_alone(supervisors: Sequence[Mapping[Hashable, _Node]]) -> list[_Node]:
    """Levels of the learner for the models that do not depend on the supervisor; else none.

    One example is a ceiling: the spread between supervisors does not include its noise.
    """
    first = supervisors[0]
    if len(first) < 2 or any(other.keys() != first.keys() for other in supervisors):
        return []
    same = np.all(
        [
            other[learner].values == node.values
            for other in supervisors
            for learner, node in first.items()
        ],
        axis=0,
    )
    return [
        _Node(node.values * same, node.influence * same[:, np.newaxis]) for node in first.values()
    ]
