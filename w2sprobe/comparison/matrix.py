"""One method over all pairs of models: weak models against strong ones."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from w2sprobe.comparison._base import UNKNOWN, FrozenModel
from w2sprobe.comparison.scores import Pair
from w2sprobe.comparison.tasks import TaskRow


class MatrixCell(FrozenModel):
    """A method on one pair of models: means over the tasks that count, and their numbers.

    For PGR only tasks with a resolved gap count, for AUC gain (`delta_auc`) all. nan without tasks.
    """

    weak_model: str
    strong_model: str
    n_pgr: int
    pgr: float
    n_delta_auc: int
    delta_auc: float


class Matrix(FrozenModel):
    """A method on every pair of models."""

    method: str
    cells: tuple[MatrixCell, ...]


def matrix(tasks: Mapping[Pair, Sequence[TaskRow]], method: str) -> Matrix:
    """Average a method's PGR and AUC gain over tasks, pair by pair.

    Parameters
    ----------
    method : str
        Pairs without it have nan and 0 tasks.
    """
    cells = []
    for (weak_model, strong_model), rows in tasks.items():
        n_pgr, pgr = _mean(row.pgr.get(method, UNKNOWN) for row in rows if not row.excluded)
        n_auc, gain = _mean(row.delta_auc.get(method, UNKNOWN) for row in rows if not row.saturated)
        cells.append(
            MatrixCell(
                weak_model=weak_model,
                strong_model=strong_model,
                n_pgr=n_pgr,
                pgr=pgr,
                n_delta_auc=n_auc,
                delta_auc=gain,
            )
        )
    return Matrix(method=method, cells=tuple(cells))


def _mean(values: Iterable[float]) -> tuple[int, float]:
    """Number and mean of the values that are known."""
    array = np.array(list(values))
    known = array[~np.isnan(array)]
    return len(known), float(known.mean()) if len(known) else UNKNOWN
