"""TopoFilter: keep rows in the largest component of their class whose neighbours agree."""

import warnings

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.base import BaseEstimator

from w2sprobe.errors import InputError, UnknownName
from w2sprobe.labels import THRESHOLD
from w2sprobe.probes._checks import check_activations, check_k, check_labels
from w2sprobe.probes.neighbors import Search, nearest_neighbors

GRAPHS = ("union", "mutual", "strong")
TOO_MANY, TOO_FEW = 0.5, 0.01  # removed by the component step, as shares: worth a warning


class TopoFilter(BaseEstimator):  # type: ignore[misc]
    """Topological label-noise filter.

    Parameters
    ----------
    k_cc : int, default 50
        Neighbours in the graph whose components are taken.
    k_zeta : int, default 50
        Neighbours, within the components, that judge a row.
    contamination : float, default 0.1, in (0, 1)
        Share of all rows to remove, both steps together. Where the component step alone removes
        more, nothing else goes; `keep_mask_` and `removed_by_component_` show it.
    zeta : float, optional, in [0, 1]
        Remove the rows whose label differs from their neighbours' mean by more than this, instead
        of a share.
    graph : {"union", "mutual", "strong"}
        Rows i and j of one class are joined when either lists the other, when both do, or (strong)
        when directed paths lead both ways, as in the source experiments.
    search : callable, default nearest_neighbors
        Finds the neighbours; `w2sprobe.searches.StoredSearch` reads them from a store.

    Attributes
    ----------
    keep_mask_ : ndarray of bool, shape (n,)
    component_mask_ : ndarray of bool, shape (n,)
        Rows in the largest component of their class.
    removed_by_component_, removed_by_zeta_ : int
    zeta_ : float
        Largest difference that was kept; higher means more tolerant.

    Notes
    -----
    Wu, Zheng, Goswami, Metaxas & Chen, "A Topological Filter for Learning with Label Noise",
    NeurIPS 2020 (arXiv 2012.04835). The graph has the k_cc nearest of all rows and is then
    restricted to each class of the hard labels (soft label > 0.5). The zeta step scores a row by
    |label - mean soft label of its k_zeta nearest rows in the components|, itself left out, as the
    source experiments do; the paper asks for a majority of at least zeta k. With k_cc of 50 the
    union graph is usually one component, and the zeta step does all the work.
    """

    def __init__(
        self,
        k_cc: int = 50,
        k_zeta: int = 50,
        contamination: float = 0.1,
        zeta: float | None = None,
        graph: str = "union",
        search: Search = nearest_neighbors,
    ) -> None:
        self.k_cc = k_cc
        self.k_zeta = k_zeta
        self.contamination = contamination
        self.zeta = zeta
        self.graph = graph
        self.search = search

    def fit(self, X: ArrayLike, y: ArrayLike) -> "TopoFilter":
        """Decide which rows to keep.

        Parameters
        ----------
        X : array_like of float, shape (n, d)
        y : array_like of float, shape (n,)
            Hard or soft labels in [0, 1], of both classes.

        Returns
        -------
        TopoFilter

        Raises
        ------
        InputError
            Shape, range or a value that is not finite; one class only; too few rows in the
            components for the zeta step.
        UnknownName
            No such graph.

        Warns
        -----
        UserWarning
            The component step removes more than half of the rows, or less than 1 %.
        """
        points = check_activations(X)
        soft = check_labels(y, len(points))
        n = len(points)
        k_cc = check_k(self.k_cc, "k_cc", n - 1)
        if self.graph not in GRAPHS:
            raise UnknownName("graph", self.graph, GRAPHS)
        if not 0 < self.contamination < 1:
            raise InputError(f"contamination is {self.contamination!r}", allowed="above 0, below 1")
        if self.zeta is not None and not 0 <= self.zeta <= 1:
            raise InputError(f"zeta is {self.zeta!r}", allowed="0 to 1")
        hard = soft > THRESHOLD
        if hard.all() or not hard.any():
            raise InputError("all rows have one hard label", allowed="both classes")

        _, found = self.search(points, k=k_cc, exclude_self=True)
        component = _largest_components(found, hard, self.graph)
        self.component_mask_ = component
        self.removed_by_component_ = int(n - component.sum())
        self._warn(self.removed_by_component_ / n)

        inside = np.flatnonzero(component)
        k_zeta = check_k(self.k_zeta, "k_zeta", len(inside) - 1)
        if self.removed_by_component_ or k_zeta > k_cc:
            _, found = self.search(points[inside], k=k_zeta, exclude_self=True)
        difference = np.abs(soft[inside] - soft[inside][found[:, :k_zeta]].mean(axis=1))
        if self.zeta is not None:
            dropped = np.flatnonzero(difference > self.zeta)
        else:
            n_more = max(0, round(self.contamination * n) - self.removed_by_component_)
            dropped = np.argsort(-difference, kind="stable")[:n_more]
        kept = np.setdiff1d(np.arange(len(inside)), dropped)
        self.removed_by_zeta_ = len(dropped)
        self.zeta_ = float(difference[kept].max()) if len(kept) else 0.0
        self.keep_mask_ = np.zeros(n, dtype=bool)
        self.keep_mask_[inside[kept]] = True
        return self

    def _warn(self, removed: float) -> None:
        if removed > TOO_MANY or removed < TOO_FEW:
            warnings.warn(
                f"TopoFilter's component step removes {removed:.1%} of the rows "
                f"(graph={self.graph!r}, k_cc={self.k_cc}); "
                + ("larger" if removed > TOO_MANY else "smaller")
                + " k_cc makes it remove "
                + ("fewer" if removed > TOO_MANY else "more"),
                UserWarning,
                stacklevel=3,
            )


def _largest_components(found: np.ndarray, hard: np.ndarray, graph: str) -> np.ndarray:
    """Mask of the rows in the largest component of either class; the first of equally large."""
    n, k = found.shape
    starts = np.repeat(np.arange(n), k)
    same = hard[starts] == hard[found.ravel()]
    edges = csr_matrix(
        (np.ones(same.sum(), dtype=np.int8), (starts[same], found.ravel()[same])), shape=(n, n)
    )
    if graph == "mutual":
        edges = edges.multiply(edges.T).tocsr()
    kind = "strong" if graph == "strong" else "weak"
    _, names = connected_components(edges, directed=True, connection=kind)
    mask = np.zeros(n, dtype=bool)
    for label in (False, True):
        mask |= (names == np.bincount(names[hard == label]).argmax()) & (hard == label)
    return mask
