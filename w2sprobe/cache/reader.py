"""Reading a store; every value is compared with its checksum before it is returned."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from w2sprobe.cache import shards
from w2sprobe.cache.dtypes import to_float32
from w2sprobe.cache.graphs import graph_files
from w2sprobe.cache.hdf5 import check_bytes
from w2sprobe.cache.layout import MANIFEST, SHARDS, VIRTUAL, as_folder, shard_name
from w2sprobe.cache.manifest import Manifest, origin_of, read_manifest
from w2sprobe.cells import as_names
from w2sprobe.errors import (
    IdMismatch,
    InputError,
    StoreDamaged,
    StoreUnavailable,
    W2SProbeError,
    first_few,
)
from w2sprobe.fingerprint import fingerprint_strings


class ActivationStore:
    """Hidden states of one model for rows with ids; made by `open`.

    Attributes
    ----------
    path : Path
        Folder of the store.
    """

    def __init__(self, path: Path, manifest: Manifest, absent: frozenset[int]) -> None:
        self._finished = bool(manifest.layers)
        if not self._finished:  # the layers that are being written can be read shard by shard
            manifest = replace(manifest, layers=manifest.pending)
        self.path, self._manifest, self._absent = path, manifest, absent

    @classmethod
    def open(cls, path: str | Path, *, partial: bool = False) -> "ActivationStore":
        """Open a store; activations stay on disk.

        Parameters
        ----------
        path : str or Path
            Folder or fsspec URL of the store: s3://, gs://, https://, hf://datasets/... From a URL,
            a layer's bytes are fetched when that layer is read, and no others.
        partial : bool, default False
            Also open a store that is still being extracted: `available` says which rows can be
            read. Open it again to see shards that were written since.

        Raises
        ------
        InputError
            No store there, a store of another format version, or, unless `partial`, an unfinished
            one.
        StoreDamaged
            The manifest differs from what was written.
        """
        folder = as_folder(path)
        manifest = read_manifest(folder)
        present = shards.present_shards(folder, manifest) if isinstance(folder, Path) else None
        absent = frozenset(() if present is None else set(range(manifest.n_shards)) - present)
        n_missing = f"{len(absent)} of {manifest.n_shards} shards missing"
        if not partial and not manifest.layers:
            raise InputError(
                f"unfinished store: {n_missing}"
                if absent
                else "unfinished store: all shards are there, but the last step was interrupted",
                where=str(folder),
                advice="Run the same extraction again: it goes on where it stopped.",
            )
        if not partial and absent:
            raise InputError(
                f"a finished store has lost files: {n_missing}",
                where=str(folder),
                advice=f"Copy all of {SHARDS}/, or run the same extraction again.",
            )
        if isinstance(folder, Path):
            _mark_as_used(folder)
        return cls(folder, manifest, absent)

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
        """Stored type: float32, float16 or bfloat16."""
        return self._manifest.dtype

    @property
    def ragged(self) -> bool:
        """Whether a row has one vector per token; see `offsets`."""
        return self._manifest.ragged

    @cached_property
    def available(self) -> np.ndarray:
        """Mask of the rows that can be read, shape (n,); all of them unless opened as `partial`."""
        mask = np.ones(len(self), dtype=bool)
        for index in self._absent:
            mask[self._manifest.rows(index)] = False
        return mask

    @cached_property
    def offsets(self) -> np.ndarray:
        """Vectors before each row, int64, shape (n + 1,).

        In a layer that is read as a whole, row r has the vectors offsets[r] to offsets[r + 1]: one
        per token in a ragged store, otherwise one. A row of a ragged store that is not
        `available` has none.

        Raises
        ------
        StoreDamaged
            Offsets differ from their checksums.
        """
        return shards.read_all_offsets(self.path, self._manifest, self._absent)

    @cached_property
    def roles(self) -> np.ndarray | None:
        """Whose words each vector's token holds, int8, (vectors,): see `offsets`.

        0 the template's or none, 1 the system's, 2 the user's, 3 the assistant's. None unless the
        store is ragged and its rows are conversations.

        Raises
        ------
        StoreDamaged
            Roles differ from their checksums.
        """
        if not self._manifest.has_roles:
            return None
        return shards.read_all_roles(self.path, self._manifest, self._absent)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Content of `manifest.json` without its checksum; `identity` gives the address.

        In an unfinished store, `layers` are those of `pending`.
        """
        return self._manifest.to_dict()

    def origin(self, layer: int) -> dict[str, Any]:
        """What a probe on a layer depends on: model, token position and layer, not the rows.

        For `save_probe` and `load_probe`.
        """
        return origin_of(self.manifest["identity"], self.manifest["model"], layer)

    @cached_property
    def ids(self) -> np.ndarray:
        """Row ids, str, shape (n,); empty where a row is not `available`.

        Raises
        ------
        StoreDamaged
            Ids differ from their checksums.
        """
        return self._read_ids()

    def read(self, layer: int, rows: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Read one layer, widened to float32 without loss.

        Parameters
        ----------
        layer : int
            One of `layers`.
        rows : sequence of int, or ndarray of bool with shape (n,), optional
            Row numbers in any order, or a mask. All rows by default.

        Returns
        -------
        ndarray of float32, shape (n, hidden_size) or (len(rows), hidden_size)
            C-contiguous. In a ragged store, the vectors of the rows one after the other.

        Raises
        ------
        InputError
            No such layer; rows out of range, of another type, or not extracted yet.
        StoreDamaged
            Shape, type, address or checksum differ from the manifest; names shard and layer.
        StoreUnavailable
            A shard cannot be read now: open for writing in another process, no permission.
        """
        if not isinstance(layer, Integral) or isinstance(layer, bool) or layer not in self.layers:
            raise InputError(
                f"no layer {layer!r}",
                where=str(self.path),
                allowed=", ".join(map(str, self.layers)),
            )
        wanted = np.arange(len(self)) if rows is None else self._row_numbers(rows)
        self._check_available(wanted)
        lengths = np.diff(self.offsets)[wanted]
        ends = np.cumsum(lengths)
        out = np.empty((ends[-1] if len(ends) else 0, self.hidden_size), dtype=np.float32)
        for index in range(self._manifest.n_shards):
            held = self._manifest.rows(index)
            chosen = np.flatnonzero((wanted >= held.start) & (wanted < held.stop))
            if not chosen.size:
                continue
            # a checksum covers a layer of a shard, so that the shard's layer is read as a whole
            stored = shards.read_layer(self.path, self._manifest, index, int(layer))
            if rows is None:  # straight into the output, without a copy
                target = out[self.offsets[held.start] : self.offsets[held.stop]]
                to_float32(stored, self.dtype, target)
                continue
            source = self.offsets[wanted[chosen]] - self.offsets[held.start]
            vectors = stored[_runs(source, lengths[chosen])]
            widened = np.empty(vectors.shape, dtype=np.float32)
            to_float32(vectors, self.dtype, widened)
            out[_runs(ends[chosen] - lengths[chosen], lengths[chosen])] = widened
        return out

    def rows_of(self, ids: Sequence[Any] | np.ndarray) -> np.ndarray:
        """Row numbers of ids, in the order of the ids.

        Parameters
        ----------
        ids : sequence of str or int
            Each at most once.

        Returns
        -------
        ndarray of int64, shape (len(ids),)

        Raises
        ------
        IdMismatch
            An id is not in the store, or is given twice.
        """
        names = as_names(ids, "ids")
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
        """List everything that is wrong, one line each; empty when the store is sound.

        Reads the whole store; in an unfinished one, the shards that are there.
        """
        problems = []
        for index in range(self._manifest.n_shards):
            if index not in self._absent:
                problems += self._check_shard(index)
            elif self._finished:
                problems.append(f"no shard {index}, {self.path / shard_name(index)}")
        if self._finished:
            problems += _check_file(self.path / VIRTUAL)
        for file in graph_files(self.path):
            problems += _check_file(file)
        try:
            read_manifest(self.path)
            if not problems and not self._absent:
                self._read_ids()
        except W2SProbeError as error:
            problems.append(str(error))
        return problems

    def _check_shard(self, index: int) -> list[str]:
        try:
            return shards.check_shard(self.path, self._manifest, index)
        except StoreUnavailable as error:
            return [str(error)]

    def _read_ids(self) -> np.ndarray:
        names: list[str] = []
        for index in range(self._manifest.n_shards):
            rows = self._manifest.rows(index)
            names += (
                [""] * (rows.stop - rows.start)
                if index in self._absent
                else shards.read_ids(self.path, self._manifest, index)
            )
        if not self._absent and fingerprint_strings(names) != self._manifest.ids_fingerprint:
            raise StoreDamaged("ids differ from the manifest's", where=str(self.path))
        return np.array(names, dtype=np.str_)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.ids.tolist())}

    def _check_available(self, wanted: np.ndarray) -> None:
        missing = wanted[~self.available[wanted]]
        if missing.size:
            raise InputError(
                f"rows {first_few(missing.tolist())} are not extracted yet",
                where=str(self.path),
                allowed="rows that are `available`",
            )

    def _row_numbers(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
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
                allowed="row numbers (n,), integers, or a mask of booleans",
            )
        outside = given[(given < 0) | (given >= len(self))]
        if outside.size:
            raise InputError(
                f"no rows {first_few(outside.tolist())}",
                where=str(self.path),
                allowed=f"0 to {len(self) - 1}",
            )
        return given.astype(np.int64)


def _check_file(path: Path) -> list[str]:
    try:
        return [f"{problem} in {str(path)!r}" for problem in check_bytes(path)]
    except StoreUnavailable as error:
        return [str(error)]


def _runs(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Indices start, start + 1, ... of each run, one run after the other."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


def _mark_as_used(folder: Path) -> None:
    """Set the time of last use, by which `w2sprobe store gc` finds unused stores."""
    with suppress(OSError):  # a read-only folder
        os.utime(folder / MANIFEST)
