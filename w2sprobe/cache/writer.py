"""Writing a store shard by shard; a kill loses the shards that were being written, no others."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from w2sprobe.atomic import atomic_path, make_folder
from w2sprobe.cache import shards
from w2sprobe.cache.arguments import (
    as_json,
    check_offsets,
    check_values,
    checked_ids,
    checked_integer,
    checked_layers,
)
from w2sprobe.cache.dtypes import stored_type
from w2sprobe.cache.hdf5 import check_bytes, check_compression
from w2sprobe.cache.layout import SHARDS, VIRTUAL, shard_name
from w2sprobe.cache.locks import (
    LOCK_PREFIX,
    MANIFEST_LOCK,
    POLL_SECONDS,
    Locks,
    is_working_file,
)
from w2sprobe.cache.manifest import Manifest, is_store, read_manifest, write_manifest
from w2sprobe.cache.matching import check_empty, read_same_manifest
from w2sprobe.cache.reader import ActivationStore
from w2sprobe.cache.virtual import write_virtual
from w2sprobe.errors import InputError, OutputError, first_few
from w2sprobe.fingerprint import fingerprint_strings

ROWS_PER_SHARD = 1024
MANIFEST_WAIT = 600.0  # seconds for another process to write its few lines


class ActivationWriter:
    """Writer of a store; `create` starts, resumes or extends one.

    Several processes may have a writer for the same folder: `claims` gives each shard to one of
    them. Used as a context manager, a writer releases its shards at the end.

    Attributes
    ----------
    path : Path
        Folder of the store.
    layers : tuple of int
        Layers that this writer writes or waits for, ascending: the requested ones if the store
        already has them; otherwise all layers of the finished store, as each shard is rewritten
        with all of them.
    """

    def __init__(
        self, path: Path, manifest: Manifest, ids: list[str], requested: tuple[int, ...]
    ) -> None:
        self.path = path
        self.layers = requested if {*requested} <= {*manifest.layers} else manifest.target
        self._manifest, self._ids = manifest, ids
        # ids have the same width in every shard, so that equal values give equal bytes
        self._id_bytes = max(len(name.encode()) for name in ids)
        self._locks = Locks()

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        identity: Mapping[str, Any],
        ids: Sequence[str] | np.ndarray,
        layers: Sequence[int],
        hidden_size: int,
        dtype: str,
        model: str = "",
        ragged: bool = False,
        compression: str | None = None,
        rows_per_shard: int = ROWS_PER_SHARD,
    ) -> "ActivationWriter":
        """Start a store in a new folder, resume or extend one, or accept a finished one.

        Parameters
        ----------
        identity : mapping
            Everything that determines the values, as JSON; its fingerprint is the store's address.
        dtype : {"float32", "float16", "bfloat16"}
            Type of the arrays that will be written; nothing is cast.
        model : str
            Name of the model, for readers of the manifest.
        ragged : bool, default False
            A row has any number of vectors instead of one.
        compression : {"bitshuffle-zstd"}, optional
            Lossless. An existing store keeps its own, and its `rows_per_shard`.

        Raises
        ------
        InputError
            An argument is out of range, or the folder holds other files.
        UnknownName
            Unknown dtype or compression.
        IdMismatch
            An id occurs twice.
        StoreMismatch
            The folder holds another store; the message lists the differences.
        StoreDamaged
            The folder's manifest differs from what was written.
        OutputError
            The folder cannot be created or written to.
        """
        folder, names = Path(path), checked_ids(ids)
        stored_type(dtype)
        check_compression(compression)
        wanted = Manifest(
            identity=as_json(identity, "identity"),
            model=model,
            ids_fingerprint=fingerprint_strings(names),
            n_rows=len(names),
            rows_per_shard=checked_integer(rows_per_shard, "rows_per_shard", minimum=1),
            hidden_size=checked_integer(hidden_size, "hidden_size", minimum=1),
            dtype=dtype,
            ragged=ragged,
            compression=compression,
            layers=(),
            pending=checked_layers(layers),
        )
        return cls(folder, _start_or_extend(folder, wanted), names, wanted.pending)

    def __enter__(self) -> "ActivationWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._locks.close()

    def is_complete(self) -> bool:
        """Whether nothing is left to do, going by the manifest and the names of the files."""
        present = shards.present_shards(self.path, self._manifest)
        return {*self.layers} <= {*self._manifest.layers} and len(present) == self.n_shards

    def reopen(self) -> ActivationStore:
        """Open a complete store for reading; makes a lost `activations.h5` again."""
        lost = not (self.path / VIRTUAL).is_file()
        if lost and os.access(self.path, os.W_OK):
            self._write_virtual(self._manifest)
        return ActivationStore.open(self.path)

    @property
    def rows_per_shard(self) -> int:
        """Rows of a shard; an existing store keeps its own."""
        return self._manifest.rows_per_shard

    @property
    def n_shards(self) -> int:
        """Shards of the finished store."""
        return self._manifest.n_shards

    def missing(self) -> list[tuple[int, slice]]:
        """Shards that lack a layer, ascending, each with the rows that it holds."""
        return [
            (index, self._manifest.rows(index))
            for index in range(self.n_shards)
            if self.needed(index)
        ]

    def needed(self, index: int) -> list[int]:
        """Layers that a shard still lacks."""
        stored = shards.stored_layers(self.path, self._manifest, index)
        # A lost or damaged shard needs every layer that the manifest promises, not only the
        # requested ones.
        wanted = self.layers if stored else sorted({*self.layers, *self._manifest.target})
        return [layer for layer in wanted if layer not in stored]

    def n_layers_missing(self) -> float:
        """Number of layers to be written; a partly written layer counts as its missing share."""
        n_missing = 0  # rows, once per layer that they lack
        for index in range(self.n_shards):
            rows = self._manifest.rows(index)
            n_missing += len(self.needed(index)) * (rows.stop - rows.start)
        return n_missing / self._manifest.n_rows

    def claims(self, *, start: float = 0.0) -> Iterator[tuple[int, slice]]:
        """Hand out the missing shards, each to one of the processes that work on the store.

        A shard is locked until `write_shard` has written it. When all are handed out, waits for
        those of other processes, and hands them out again if their owner dies.

        Parameters
        ----------
        start : float, default 0, in [0, 1)
            Fraction of the missing shards at which to begin, so that processes seldom meet.

        Yields
        ------
        tuple of int and slice
            A shard and its rows.
        """
        todo = [index for index, _ in self.missing()]
        first = int(start * len(todo))
        todo = todo[first:] + todo[:first]
        make_folder(self.path / SHARDS)  # for the locks
        while todo:
            busy = []
            for index in todo:
                if not self.needed(index):
                    continue
                if not self._locks.acquire(self._lock(index)):
                    busy.append(index)
                # checked again: another process may have finished it just before the lock was taken
                elif self.needed(index):
                    yield index, self._manifest.rows(index)
                else:
                    self._locks.release(self._lock(index))
            todo = busy
            if todo:
                time.sleep(POLL_SECONDS)

    def write_shard(
        self,
        index: int,
        states: Mapping[int, np.ndarray],
        offsets: np.ndarray | None = None,
        roles: np.ndarray | None = None,
    ) -> None:
        """Write one shard; it appears complete or not at all.

        Parameters
        ----------
        index : int
            From `claims` or `missing`.
        states : mapping of int to ndarray, shape (vectors, hidden_size)
            The layers that are `needed`, finite, in the store's dtype; bfloat16 as uint16 bit
            patterns.
        offsets : ndarray of int, shape (rows + 1,), optional
            For a ragged store: vectors before each row, and in all.
        roles : ndarray of int8, shape (vectors,), optional
            For a ragged store of conversations: 0 where a token is the template's, 1 where it is
            what the system says, 2 the user, 3 the assistant.

        Raises
        ------
        InputError
            No such shard; a layer too many or too few; another shape or type; offsets that do not
            start at 0, or decrease; a value that is not finite (names layer and row id).
        StoreDamaged
            The shard already has other layers, and they are damaged.
        OutputError
            The disk is full or cannot be written to.
        """
        self._check_shard(index, states, offsets, roles)
        path = self.path / shard_name(index)
        try:
            # temporary file, fsync, rename: readers see the old shard or the new one, and a kill
            # leaves at most a stray temporary file
            with atomic_path(path) as temporary:
                # layers of other extractions stay; each is compared with its checksum, so that
                # damage is not sealed with a fresh one
                kept = {
                    layer: shards.read_layer(self.path, self._manifest, index, layer)
                    for layer in shards.stored_layers(self.path, self._manifest, index)
                    if layer not in states
                }
                shards.write_shard(
                    temporary,
                    self._manifest,
                    index,
                    self._ids[self._manifest.rows(index)],
                    self._id_bytes,
                    {**kept, **states},
                    offsets,
                    roles,
                )
        # h5py raises RuntimeError where HDF5 itself fails
        except (OSError, RuntimeError) as error:
            raise OutputError(
                f"cannot write {str(path)!r}: {error}",
                advice="What was written before is safe; run the same extraction again to go on.",
            ) from error
        finally:
            # released after the rename: whoever takes the lock next sees the finished shard
            self._locks.release(self._lock(index))

    def finish(self, run: Mapping[str, Any]) -> ActivationStore:
        """Declare the store complete and open it.

        Parameters
        ----------
        run : mapping
            Facts about this extraction for the manifest, as JSON. Not part of the address, and
            dropped where nothing was pending.

        Raises
        ------
        InputError
            A shard is missing, or `run` is not JSON.
        """
        note = as_json(run, "run")
        missing = [index for index, _ in self.missing()]
        if missing:
            raise InputError(
                f"cannot finish: shards {first_few(missing)} are missing", where=str(self.path)
            )
        if not self._is_finished():
            # of several processes, the last to finish writes the manifest; the others wait
            with _manifest_lock(self.path):
                stored = read_manifest(self.path)
                if set(self.layers) - set(stored.layers):
                    stored = stored.finished(self.layers, {"layers": list(self.layers), **note})
                self._write_virtual(stored)
                if not stored.pending:  # else another process is at work on further layers
                    self._delete_leftovers()
                # last: a manifest that lists the layers promises that everything else is there
                write_manifest(self.path, stored)
        return ActivationStore.open(self.path)

    def _check_shard(
        self,
        index: int,
        states: Mapping[int, np.ndarray],
        offsets: np.ndarray | None,
        roles: np.ndarray | None,
    ) -> None:
        if index not in range(self.n_shards):
            raise InputError(f"no shard {index!r}", allowed=f"0 to {self.n_shards - 1}")
        needed = self.needed(index)
        if set(states) != set(needed):
            raise InputError(f"layers {sorted(states)}, shard {index}", allowed=f"exactly {needed}")
        if self._manifest.ragged and offsets is None:
            raise InputError(f"shard {index} of a ragged store without offsets")
        if not self._manifest.ragged and offsets is not None:
            raise InputError(f"offsets for shard {index} of a store that is not ragged")
        n_roles = None if roles is None else len(roles)
        expected = int(offsets[-1]) if self._manifest.has_roles and offsets is not None else None
        if n_roles != expected:
            raise InputError(f"{n_roles} roles of tokens, shard {index}", allowed=str(expected))
        ids = self._ids[self._manifest.rows(index)]
        if offsets is not None:
            check_offsets(offsets, len(ids), f"shard {index}")
        dtype, width = self._manifest.dtype, self._manifest.hidden_size
        for layer in needed:
            where = f"layer {layer}, shard {index}"
            check_values(states[layer], dtype, width, ids, offsets, where)

    def _is_finished(self) -> bool:
        stored = read_manifest(self.path)
        return set(self.layers) <= set(stored.layers) and not check_bytes(self.path / VIRTUAL)

    def _write_virtual(self, manifest: Manifest) -> None:
        offsets = shards.read_all_offsets(self.path, manifest)
        roles = shards.read_all_roles(self.path, manifest) if manifest.has_roles else None
        write_virtual(self.path, manifest, self._ids, offsets, roles)

    def _delete_leftovers(self) -> None:
        """Delete temporary files and locks of killed runs, except the lock of the manifest."""
        # that lock is held by this process; in `neighbors`, another may be writing a graph
        for stray in (*self.path.glob(".*"), *(self.path / SHARDS).glob(".*")):
            if is_working_file(stray.name) and stray.name != MANIFEST_LOCK:
                stray.unlink(missing_ok=True)

    def _lock(self, index: int) -> Path:
        path = self.path / shard_name(index)
        return path.with_name(f"{LOCK_PREFIX}{path.stem}")


def _start_or_extend(folder: Path, wanted: Manifest) -> Manifest:
    """Manifest of the store in the folder, with the layers that are wanted."""
    if is_store(folder):
        stored = read_same_manifest(folder, wanted)
        # nothing to add: the folder may be read-only, so the manifest is left as it is
        if set(wanted.pending) <= set(stored.target):
            _drop_dead_locks(folder)
            return stored
    else:
        check_empty(folder)
        make_folder(folder)
    with _manifest_lock(folder):
        # read again under the lock: another process may have started the store, or added layers
        stored = read_same_manifest(folder, wanted) if is_store(folder) else wanted
        stored = stored.extended(wanted.pending)
        write_manifest(folder, stored)
    return stored


def _drop_dead_locks(folder: Path) -> None:
    """Delete the lock of a process that was killed just after it had finished the store."""
    # also one that the process had already renamed to delete it
    for lock in folder.glob(f"{MANIFEST_LOCK}*"):
        if os.access(folder, os.W_OK):
            locks = Locks()
            locks.acquire(lock)  # fails where the owner is alive
            locks.close()


@contextmanager
def _manifest_lock(folder: Path) -> Iterator[None]:
    """Hold the lock under which the manifest is read, changed and written."""
    locks = Locks()
    if not locks.wait(folder / MANIFEST_LOCK, MANIFEST_WAIT):
        raise OutputError(
            f"another process holds {str(folder / MANIFEST_LOCK)!r} for {MANIFEST_WAIT:.0f} s",
            advice="If no other extraction is running, delete that file.",
        )
    try:
        yield
    finally:
        locks.close()
