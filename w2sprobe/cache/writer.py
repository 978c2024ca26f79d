"""Writing a store, shard by shard; a kill loses the shard in work and nothing else."""

import json
import operator
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from w2sprobe.atomic import atomic_path, make_folder
from w2sprobe.cache import layout
from w2sprobe.cache.locks import (
    LOCK_PREFIX,
    MANIFEST_LOCK,
    POLL_SECONDS,
    Locks,
    is_working_file,
)
from w2sprobe.cache.reader import ActivationStore
from w2sprobe.errors import (
    IdMismatch,
    InputError,
    OutputError,
    StoreMismatch,
    first_few,
)
from w2sprobe.fingerprint import fingerprint_strings

ROWS_PER_SHARD = 1024
MANIFEST_WAIT = 600.0  # seconds for another process to write its few lines


class ActivationWriter:
    """A store in the making; `create` starts, resumes or extends one.

    Several processes may each have one for the same folder: `claims` hands every shard to one of
    them. As a context manager it gives the shards back that it holds.

    Attributes
    ----------
    path : Path
        Folder of the store.
    layers : tuple of int
        Layers that this writer sees to, ascending: those asked for; where one of them is missing,
        all that the store has or that somebody else began, too.
    """

    def __init__(
        self, path: Path, manifest: layout.Manifest, ids: list[str], asked: tuple[int, ...]
    ) -> None:
        self.path = path
        self.layers = asked if {*asked} <= {*manifest.layers} else manifest.target
        self._manifest, self._ids = manifest, ids
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
        path : str or Path
            Folder of the store.
        identity : mapping
            All that determines the values, as JSON; its fingerprint is the store's address.
        ids : sequence of str, length n
            Unique row ids, in the order of the rows.
        layers : sequence of int
            Not negative, unique; any order. Those that the store has already are not written
            again.
        hidden_size : int
            Width of every layer.
        dtype : {"float32", "float16", "bfloat16"}
            Of the arrays that will be written; nothing is cast.
        model : str
            How the user calls the model; for readers of the manifest.
        ragged : bool, default False
            A row has any number of vectors instead of one.
        compression : {"bitshuffle-zstd"}, optional
            Lossless. A folder that is a store already keeps its own.
        rows_per_shard : int, default 1024
            Of a new store; a folder that is a store already keeps its own.

        Returns
        -------
        ActivationWriter

        Raises
        ------
        InputError
            An argument is out of range, or the folder holds files that are no store or a store of
            another format version.
        UnknownName
            Not a dtype or a compression.
        IdMismatch
            An id occurs twice.
        StoreMismatch
            The folder is a store of something else; the message shows the differences.
        StoreDamaged
            The folder's manifest is not what was written.
        OutputError
            The folder cannot be created or written to.
        """
        folder, names = Path(path), _checked_ids(ids)
        layout.stored_type(dtype)
        layout.check_compression(compression)
        wanted = layout.Manifest(
            identity=_as_json(identity, "identity"),
            model=model,
            ids_fingerprint=fingerprint_strings(names),
            n_rows=len(names),
            rows_per_shard=_at_least(1, "rows_per_shard", rows_per_shard),
            hidden_size=_at_least(1, "hidden_size", hidden_size),
            dtype=dtype,
            ragged=ragged,
            compression=compression,
            layers=(),
            pending=_checked_layers(layers),
        )
        if layout.has_manifest(folder):
            stored = _read_same(folder, wanted)
            if set(wanted.pending) <= set(stored.target):
                _drop_dead_lock(folder)
                return cls(folder, stored, names, wanted.pending)
        else:
            _check_empty(folder)
            make_folder(folder)
        with _manifest_lock(folder):
            stored = _read_same(folder, wanted) if layout.has_manifest(folder) else wanted
            stored = stored.extended(wanted.pending)
            layout.write_manifest(folder, stored)
        return cls(folder, stored, names, wanted.pending)

    def __enter__(self) -> "ActivationWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._locks.close()

    def is_complete(self) -> bool:
        """Whether nothing is left to do, going by the manifest and the names of the files."""
        present = layout.present_shards(self.path, self._manifest)
        return {*self.layers} <= {*self._manifest.layers} and len(present) == self.n_shards

    def reopen(self) -> ActivationStore:
        """Open a complete store, as a reader; makes `activations.h5` again where it is lost."""
        lost = not (self.path / layout.WHOLE).is_file()
        if lost and os.access(self.path, os.W_OK):
            self._write_whole(self._manifest)
        return ActivationStore.open(self.path)

    def has_shards_of(self, rows: int) -> bool:
        """Whether the folder's shards are cut like this; one that was a store keeps its own."""
        return self._manifest.rows_per_shard == rows

    @property
    def n_shards(self) -> int:
        """Shards of the finished store."""
        return self._manifest.n_shards

    def missing(self) -> list[tuple[int, slice]]:
        """Shards that lack a layer, ascending, each with the rows that it holds."""
        return [
            (index, self._manifest.rows(index))
            for index in range(self._manifest.n_shards)
            if self.needed(index)
        ]

    def needed(self, index: int) -> list[int]:
        """Layers that a shard still lacks."""
        return layout.absent_layers(self.path, self._manifest, index, self.layers)

    def lacking(self) -> float:
        """How many layers there are still to write, a partly written one counting as its share."""
        shapes = (
            (self._manifest.rows(index), self.needed(index)) for index in range(self.n_shards)
        )
        cells = sum(len(needed) * (rows.stop - rows.start) for rows, needed in shapes)
        return float(cells / self._manifest.n_rows)

    def claims(self, *, start: float = 0.0) -> Iterator[tuple[int, slice]]:
        """Hand out the missing shards, each to one of the processes that work on the store.

        A shard is held until `write_shard` has written it. When all are handed out, waits for
        those of other processes, and hands them out again should their owner die.

        Parameters
        ----------
        start : float, default 0, in [0, 1)
            Where among the missing shards to begin, so that processes seldom meet.

        Yields
        ------
        tuple of int and slice
            A shard and its rows.
        """
        todo = [index for index, _ in self.missing()]
        first = int(start * len(todo))
        todo = todo[first:] + todo[:first]
        make_folder(self.path / layout.SHARDS)  # for the locks
        while todo:
            busy = []
            for index in todo:
                if not self.needed(index):
                    continue
                if not self._locks.take(self._lock(index)):
                    busy.append(index)
                elif self.needed(index):  # nobody finished it between the look and the lock
                    yield index, self._manifest.rows(index)
                else:
                    self._locks.give_back(self._lock(index))
            todo = busy
            if todo:
                time.sleep(POLL_SECONDS)

    def write_shard(
        self, index: int, states: Mapping[int, np.ndarray], offsets: np.ndarray | None = None
    ) -> None:
        """Write one shard; it appears complete or not at all.

        Parameters
        ----------
        index : int
            From `claims` or `missing`.
        states : mapping of int to ndarray, shape (vectors, hidden_size)
            The layers that are `needed`, in the store's dtype; bfloat16 as uint16 bit patterns.
            Finite.
        offsets : ndarray of int, shape (rows + 1,), optional
            Of a ragged store: vectors before each row, and in all.

        Raises
        ------
        InputError
            No such shard; a layer too many or too few; another shape or type; a value that is not
            finite (names layer and row id).
        StoreDamaged
            The shard has other layers already, and they are damaged.
        OutputError
            The disk is full or cannot be written to.
        """
        if index not in range(self._manifest.n_shards):
            raise InputError(f"no shard {index!r}", allowed=f"0 to {self._manifest.n_shards - 1}")
        ids = self._ids[self._manifest.rows(index)]
        needed = self.needed(index)
        if set(states) != set(needed):
            raise InputError(f"layers {sorted(states)}, shard {index}", allowed=f"exactly {needed}")
        if (offsets is None) == self._manifest.ragged:
            raise InputError(
                f"offsets are {'missing' if offsets is None else 'given'}, shard {index}",
                allowed="offsets of a ragged store, and of no other",
            )
        for layer in needed:
            self._check_values(index, layer, states[layer], ids, offsets)
        path = self.path / layout.shard_name(index)
        try:
            with atomic_path(path) as temporary:
                # what other extractions put there stays, read with all its checks
                kept = {
                    layer: layout.read_layer(self.path, self._manifest, index, layer)
                    for layer in layout.layers_of(path)
                    if layer not in states
                }
                layout.write_shard(
                    temporary,
                    self._manifest,
                    index,
                    ids,
                    self._id_bytes,
                    {**kept, **states},
                    offsets,
                )
        # HDF5 reports a full disk as either, depending on whether it happens to be closing
        except (OSError, RuntimeError) as error:
            raise OutputError(
                f"cannot write {str(path)!r}: {error}",
                advice="What was written before is safe; run the same extraction again to go on.",
            ) from error
        finally:
            self._locks.give_back(self._lock(index))

    def finish(self, run: Mapping[str, Any]) -> ActivationStore:
        """Declare the store complete and open it.

        Parameters
        ----------
        run : mapping
            What is worth knowing about this extraction, as JSON. Not part of the address, and not
            kept where nothing was pending.

        Returns
        -------
        ActivationStore

        Raises
        ------
        InputError
            A shard is missing, or `run` is not JSON.
        """
        note = _as_json(run, "run")
        missing = [index for index, _ in self.missing()]
        if missing:
            raise InputError(
                f"cannot finish: shards {first_few(missing)} are missing", where=str(self.path)
            )
        if not self._is_finished():
            with _manifest_lock(self.path):
                stored = layout.read_manifest(self.path)
                if set(self.layers) - set(stored.layers):
                    stored = stored.finished(self.layers, {"layers": list(self.layers), **note})
                self._write_whole(stored)
                # what killed runs left behind; another process may be at work on further layers
                if not stored.pending:
                    for stray in self.path.rglob(".*"):
                        if is_working_file(stray.name) and stray.name != MANIFEST_LOCK:  # ours
                            stray.unlink(missing_ok=True)
                layout.write_manifest(self.path, stored)
        return ActivationStore.open(self.path)

    def _is_finished(self) -> bool:
        stored = layout.read_manifest(self.path)
        return set(self.layers) <= set(stored.layers) and not layout.check_whole(self.path)

    def _write_whole(self, manifest: layout.Manifest) -> None:
        offsets = layout.read_all_offsets(self.path, manifest)
        layout.write_whole(self.path, manifest, self._ids, offsets)

    def _lock(self, index: int) -> Path:
        path = self.path / layout.shard_name(index)
        return path.with_name(f"{LOCK_PREFIX}{path.stem}")

    def _check_values(
        self,
        index: int,
        layer: int,
        values: np.ndarray,
        ids: list[str],
        offsets: np.ndarray | None,
    ) -> None:
        dtype = self._manifest.dtype
        n = len(ids) if offsets is None else int(offsets[-1])
        shape = (n, self._manifest.hidden_size)
        where = f"layer {layer}, shard {index}"
        if values.dtype != layout.stored_type(dtype):
            raise InputError(
                f"values of type {values.dtype}",
                where=where,
                allowed=f"{layout.stored_type(dtype)} for {dtype}; nothing is cast",
            )
        if values.shape != shape:
            raise InputError(f"values of shape {values.shape}", where=where, allowed=f"{shape}")
        bad = np.flatnonzero(layout.non_finite(values, dtype).any(axis=1))
        if bad.size:
            rows = bad if offsets is None else np.searchsorted(offsets, bad, side="right") - 1
            names = [ids[row] for row in np.unique(rows)]
            raise InputError(
                f"non-finite activations for ids {first_few(names)}",
                where=where,
                advice="float16 ends at 65,504; use bfloat16 or float32." * (dtype == "float16"),
            )


