"""The indicators of a store, or of a strong and a weak one, joined by row id."""

import numpy as np

from w2sprobe.cache import ActivationStore
from w2sprobe.errors import InputError
from w2sprobe.indicators import indicators
from w2sprobe.labels import LabelTable
from w2sprobe.probing.grid import Grid, choose_l2, held_out


def store_indicators(
    store: ActivationStore,
    layer: int,
    labels: LabelTable,
    *,
    weak_store: ActivationStore | None = None,
    weak_layer: int | None = None,
    grid: Grid | None = None,
    groups: np.ndarray | None = None,
    n_components: float = 0.9,
    beta: float = 0.01,
    clip: float | None = None,
) -> dict[str, float]:
    """`w2sprobe.indicators.indicators` from the cache.

    Parameters
    ----------
    store : ActivationStore
        Of the strong model.
    layer : int
    labels : LabelTable
        Weak labels; its rows are the rows.
    weak_store : ActivationStore, optional
        Of the weak model, with the same rows. None leaves out what compares the two models.
    weak_layer : int, optional
        Its layer; by default its highest.
    grid : Grid, optional
        The probe whose held-out predictions are compared with the labels, one setting; by default
        logistic at l2=1e-2 over 5 folds.
    groups : ndarray, shape (n,), optional
        Rows of one value are left out together.
    n_components, beta, clip
        As in `indicators`.

    Returns
    -------
    dict of str to float

    Raises
    ------
    InputError
        Several settings; whatever the probe or the indicators refuse.
    IdMismatch
        A row that a store lacks.
    """
    chosen = grid or Grid("logistic")
    X = store.read(layer, store.rows_of(labels.ids))
    chosen = choose_l2(chosen, X, labels.soft_label, groups)
    if len(chosen.settings) > 1:
        raise InputError(f"grid of {len(chosen.settings)} settings", allowed="one")
    (p,), _ = held_out(chosen, X, labels.soft_label, groups)
    Z: np.ndarray | None = None
    if weak_store is not None:
        below = weak_store.layers[-1] if weak_layer is None else weak_layer
        Z = weak_store.read(below, weak_store.rows_of(labels.ids))
    return indicators(X, labels.soft_label, p, Z, n_components=n_components, beta=beta, clip=clip)
