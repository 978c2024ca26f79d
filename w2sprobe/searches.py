"""Neighbours beside the activations that they belong to: searched once, read by every later run."""

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

VERSION = 2  # of what a search answers: another one does not read the graphs of this one
K_MAX = 200  # 12 bytes a neighbour: 24 MB for 10,000 rows


class StoredSearch:
    """`nearest_neighbors` that keeps what it finds in a store.

    A graph's address is the fingerprint of the bytes that were searched, so that it serves every
    probe, k and filter that asks about the same rows of the same layer, and no other.

    Parameters
    ----------
    store : ActivationStore
        Graphs go to its folder, `neighbors/<address>.h5`. A store behind a URL, or one that we may
        not write to, is searched each time.
    k_max : int, default 200
        Neighbours that are kept; every smaller k is read from them. A larger k replaces the graph.
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
        """Neighbours as `nearest_neighbors` finds them; approximate ones are not kept.

        Parameters
        ----------
        X, Q, k, backend, exclude_self, groups
            As in `nearest_neighbors`.

        Returns
        -------
        Neighbors
            With "stored" for a backend where they were read.

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
        together = optional_groups(groups, len(np.asarray(X)))
        own = None if together is None else _digest(together)
        searched = [VERSION, _digest(X), None if Q is None else _digest(Q), exclude_self, own]
        address = fingerprint(searched)
        n_out = 0 if Q is not None else n_left_out(together, itself=exclude_self)
        most = len(np.asarray(X)) - n_out
        check_k(k, "k", most)
        path = graph_path(self.folder, address)
        if path.is_file():
            distances, indices = read_graph(path, address)
            if k <= indices.shape[1]:
                return Neighbors(distances, indices, backend="stored").first(k)
        found = search(k=max(k, min(self.k_max, most)))
        write_graph(path, address, *found)
        return found.first(k)


def _digest(values: ArrayLike) -> list[object]:
    array = np.ascontiguousarray(values, dtype=np.float32)
    return [xxhash.xxh3_128_hexdigest(array.data), array.shape]