def is_store(path: str | Path) -> bool:
    """Whether the folder is a store, finished or not."""
    return layout.has_manifest(Path(path))


def _checked_ids(ids: Sequence[str] | np.ndarray) -> list[str]:
    names = list(ids.tolist() if isinstance(ids, np.ndarray) else ids)
    if not names:
        raise InputError("a store needs at least one row")
    for row, name in enumerate(names):
        # HDF5 pads strings with NUL, and UTF-8 has no lone surrogates
        if not isinstance(name, str) or not name or "\0" in name or not _encodes(name):
            raise InputError(f"id {name!r}, row {row}", allowed="a non-empty string without NUL")
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise IdMismatch(f"doubled ids {first_few(doubled)}")
    return names


def _encodes(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _checked_layers(layers: Sequence[int]) -> tuple[int, ...]:
    numbers = [_at_least(0, "layer", layer) for layer in layers]
    if not numbers or len(set(numbers)) < len(numbers):
        raise InputError(f"layers {numbers}", allowed="at least one, each once")
    return tuple(sorted(numbers))


def _at_least(least: int, name: str, value: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise InputError(f"{name} {value!r}", allowed=f"integer, at least {least}")
    return number


def _as_json(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What a reader of the file will get."""
    try:
        content: dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not JSON: {error}") from error
    return content


def _check_empty(folder: Path) -> None:
    """Refuse a folder with anything in it but what a killed run left."""
    if folder.is_dir():
        names = sorted(item.name for item in folder.iterdir())
        foreign = [name for name in names if not is_working_file(name)]
        # another process may have written the manifest since we looked
        if foreign and not layout.has_manifest(folder):
            raise InputError(
                f"{str(folder)!r} is not an activation store and not empty: {first_few(foreign)}",
                advice="Choose a new folder.",
            )


def _drop_dead_lock(folder: Path) -> None:
    """Clear what a process left that was killed when it had just finished the store."""
    lock = folder / MANIFEST_LOCK
    if lock.exists() and os.access(folder, os.W_OK):
        locks = Locks()
        locks.take(lock)
        locks.close()


@contextmanager
def _manifest_lock(folder: Path) -> Iterator[None]:
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


def _read_same(folder: Path, wanted: layout.Manifest) -> layout.Manifest:
    """Manifest of the store in the folder, refused unless it is of the same thing."""
    stored = layout.read_manifest(folder)
    differences = [
        f"{key}: stored {found.get(key, '(none)')!r}, wanted {asked.get(key, '(none)')!r}"
        for found, asked in [(_facts(stored), _facts(wanted))]
        for key in sorted({**found, **asked})
        if found.get(key, ...) != asked.get(key, ...)
    ]
    if differences:
        raise StoreMismatch(
            f"the store holds something else: {'; '.join(differences)}",
            where=str(folder),
            advice="Choose another folder, or delete this one.",
        )
    return stored


def _facts(manifest: layout.Manifest) -> dict[str, Any]:
    """What must agree, with a dotted name for each entry of the identity."""
    return {
        **_flat(manifest.identity),
        "ids": manifest.ids_fingerprint,
        "n_rows": manifest.n_rows,
        "hidden_size": manifest.hidden_size,
        "dtype": manifest.dtype,
        "ragged": manifest.ragged,
    }


def _flat(value: Mapping[str, Any], prefix: str = "identity.") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict) and item:
            flat |= _flat(item, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = item
    return flat
