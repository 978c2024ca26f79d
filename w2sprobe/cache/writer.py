"""Writing a store, shard by shard; a kill loses the shard in work and nothing else."""

import json
import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from w2sprobe.atomic import PREFIX, atomic_path, make_folder
from w2sprobe.cache import layout
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


class ActivationWriter:
    """A store in the making; `create` starts or resumes one.

    Attributes
    ----------
    path : Path
        Folder of the store.
    """

    def __init__(
        self, path: Path, manifest: layout.Manifest, ids: list[str], todo: set[int]
    ) -> None:
        self.path, self._manifest, self._ids, self._todo = path, manifest, ids, todo

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
        rows_per_shard: int = ROWS_PER_SHARD,
    ) -> "ActivationWriter":
        """Start a store in a new folder, resume an unfinished one, or accept a finished one.

        Shards found in an unfinished store are read and compared with their checksums; a damaged
        one counts as missing.

        Parameters
        ----------
        path : str or Path
            Folder of the store.
        identity : mapping
            All that determines the values, as JSON; its fingerprint is the store's address.
        ids : sequence of str, length n
            Unique row ids, in the order of the rows.
        layers : sequence of int
            Not negative, unique; any order. A finished store may hold more.
        hidden_size : int
            Width of every layer.
        dtype : {"float32", "float16", "bfloat16"}
            Of the arrays that will be written; nothing is cast.
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
        wanted = layout.Manifest(
            identity=_as_json(identity, "identity"),
            ids_fingerprint=fingerprint_strings(names),
            n_rows=len(names),
            rows_per_shard=_at_least(1, "rows_per_shard", rows_per_shard),
            layers=_checked_layers(layers),
            hidden_size=_at_least(1, "hidden_size", hidden_size),
            dtype=dtype,
        )
        if not layout.has_manifest(folder):
            _check_empty(folder)
            make_folder(folder)
            layout.write_manifest(folder, wanted)
            return cls(folder, wanted, names, set(range(wanted.n_shards)))
        stored = layout.read_manifest(folder)
        _check_same(folder, stored, wanted)
        todo = set(layout.absent_shards(folder, stored))
        if stored.report is None:
            present = set(range(stored.n_shards)) - todo
            todo |= {index for index in present if layout.check_shard(folder, stored, index)}
        return cls(folder, stored, names, todo)

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers that `write_shard` wants, ascending: those of the folder.

        They may be more than were asked for when the store was finished before.
        """
        return self._manifest.layers

    def missing(self) -> list[tuple[int, slice]]:
        """Shards still to write, ascending, each with the rows that it holds."""
        return [(index, self._manifest.rows(index)) for index in sorted(self._todo)]

    def write_shard(self, index: int, states: Mapping[int, np.ndarray]) -> None:
        """Write one shard; it appears complete or not at all.

        Parameters
        ----------
        index : int
            From `missing`.
        states : mapping of int to ndarray, shape (rows, hidden_size)
            One array a layer, in the store's dtype; bfloat16 as uint16 bit patterns. Finite.

        Raises
        ------
        InputError
            No such shard; a layer too many or too few; another shape or type; a value that is not
            finite (names layer and row id).
        OutputError
            The disk is full or cannot be written to.
        """
        if index not in range(self._manifest.n_shards):
            raise InputError(f"no shard {index!r}", allowed=f"0 to {self._manifest.n_shards - 1}")
        ids = self._ids[self._manifest.rows(index)]
        if set(states) != set(self.layers):
            raise InputError(
                f"layers {sorted(states)}, shard {index}",
                allowed=f"exactly {list(self.layers)}",
            )
        for layer in self.layers:
            self._check_values(index, layer, states[layer], ids)
        path = self.path / layout.shard_name(index)
        try:
            with atomic_path(path) as temporary:
                layout.write_shard(temporary, self._manifest, index, ids, states)
        # HDF5 reports a full disk as either, depending on whether it happens to be closing
        except (OSError, RuntimeError) as error:
            raise OutputError(
                f"cannot write {str(path)!r}: {error}",
                advice="What was written before is safe; run the same extraction again to go on.",
            ) from error
        self._todo.discard(index)

    def finish(self, report: Mapping[str, Any]) -> ActivationStore:
        """Declare the store complete and open it.

        Parameters
        ----------
        report : mapping
            What is worth knowing about the extraction, as JSON. Not part of the address. A store
            that was finished before keeps its own.

        Returns
        -------
        ActivationStore

        Raises
        ------
        InputError
            A shard is missing, or the report is not JSON.
        """
        if self._todo:
            raise InputError(
                f"cannot finish: shards {first_few(sorted(self._todo))} are missing",
                where=str(self.path),
            )
        if self._manifest.report is None:
            # what killed runs left behind
            for stray in self.path.rglob(f"{PREFIX}*"):
                stray.unlink(missing_ok=True)
            self._manifest = self._manifest.finished(_as_json(report, "report"))
            layout.write_manifest(self.path, self._manifest)
        return ActivationStore.open(self.path)

    def _check_values(self, index: int, layer: int, values: np.ndarray, ids: list[str]) -> None:
        dtype, shape = self._manifest.dtype, self._manifest.shape(index)
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
            raise InputError(
                f"non-finite activations for ids {first_few([ids[row] for row in bad])}",
                where=where,
                advice="float16 ends at 65,504; use bfloat16 or float32." * (dtype == "float16"),
            )


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
        foreign = sorted(item.name for item in folder.iterdir() if not item.name.startswith(PREFIX))
        if foreign:
            raise InputError(
                f"{str(folder)!r} is not an activation store and not empty: {first_few(foreign)}",
                advice="Choose a new folder.",
            )


def _check_same(folder: Path, stored: layout.Manifest, wanted: layout.Manifest) -> None:
    differences = [
        f"{key}: stored {found.get(key, '(none)')!r}, wanted {asked.get(key, '(none)')!r}"
        for found, asked in [(_facts(stored), _facts(wanted))]
        for key in sorted({**found, **asked})
        if found.get(key, ...) != asked.get(key, ...)
    ]
    finished, asked, held = stored.report is not None, set(wanted.layers), set(stored.layers)
    if not (asked <= held if finished else asked == held):
        differences.append(f"layers: stored {list(stored.layers)}, wanted {list(wanted.layers)}")
    if differences:
        raise StoreMismatch(
            f"the store holds something else: {'; '.join(differences)}",
            where=str(folder),
            advice="Choose another folder, or delete this one.",
        )


def _facts(manifest: layout.Manifest) -> dict[str, Any]:
    """What must agree, with a dotted name for each entry of the identity."""
    return {
        **_flat(manifest.identity),
        "ids": manifest.ids_fingerprint,
        "n_rows": manifest.n_rows,
        "hidden_size": manifest.hidden_size,
        "dtype": manifest.dtype,
    }


def _flat(value: Mapping[str, Any], prefix: str = "identity.") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict) and item:
            flat |= _flat(item, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = item
    return flat
