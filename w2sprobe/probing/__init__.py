"""Probes on a store: whole grids of layers and settings, and an account of every row."""

from w2sprobe.probing.grid import Grid, ProbeName, choose_l2, curate_grid, fitted, held_out, voters
from w2sprobe.probing.indicate import store_indicators
from w2sprobe.probing.runs import Outcome, ProbedRows, curate_store, predict_store

__all__ = [
    "Grid",
    "Outcome",
    "ProbeName",
    "ProbedRows",
    "choose_l2",
    "curate_grid",
    "curate_store",
    "fitted",
    "held_out",
    "predict_store",
    "store_indicators",
    "voters",
]
