"""Layers of a store with weak labels, probes, neighbours and texts, for the explorer page."""

from w2sprobe.explorer.build import PROJECTIONS, default_layers, explore, explore_run
from w2sprobe.reporting.explorer import ExplorerData, LayerView, explorer_page

__all__ = [
    "PROJECTIONS",
    "ExplorerData",
    "LayerView",
    "default_layers",
    "explore",
    "explore_run",
    "explorer_page",
]
