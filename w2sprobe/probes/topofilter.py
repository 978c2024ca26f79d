"""TopoFilter: keep rows of the largest component of their class whose neighbours agree."""

import warnings
from dataclasses import dataclass

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
DECIMALS = 12  # differences are rounded to these before they are ranked
SHARED = 1.1  # neighbours searched once for both steps, in multiples of k_zeta
TOO_MANY, TOO_FEW = 0.5, 0.01  # shares removed by the component step that cause a warning


@dataclass(frozen=True)
class SearchedRows:
    """Preprocessed rows with their nearest neighbours, which several filters share.

    Parameters
    ----------
    points : ndarray of float32, shape (n, d)
    groups : ndarray of int, shape (n,), optional
        Rows of one group are not one another's neighbours.
    neighbors : ndarray of int64, shape (n, k)
        Nearest rows of each row, itself left out.
    """

    points: np.ndarray
    groups: np.ndarray | None
    neighbors: np.ndarray

    @classmethod
    def of(
        cls,
        points: np.ndarray,
        groups: np.ndarray | None,
        *,
        k_cc: int,
        k_zeta: int,
        preprocess: Preprocess,
        search: Search,
    ) -> "SearchedRows":
        """Search enough neighbours for filters with these values of `k_cc` and `k_zeta`, or less.

        Raises
        ------
        UnknownName
            No such preprocessing.
        """
        points = Preprocessing.fit(points, preprocess).apply(points)
        k = _k_searched(k_cc, k_zeta, _max_k(len(points), groups))
        neighbors = search(points, k=k, exclude_self=True, groups=groups).indices
        return cls(points, groups, neighbors)


