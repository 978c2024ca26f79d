"""TopoFilter: keep rows in the largest component of their class whose neighbours agree."""

import warnings

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.base import BaseEstimator
from sklearn.utils import ClassifierTags, Tags

from w2sprobe.checks import (
    Preprocess,
    check_features,
    check_k,
    check_target,
    n_left_out,
    optional_groups,
)
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.labels import THRESHOLD
from w2sprobe.probes.estimator import forget
from w2sprobe.probes.neighbors import Search, nearest_neighbors
from w2sprobe.probes.preprocess import Preprocessing

GRAPHS = ("union", "mutual", "strong")
DECIMALS = 12  # differences that agree so far are equal
SHARED = 1.1  # neighbours of the one search, for each of the zeta step
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
    per_class : bool, default False
        Remove the share of each class of the hard labels, instead of all rows ranked together.
    preprocess : {"none", "center", "standardize"}, default "none"
        Of the activations; "center" moves no neighbour.
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
    union graph is usually one component, and the zeta step does all the work. One search serves
    both steps: a row whose k_zeta nearest within the components are among the neighbours found for
    it needs no other; where a row's are not, the components are searched in themselves.
    """

    def __init__(
        self,
        k_cc: int = 50,
        k_zeta: int = 50,
        contamination: float = 0.1,
        zeta: float | None = None,
        graph: str = "union",
        search: Search = nearest_neighbors,
        per_class: bool = False,  # noqa: FBT001, FBT002 - a scikit-learn parameter
        preprocess: Preprocess = "none",
    ) -> None:
        self.k_cc = k_cc
        self.k_zeta = k_zeta
        self.contamination = contamination
        self.zeta = zeta
        self.graph = graph
        self.search = search
        self.per_class = per_class
        self.preprocess = preprocess

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.classifier_tags = ClassifierTags(multi_class=False)
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "keep_mask_")

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> "TopoFilter":
        """Decide which rows to keep.

        Parameters
        ----------
        X : array_like of float, shape (n, d)
        y : array_like of float, shape (n,)
            Hard or soft labels in [0, 1], of both classes.
        groups : array_like, shape (n,), optional
            Rows of one value are not one another's neighbours in either step.

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
        forget(self)
        points = check_features(self, X, fitting=True, least=2)
        soft = check_target(y, len(points))
        self._check_settings()
        together = optional_groups(groups, len(points))
        most = len(points) - n_left_out(together, itself=True)
        k_cc = check_k(self.k_cc, "k_cc", most)
        hard = soft > THRESHOLD
        if hard.all() or not hard.any():
            raise InputError("all rows have one hard label", allowed="both classes")
        points = Preprocessing.fit(points, self.preprocess).apply(points)

        # some more than the zeta step needs: enough where the component step takes few
        k = min(max(k_cc, round(SHARED * check_k(self.k_zeta, "k_zeta", most))), most)
        found = self.search(points, k=k, exclude_self=True, groups=together).indices
        component = _largest_components(found[:, :k_cc], hard, self.graph)
        self.component_mask_ = component
        self.removed_by_component_ = int((~component).sum())
        self._warn(self.removed_by_component_ / len(points))

        difference = self._difference(points, soft, found, together)
        dropped = np.zeros(len(points), dtype=bool)
        if self.zeta is not None:
            dropped = component & (difference > self.zeta)
        else:
            for rows in (~hard, hard) if self.per_class else (np.ones_like(hard),):
                n_more = round(self.contamination * rows.sum()) - (rows & ~component).sum()
                ranked = np.flatnonzero(rows & component)
                ranked = ranked[np.argsort(-difference[ranked], kind="stable")]
                dropped[ranked[: max(0, n_more)]] = True
        self.removed_by_zeta_ = int(dropped.sum())
        self.keep_mask_ = component & ~dropped
        self.zeta_ = float(difference[self.keep_mask_].max(initial=0.0))
        return self

    def _check_settings(self) -> None:
        if self.graph not in GRAPHS:
            raise UnknownName("graph", self.graph, GRAPHS)
        if not 0 < self.contamination < 1:
            raise InputError(f"contamination is {self.contamination!r}", allowed="above 0, below 1")
        if self.zeta is not None and not 0 <= self.zeta <= 1:
            raise InputError(f"zeta is {self.zeta!r}", allowed="0 to 1")

    def _difference(
        self, points: np.ndarray, soft: np.ndarray, found: np.ndarray, groups: np.ndarray | None
    ) -> np.ndarray:
        """|label - mean label of the k_zeta nearest in the components|, (n,); 0 outside of them."""
        component, difference = self.component_mask_, np.zeros(len(soft))
        inside = np.flatnonzero(component)
        k_zeta = check_k(self.k_zeta, "k_zeta", len(inside) - 1)
        counted = component[found]
        rank = np.cumsum(counted, axis=1, dtype=np.int32)
        if (rank[inside, -1] >= k_zeta).all():
            counted &= rank <= k_zeta
            votes = np.where(counted, soft[found], 0.0).sum(axis=1)[inside]
        else:
            some = None if groups is None else groups[inside]
            again = self.search(points[inside], k=k_zeta, exclude_self=True, groups=some).indices
            votes = soft[inside][again].sum(axis=1)
        # rounding noise must not tell |1 - 0.7| from |0 - 0.3|
        difference[inside] = np.abs(soft[inside] - votes / k_zeta).round(DECIMALS)
        return difference

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
