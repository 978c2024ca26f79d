"""Probes on arrays of activations: scikit-learn estimators, and functions for whole grids."""

from typing import Literal

from w2sprobe.checks import Preprocess
from w2sprobe.errors import UnknownName
from w2sprobe.probes._saving import load_probe, save_probe
from w2sprobe.probes.knn import KS, KNNProbe, knn_cross_fit, knn_path
from w2sprobe.probes.logistic import (
    L2S,
    LogisticProbe,
    logistic_cross_fit,
    logistic_cross_fit_path,
    logistic_path,
)
from w2sprobe.probes.mass_mean import MassMeanProbe, mass_mean_cross_fit_path
from w2sprobe.probes.neighbors import Neighbors, Search, nearest_neighbors
from w2sprobe.probes.topofilter import TopoFilter

Probe = KNNProbe | LogisticProbe | MassMeanProbe | TopoFilter


def make_probe(
    name: str,
    *,
    n_neighbors: int = 50,
    l2: float | Literal["auto"] = 1e-2,
    contamination: float = 0.1,
    whiten: bool = False,
    preprocess: Preprocess = "none",
    per_class: bool = False,
    search: Search = nearest_neighbors,
    device: str = "auto",
) -> Probe:
    """Make a probe by name from the settings that commands and configs share.

    Parameters
    ----------
    name : {"knn", "logistic", "mass-mean", "topofilter"}
    n_neighbors : int, default 50
        k of kNN, and of both steps of TopoFilter.
    l2 : float or "auto", default 1e-2
        Penalty of the logistic probe; "auto" chooses it by out-of-fold loss.
    contamination : float, default 0.1
        Share of the rows that TopoFilter removes.
    whiten : bool, default False
        Mass-mean probe: multiply by the inverse within-class covariance.
    preprocess : {"none", "center", "standardize"}, default "none"
        Centring and scaling for every probe; "center" changes no prediction.
    per_class : bool, default False
        TopoFilter removes this share of each class.
    search : callable, default nearest_neighbors
        Neighbour search of kNN and TopoFilter.
    device : str, default "auto"
        Device of the linear probes.

    Raises
    ------
    UnknownName
        No such probe.
    """
    probes: dict[str, Probe] = {
        "knn": KNNProbe(n_neighbors, search, preprocess),
        "logistic": LogisticProbe(l2, preprocess, device),
        "mass-mean": MassMeanProbe(whiten=whiten, preprocess=preprocess, device=device),
        "topofilter": TopoFilter(
            n_neighbors,
            n_neighbors,
            contamination,
            search=search,
            per_class=per_class,
            preprocess=preprocess,
        ),
    }
    if name not in probes:
        raise UnknownName("probe", name, probes)
    return probes[name]


__all__ = [
    "KS",
    "L2S",
    "KNNProbe",
    "LogisticProbe",
    "MassMeanProbe",
    "Neighbors",
    "Preprocess",
    "TopoFilter",
    "knn_cross_fit",
    "knn_path",
    "load_probe",
    "logistic_cross_fit",
    "logistic_cross_fit_path",
    "logistic_path",
    "make_probe",
    "mass_mean_cross_fit_path",
    "nearest_neighbors",
    "save_probe",
]