class TopoFilter(BaseEstimator):  # type: ignore[misc]
    """Topological label-noise filter.

    Parameters
    ----------
    k_cc : int, default 50
        Neighbours in the graph whose components are taken.
    k_zeta : int, default 50
        Neighbours within the components whose mean label is compared with a row's.
    contamination : float, default 0.1, in (0, 1)
        Share of all rows to remove, both steps together. If the component step alone removes more,
        the zeta step removes nothing.
    zeta : float, optional, in [0, 1]
        Instead of a share: remove rows whose label differs from their neighbours' mean by more
        than this.
    graph : {"union", "mutual", "strong"}, default "union"
        Rows i and j of one class are joined if either is a neighbour of the other (union), if both
        are (mutual), or if directed paths lead both ways (strong, as in the source experiments).
    per_class : bool, default False
        Remove the share of each class of the hard labels instead of ranking all rows together.
    preprocess : {"none", "center", "standardize"}, default "none"
        Centring and scaling; "center" changes no neighbour.
    search : callable, default nearest_neighbors
        Finds the neighbours; `w2sprobe.searches.StoredSearch` keeps them in a store.

    Attributes
    ----------
    keep_mask_ : ndarray of bool, shape (n,)
    component_mask_ : ndarray of bool, shape (n,)
        Rows in the largest component of their class.
    zeta_ : float
        Largest difference of a kept row from its neighbours' mean.

    Notes
    -----
    Wu, Zheng, Goswami, Metaxas & Chen, "A Topological Filter for Learning with Label Noise",
    NeurIPS 2020 (arXiv 2012.04835). The graph has the k_cc nearest of all rows and is then
    restricted to each class of the hard labels (soft label > 0.5). The zeta step scores a row by
    |label - mean soft label of its k_zeta nearest rows in the components|, itself left out, as the
    source experiments do; the paper asks for a majority of at least zeta k. With k_cc of 50 the
    union graph is usually one component, and the zeta step does all the work. One search usually
    serves both steps; if some row has fewer than k_zeta of its neighbours in the components, the
    components are searched by themselves.
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
        """Decide which rows to keep; sets `keep_mask_`.

        Parameters
        ----------
        X : array_like of float, shape (n, d)
        y : array_like of float, shape (n,)
            Hard or soft labels in [0, 1], of both classes.
        groups : array_like, shape (n,), optional
            Rows of one value are not one another's neighbours in either step.

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
        group = optional_groups(groups, len(points))
        self._check(soft, _max_k(len(points), group))
        searched = SearchedRows.of(
            points,
            group,
            k_cc=self.k_cc,
            k_zeta=self.k_zeta,
            preprocess=self.preprocess,
            search=self.search,
        )
        return self._decide(searched, soft)

    def fit_searched(self, searched: SearchedRows, soft: np.ndarray) -> "TopoFilter":
        """Decide which rows to keep, as `fit`, from neighbours that were searched before.

        Parameters
        ----------
        searched : SearchedRows
            Searched for values of `k_cc` and `k_zeta` that are at least this filter's.
        soft : ndarray of float64, shape (n,)
            Soft labels in [0, 1], of both classes.

        Raises
        ------
        InputError
            A setting out of range; one class only; too few rows in the components for the zeta
            step.
        UnknownName
            No such graph.
        """
        forget(self)
        self.n_features_in_ = searched.points.shape[1]
        self._check(soft, _max_k(len(soft), searched.groups))
        return self._decide(searched, soft)

    def _decide(self, searched: SearchedRows, soft: np.ndarray) -> "TopoFilter":
        hard = soft > THRESHOLD
        # only as many neighbours as `fit` would search, so that sums round alike
        k = _k_searched(self.k_cc, self.k_zeta, _max_k(len(soft), searched.groups))
        neighbors = searched.neighbors[:, :k]
        component = _largest_components(neighbors[:, : self.k_cc], hard, self.graph)
        self.component_mask_ = component
        self.removed_by_component_ = int((~component).sum())
        self._warn(self.removed_by_component_ / len(soft))

        difference = self._difference(searched.points, soft, neighbors, searched.groups)
        removed = self._removed_by_zeta(difference, hard)
        self.removed_by_zeta_ = int(removed.sum())
        self.keep_mask_ = component & ~removed
        self.zeta_ = float(difference[self.keep_mask_].max(initial=0.0))
        return self

    def _removed_by_zeta(self, difference: np.ndarray, hard: np.ndarray) -> np.ndarray:
        """Rows of the components that the zeta step removes, (n,)."""
        component = self.component_mask_
        if self.zeta is not None:
            return component & (difference > self.zeta)
        removed = np.zeros(len(hard), dtype=bool)
        for rows in (~hard, hard) if self.per_class else (np.ones_like(hard),):
            n_more = round(self.contamination * rows.sum()) - (rows & ~component).sum()
            ranked = np.flatnonzero(rows & component)
            ranked = ranked[np.argsort(-difference[ranked], kind="stable")]
            removed[ranked[: max(0, n_more)]] = True
        return removed

    def _check(self, soft: np.ndarray, max_k: int) -> None:
        if self.graph not in GRAPHS:
            raise UnknownName("graph", self.graph, GRAPHS)
        if not 0 < self.contamination < 1:
            raise InputError(f"contamination is {self.contamination!r}", allowed="above 0, below 1")
        if self.zeta is not None and not 0 <= self.zeta <= 1:
            raise InputError(f"zeta is {self.zeta!r}", allowed="0 to 1")
        check_k(self.k_cc, "k_cc", max_k)
        hard = soft > THRESHOLD
        if hard.all() or not hard.any():
            raise InputError("all rows have one hard label", allowed="both classes")
        check_k(self.k_zeta, "k_zeta", max_k)

    def _difference(
        self, points: np.ndarray, soft: np.ndarray, neighbors: np.ndarray, group: np.ndarray | None
    ) -> np.ndarray:
        """|label - mean label of the k_zeta nearest in the components|, (n,); 0 outside them."""
        component, difference = self.component_mask_, np.zeros(len(soft))
        inside = np.flatnonzero(component)
        k_zeta = check_k(self.k_zeta, "k_zeta", len(inside) - 1)
        counted = component[neighbors]
        rank = np.cumsum(counted, axis=1, dtype=np.int32)
        if (rank[inside, -1] >= k_zeta).all():
            counted &= rank <= k_zeta
            votes = np.where(counted, soft[neighbors], 0.0).sum(axis=1)[inside]
        else:
            searched = self.search(
                points[inside],
                k=k_zeta,
                exclude_self=True,
                groups=None if group is None else group[inside],
            )
            votes = soft[inside][searched.indices].sum(axis=1)
        # |1 - 0.7| and |0 - 0.3| must tie in spite of rounding
        difference[inside] = np.abs(soft[inside] - votes / k_zeta).round(DECIMALS)
        return difference

    def _warn(self, removed: float) -> None:
        if removed > TOO_MANY:
            advice = "larger k_cc makes it remove fewer"
        elif removed < TOO_FEW:
            advice = "smaller k_cc makes it remove more"
        else:
            return
        warnings.warn(
            f"TopoFilter's component step removes {removed:.1%} of the rows "
            f"(graph={self.graph!r}, k_cc={self.k_cc}); {advice}",
            UserWarning,
            stacklevel=4,
        )


def _max_k(n: int, groups: np.ndarray | None) -> int:
    """Largest k for which every row has enough neighbours outside its group."""
    return n - n_left_out(groups, itself=True)


def _k_searched(k_cc: int, k_zeta: int, max_k: int) -> int:
    """Neighbours searched for both steps: the component step may remove some of k_zeta."""
    return min(max(k_cc, round(SHARED * k_zeta)), max_k)


def _largest_components(neighbors: np.ndarray, hard: np.ndarray, graph: str) -> np.ndarray:
    """Rows in the largest component of their class; the first one if several are equally large."""
    n, k = neighbors.shape
    sources = np.repeat(np.arange(n), k)
    same = hard[sources] == hard[neighbors.ravel()]
    edges = csr_matrix(
        (np.ones(same.sum(), dtype=np.int8), (sources[same], neighbors.ravel()[same])), shape=(n, n)
    )
    if graph == "mutual":
        edges = edges.multiply(edges.T).tocsr()
    kind = "strong" if graph == "strong" else "weak"
    _, component = connected_components(edges, directed=True, connection=kind)
    mask = np.zeros(n, dtype=bool)
    for label in (False, True):
        mask |= (component == np.bincount(component[hard == label]).argmax()) & (hard == label)
    return mask
