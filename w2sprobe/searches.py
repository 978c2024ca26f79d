"""Nearest neighbours kept beside the activations: searched once, read by every later run."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import ArrayLike

from w2sprobe.cache import ActivationStore, graph_path, read_graph, write_graph
from w2sprobe.checks import check_k, n_left_out, optional_groups
from w2sprobe.errors import UnknownName
from w2sprobe.fingerprint import fingerprint
from w2sprobe.probes import nearest_neighbors
from w2sprobe.probes.neighbors import APPROXIMATE, BACKENDS, Neighbors

VERSION = 2  # of search results; part of the address of a graph
K_MAX = 200  # 12 bytes per neighbour: 24 MB for 10,000 rows


class StoredSearch:
    """`nearest_neighbors` that stores its results in the folder of an activation store.

    The address of a neighbour graph is the fingerprint of the arrays that were searched: it serves
    every probe, k and filter on the same rows of the same layer.

    Parameters
    ----------
    store : ActivationStore
        Graphs go to `neighbors/<address>.h5` in its folder. A store behind a URL or without write
        permission is searched each time.
    k_max : int, default 200
        Number of neighbours to store, for every smaller k. A larger k replaces the graph.
    """

    def __init__(self, store: ActivationStore, k_max: int = K_MAX) -> None:
        self.folder, self.k_max = store.path, k_max

    def __call__(
        self,
        X: ArrayLike,
        Q: ArrayLike | None = None,
        *,
        k: int,
        backend: str = "auto",
        exclude_self: bool = False,
        groups: ArrayLike | None = None,
    ) -> Neighbors:
        """Search as `nearest_neighbors`; results of approximate backends are not stored.

        Parameters
        ----------
        X, Q, k, backend, exclude_self, groups
            As in `nearest_neighbors`.

        Returns
        -------
        Neighbors
            With the backend "stored" if they were read from the store.

        Raises
        ------
        InputError
            As in `nearest_neighbors`.
        UnknownName
            No such backend.
        StoreDamaged
            The stored graph differs from its checksum.
        """
        if backend not in BACKENDS:
            raise UnknownName("backend", backend, BACKENDS)
        search = partial(
            nearest_neighbors, X, Q, backend=backend, exclude_self=exclude_self, groups=groups
        )
        writable = isinstance(self.folder, Path) and os.access(self.folder, os.W_OK)
        if not writable or backend in APPROXIMATE:
            return search(k=k)
        group_numbers = optional_groups(groups, len(np.asarray(X)))
        address = fingerprint(
            [VERSION, _digest(X), _digest(Q), exclude_self, _digest(group_numbers)]
        )
        n_excluded = 0 if Q is not None else n_left_out(group_numbers, itself=exclude_self)
        most = len(np.asarray(X)) - n_excluded
        check_k(k, "k", most)
        path = graph_path(self.folder, address)
        if path.is_file():
            distances, indices = read_graph(path, address)
            if k <= indices.shape[1]:
                return Neighbors(distances, indices, backend="stored").first(k)
        neighbors = search(k=max(k, min(self.k_max, most)))
        write_graph(path, address, *neighbors)
        return neighbors.first(k)


def _digest(values: ArrayLike | None) -> list[object] | None:
    if values is None:
        return None
    array = np.ascontiguousarray(values, dtype=np.float32)
    return [xxhash.xxh3_128_hexdigest(array.data), array.shape]
