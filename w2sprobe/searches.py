"""Neighbours beside the activations that they belong to: searched once, read by every later run."""

import os
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import ArrayLike

from w2sprobe.cache import ActivationStore, graph_path, read_graph, write_graph
from w2sprobe.fingerprint import fingerprint
from w2sprobe.probes import nearest_neighbors

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
    ) -> tuple[np.ndarray, np.ndarray]:
        """Neighbours as `nearest_neighbors` finds them.

        Parameters
        ----------
        X, Q, k, backend, exclude_self
            As in `nearest_neighbors`.

        Returns
        -------
        distances : ndarray of float32, shape (m, k)
        indices : ndarray of int64, shape (m, k)

        Raises
        ------
        InputError
            As in `nearest_neighbors`.
        StoreDamaged
            The stored graph differs from its checksum.
        """
        if not isinstance(self.folder, Path) or not os.access(self.folder, os.W_OK):
            return nearest_neighbors(X, Q, k=k, backend=backend, exclude_self=exclude_self)
        searched = [_digest(X), None if Q is None else _digest(Q), exclude_self]
        address = fingerprint(searched)
        path = graph_path(self.folder, address)
        if path.is_file():
            distances, indices = read_graph(path, address)
            if k <= indices.shape[1]:
                return distances[:, :k], indices[:, :k]
        there_are = len(np.asarray(X)) - (exclude_self and Q is None)
        distances, indices = nearest_neighbors(
            X,
            Q,
            k=max(k, min(self.k_max, there_are)),
            backend=backend,
            exclude_self=exclude_self,
        )
        write_graph(path, address, distances, indices)
        return distances[:, :k], indices[:, :k]


def _digest(values: ArrayLike) -> list[object]:
    array = np.ascontiguousarray(values, dtype=np.float32)
    return [xxhash.xxh3_128_hexdigest(array.data), array.shape]
