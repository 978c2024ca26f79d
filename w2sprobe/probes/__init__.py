"""Probes on arrays of activations: scikit-learn estimators, and functions for whole grids."""

from w2sprobe.checks import Preprocess
from w2sprobe.probes._saving import load_card, load_origin, load_probe, save_probe
from w2sprobe.probes.card import CardRows, ProbeCard
from w2sprobe.probes.erasure import Erasure
from w2sprobe.probes.knn import KS, KNNProbe, knn_cross_fit, knn_path
from w2sprobe.probes.logistic import (
    L2S,
    LogisticProbe,
    logistic_cross_fit,
    logistic_cross_fit_path,
    logistic_path,
)
from w2sprobe.probes.mass_mean import MassMeanProbe, mass_mean_cross_fit_path
from w2sprobe.probes.neighbors import Neighbors, nearest_neighbors
from w2sprobe.probes.token_probes import AttentionProbe, MultiMaxProbe, SoftmaxMeanProbe
from w2sprobe.probes.topofilter import TopoFilter

__all__ = [
    "KS",
    "L2S",
    "AttentionProbe",
    "CardRows",
    "Erasure",
    "KNNProbe",
    "LogisticProbe",
    "MassMeanProbe",
    "MultiMaxProbe",
    "Neighbors",
    "Preprocess",
    "ProbeCard",
    "SoftmaxMeanProbe",
    "TopoFilter",
    "knn_cross_fit",
    "knn_path",
    "load_card",
    "load_origin",
    "load_probe",
    "logistic_cross_fit",
    "logistic_cross_fit_path",
    "logistic_path",
    "mass_mean_cross_fit_path",
    "nearest_neighbors",
    "save_probe",
]
