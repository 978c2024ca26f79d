"""Probes on activations: arrays in, arrays out; estimators and whole-grid functions."""

from w2sprobe.probes.knn import KNNProbe, knn_path
from w2sprobe.probes.logistic import LogisticProbe, logistic_path
from w2sprobe.probes.mass_mean import MassMeanProbe
from w2sprobe.probes.neighbors import nearest_neighbors
from w2sprobe.probes.topofilter import TopoFilter

__all__ = [
    "KNNProbe",
    "LogisticProbe",
    "MassMeanProbe",
    "TopoFilter",
    "knn_path",
    "logistic_path",
    "nearest_neighbors",
]
