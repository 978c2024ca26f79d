"""A page that shows a store's layers; `w2sprobe.explorer` computes what it shows."""

from w2sprobe.reporting.explorer.data import ExplorerData, LayerView
from w2sprobe.reporting.explorer.page import explorer_page

__all__ = ["ExplorerData", "LayerView", "explorer_page"]
