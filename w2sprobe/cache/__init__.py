"""The activation store: hidden states of a model, row by row, in HDF5."""

from w2sprobe.cache.layout import store_size_bytes
from w2sprobe.cache.reader import ActivationStore
from w2sprobe.cache.writer import ActivationWriter

__all__ = ["ActivationStore", "ActivationWriter", "store_size_bytes"]
