"""The activation store: hidden states of a model, one vector (or more) per row, in HDF5."""

from w2sprobe.cache.dtypes import store_size_bytes
from w2sprobe.cache.export import Export, export_store
from w2sprobe.cache.graphs import read_graph, write_graph
from w2sprobe.cache.layout import GENERATED, graph_path
from w2sprobe.cache.layout import VERSION as FORMAT_VERSION
from w2sprobe.cache.maintenance import (
    StoreInfo,
    drop_damage,
    find_stores,
    leftovers,
    store_info,
)
from w2sprobe.cache.manifest import is_store, origin_of
from w2sprobe.cache.reader import ActivationStore
from w2sprobe.cache.transfer import copy_store, push_store
from w2sprobe.cache.writer import ActivationWriter

__all__ = [
    "FORMAT_VERSION",
    "GENERATED",
    "ActivationStore",
    "ActivationWriter",
    "Export",
    "StoreInfo",
    "copy_store",
    "drop_damage",
    "export_store",
    "find_stores",
    "graph_path",
    "is_store",
    "leftovers",
    "origin_of",
    "push_store",
    "read_graph",
    "store_info",
    "store_size_bytes",
    "write_graph",
]
