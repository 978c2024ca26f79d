"""Speed and memory of the probes beside FAISS, torch and scikit-learn, on this machine."""

from collections.abc import Callable, Iterator

from w2sprobe.bench.measuring import Measurement
from w2sprobe.bench.parts import knn, logistic, search, topofilter
from w2sprobe.bench.peak_memory import memory

# called with numbers of rows and columns
PARTS: dict[str, Callable[[int, int], Iterator[Measurement]]] = {
    "search": search,
    "knn": knn,
    "logistic": logistic,
    "topofilter": topofilter,
    "memory": memory,
}

__all__ = ["PARTS"]
