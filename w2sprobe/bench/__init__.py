"""Speed and memory of the probes, beside their peers, in one run on one machine."""

from w2sprobe.bench.growth import growth, growth_figure
from w2sprobe.bench.lines import Line
from w2sprobe.bench.memory import memory
from w2sprobe.bench.speed import knn, logistic, search, topofilter
from w2sprobe.bench.sweep import sweep

PARTS = {
    "search": search,
    "knn": knn,
    "logistic": logistic,
    "topofilter": topofilter,
    "memory": memory,
    "sweep": sweep,
    "growth": growth,
}

__all__ = ["PARTS", "Line", "growth_figure"]
