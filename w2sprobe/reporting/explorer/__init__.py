"""A page that shows a store's layers beside weak labels, probes, neighbours and texts."""

from w2sprobe.reporting.explorer.build import PROJECTIONS, default_layers, explore
from w2sprobe.reporting.explorer.data import ExplorerData, LayerView
from w2sprobe.reporting.explorer.page import explorer_page

__all__ = [
    "PROJECTIONS",
    "ExplorerData",
    "LayerView",
    "default_layers",
    "explore",
    "explorer_page",
]
