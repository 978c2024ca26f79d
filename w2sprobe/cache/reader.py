"""Reading a store: every value is checked against its checksum before anyone sees it."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from w2sprobe.cache import layout
from w2sprobe.errors import IdMismatch, InputError, StoreDamaged, first_few
from w2sprobe.fingerprint import fingerprint_strings


class ActivationStore:
    """Hidden states of one model for rows known by their ids; opened by `open`.

    Attributes
    ----------
    path : Path
        Folder of the store.
    """

    def __init__(self, path: Path, manifest: layout.Manifest) -> None:
        self.path, self._manifest = path, manifest

    @classmethod
    def open(cls, path: str | Path) -> "ActivationStore":
        """Open a complete store; activations stay on disk.

        Parameters
        ----------
        path : str or Path
            Folder of the store.

        Returns
        -------
        ActivationStore

        Raises
        ------
        InputError
            No store there, one of another format version, or one with shards missing.
        StoreDamaged
            The manifest is not what was written.
        """
        folder = Path(path)
        manifest = layout.read_manifest(folder)
        absent = layout.absent_shards(folder, manifest)
        if absent or manifest.report is None:
            raise InputError(
                f"unfinished store: {len(absent)} of {manifest.n_shards} shards missing",
                where=str(folder),
                advice="Run the same extraction again: it goes on at the first missing shard.",
            )
        return cls(folder, manifest)

    def __len__(self) -> int:
        return self._manifest.n_rows

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers in the store, ascending: indices into the model's `hidden_states`."""
        return self._manifest.layers

    @property
    def hidden_size(self) -> int:
        """Width of every layer."""
        return self._manifest.hidden_size

    @property
    def dtype(self) -> str:
        """As stored: float32, float16 or bfloat16."""
        return self._manifest.dtype

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Everything that the address was computed from (`identity`), and the facts about it."""
        return self._manifest.to_dict()

    @cached_property
    def ids(self) -> np.ndarray:
        """Row ids, str, shape (n,).

        Raises
        ------
        StoreDamaged
            Ids differ from their checksums.
        """
        return self._read_ids()

    def read(self, layer: int, rows: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """One layer, widened to float32 without loss.

        Parameters
        ----------
        layer : int
            One of `layers`.
        rows : sequence of int, or ndarray of bool with shape (n,), optional
            Positions in any order, or a mask. All rows by default.

        Returns
        -------
        ndarray of float32, shape (n, hidden_size) or (len(rows), hidden_size)
            C-contiguous.

        Raises
        ------
        InputError
            No such layer; rows out of range or of another type.
        StoreDamaged
            Shape, type, place or checksum do not fit; names shard and layer.

        Notes
        -----
        A checksum covers a layer of a shard, so that of each shard with a row asked for, the
        layer is read as a whole; other shards and layers are not touched.
        """
        if isinstance(layer, bool) or layer not in self.layers:
            raise InputError(
                f"no layer {layer!r}",
                where=str(self.path),
                allowed=", ".join(map(str, self.layers)),
            )
        wanted = None if rows is None else self._positions(rows)
        out = np.empty(
            (len(self) if wanted is None else len(wanted), self.hidden_size), dtype=np.float32
        )
        for index in range(self._manifest.n_shards):
            held = self._manifest.rows(index)
            if wanted is None:
                stored = layout.read_layer(self.path, self._manifest, index, int(layer))
                layout.to_float32(stored, self.dtype, out[held])
                continue
            places = np.flatnonzero((wanted >= held.start) & (wanted < held.stop))
            if places.size:
                stored = layout.read_layer(self.path, self._manifest, index, int(layer))
                chosen = np.empty((places.size, self.hidden_size), dtype=np.float32)
                layout.to_float32(stored[wanted[places] - held.start], self.dtype, chosen)
                out[places] = chosen
        return out

    def rows_of(self, ids: Sequence[str] | np.ndarray) -> np.ndarray:
        """Positions of ids, in their order.

        Parameters
        ----------
        ids : sequence of str
            Each at most once.

        Returns
        -------
        ndarray of int64, shape (len(ids),)

        Raises
        ------
        IdMismatch
            An id is not in the store, or is asked for twice.
        """
        names = [str(name) for name in ids]
        unknown = [name for name in names if name not in self._position]
        if unknown:
            raise IdMismatch(
                f"no activations for ids {first_few(unknown)}",
                where=str(self.path),
                advice="Was the store extracted for the same task, sizes and seed?",
            )
        positions = np.array([self._position[name] for name in names], dtype=np.int64)
        unique, counts = np.unique(positions, return_counts=True)
        if len(unique) < len(positions):
            raise IdMismatch(f"doubled ids {first_few(self.ids[unique[counts > 1]].tolist())}")
        return positions

    def verify(self) -> list[str]:
        """All damage, one line each; reads the whole store. Empty when it is sound."""
        problems = [
            problem
            for index in range(self._manifest.n_shards)
            for problem in layout.check_shard(self.path, self._manifest, index)
        ]
        try:
            layout.read_manifest(self.path)
            if not problems:
                self._read_ids()
        except (StoreDamaged, InputError) as error:
            problems.append(str(error))
        return problems

    def _read_ids(self) -> np.ndarray:
        names = [
            name
            for index in range(self._manifest.n_shards)
            for name in layout.read_ids(self.path, self._manifest, index)
        ]
        if fingerprint_strings(names) != self._manifest.ids_fingerprint:
            raise StoreDamaged("ids differ from the manifest's", where=str(self.path))
        return np.array(names, dtype=np.str_)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.ids.tolist())}

    def _positions(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        given = np.asarray(rows)
        if given.dtype == bool:
            if given.shape != (len(self),):
                raise InputError(f"mask of shape {given.shape}", allowed=f"({len(self)},)")
            return np.flatnonzero(given)
        if given.shape == (0,):
            return np.zeros(0, dtype=np.int64)
        if given.ndim != 1 or not np.issubdtype(given.dtype, np.integer):
            raise InputError(
                f"rows of type {given.dtype} and shape {given.shape}",
                allowed="positions (n,) of integers, or a mask of booleans",
            )
        outside = given[(given < 0) | (given >= len(self))]
        if outside.size:
            raise InputError(
                f"no rows {first_few(outside.tolist())}",
                where=str(self.path),
                allowed=f"0 to {len(self) - 1}",
            )
        return given.astype(np.int64)
