"""Probes on activations: arrays in, arrays out; estimators and whole-grid functions."""

from w2sprobe.errors import UnknownName
from w2sprobe.probes.knn import KNNProbe, knn_path
from w2sprobe.probes.logistic import LogisticProbe, logistic_path
from w2sprobe.probes.mass_mean import MassMeanProbe
from w2sprobe.probes.neighbors import Search, nearest_neighbors
from w2sprobe.probes.topofilter import TopoFilter


def make_probe(
    name: str,
    *,
    n_neighbors: int = 50,
    l2: float = 1e-2,
    contamination: float = 0.1,
    search: Search = nearest_neighbors,
) -> KNNProbe | LogisticProbe | TopoFilter:
    """Make a probe by name from the settings that commands and configs share.

    Parameters
    ----------
    name : {"knn", "logistic", "topofilter"}
    n_neighbors : int, default 50
        k of the vote, or of both of TopoFilter's graphs.
    l2 : float, default 1e-2
        Penalty of the logistic probe.
    contamination : float, default 0.1
        Share of the rows that TopoFilter removes.
    search : callable, default nearest_neighbors
        Finds neighbours.

    Returns
    -------
    KNNProbe, LogisticProbe or TopoFilter

    Raises
    ------
    UnknownName
        Not a probe.
    """
    probes: dict[str, KNNProbe | LogisticProbe | TopoFilter] = {
        "knn": KNNProbe(n_neighbors=n_neighbors, search=search),
        "logistic": LogisticProbe(l2=l2),
        "topofilter": TopoFilter(
            k_cc=n_neighbors, k_zeta=n_neighbors, contamination=contamination, search=search
        ),
    }
    if name not in probes:
        raise UnknownName("probe", name, probes)
    return probes[name]


__all__ = [
    "KNNProbe",
    "LogisticProbe",
    "MassMeanProbe",
    "TopoFilter",
    "knn_path",
    "logistic_path",
    "make_probe",
    "nearest_neighbors",
]
