"""HTML page for exploring the layers of a store; `w2sprobe.explorer` computes its content."""

from w2sprobe.reporting.explorer.data import ExplorerData, LayerView
from w2sprobe.reporting.explorer.page import explorer_page

__all__ = ["ExplorerData", "LayerView", "explorer_page"]
