"""Predictions of probes, one layer at a time: in memory, and as a folder of Parquet files."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2sprobe.atomic import atomic_path, write_json
from w2sprobe.errors import InputError, UnknownName

TEXT = pa.dictionary(pa.int32(), pa.string())
COLUMNS = pa.schema(
    [
        ("id", TEXT),
        ("split", TEXT),
        ("layer", pa.int64()),
        ("probe", TEXT),
        ("setting", TEXT),
        ("value", pa.float64()),
        ("labels", TEXT),
        ("p", pa.float64()),
        ("fold", pa.int64()),
    ]
)
# Splits. The first three hold the training rows, predicted in three ways.
TRAIN: Final = "train"  # cross-fitted: by fits on the other folds
LEAVE_ONE_OUT: Final = "leave_one_out"  # by a fit on all other rows
IN_SAMPLE: Final = "in_sample"  # by a fit that includes the row itself
FILTERED_OUT: Final = "filtered_out"  # rows that no label vector is fitted on
COMPONENT = "topofilter_component"  # rows in the largest component of their class
MASKS = ("topofilter", COMPONENT)  # "probes" that give 1 for rows to keep, else 0
NOTE, LAYERS = "votes.json", "layers"


class FittedProbe(NamedTuple):
    """A probe, the value of its hyperparameter, and the label vector that it was fitted on."""

    probe: str
    setting: str | None
    value: float | None
    labels: str


@dataclass(frozen=True)
class LayerVotes:
    """Predictions of all probes on one layer.

    Parameters
    ----------
    rows : dict of str to ndarray of str
        Ids by split: `TRAIN`, `LEAVE_ONE_OUT` and `IN_SAMPLE` hold the training rows.
    fold : ndarray of int64, shape (n,)
        Fold in which each row of `TRAIN` was held out; empty without that split.
    p : dict of (FittedProbe, str) to ndarray of float64
        P(label = 1) by probe and split; for topofilter 1 for rows to keep, else 0.
    """

    layer: int
    rows: dict[str, np.ndarray]
    fold: np.ndarray
    p: dict[tuple[FittedProbe, str], np.ndarray]

    @cached_property
    def probes(self) -> tuple[FittedProbe, ...]:
        """The fitted probes, in the order of the fits."""
        return tuple(dict.fromkeys(probe for probe, _ in self.p))

    def of(self, probe: FittedProbe, split: str) -> np.ndarray:
        """Predictions of one probe for the rows of one split.

        Raises
        ------
        InputError
            There are none.
        """
        if (probe, split) not in self.p:
            raise InputError(
                f"no predictions of {describe(probe)} on {probe.labels!r} for {split}",
                where=f"layer {self.layer}",
                advice="Its labels may all be of one class.",
            )
        return self.p[probe, split]

    def only(self, wanted: Callable[[FittedProbe], bool]) -> "LayerVotes":
        """Return a copy with the predictions of some probes."""
        return replace(self, p={key: p for key, p in self.p.items() if wanted(key[0])})

    def table(self) -> pa.Table:
        """Table with `COLUMNS`: one row per probe, split and row of the data."""
        ids = list(dict.fromkeys(name for part in self.rows.values() for name in part.tolist()))
        position = {name: number for number, name in enumerate(ids)}
        codes = {
            split: np.array([position[name] for name in part.tolist()], dtype=np.int32)
            for split, part in self.rows.items()
        }
        blocks = list(self.p)  # rows of one probe and split, one block after another
        sizes = [len(p) for p in self.p.values()]
        fold = [
            pa.array(self.fold) if split == TRAIN else pa.nulls(len(self.rows[split]), pa.int64())
            for _, split in blocks
        ]
        columns: dict[str, Any] = {
            "id": pa.DictionaryArray.from_arrays(
                np.concatenate([codes[split] for _, split in blocks]), pa.array(ids, pa.string())
            ),
            "split": _repeated([split for _, split in blocks], sizes),
            "layer": np.full(sum(sizes), self.layer),
            "probe": _repeated([probe.probe for probe, _ in blocks], sizes),
            "setting": _repeated([probe.setting for probe, _ in blocks], sizes),
            "value": pa.array([probe.value for probe, _ in blocks], pa.float64()).take(
                pa.array(np.repeat(np.arange(len(blocks)), sizes))
            ),
            "labels": _repeated([probe.labels for probe, _ in blocks], sizes),
            "p": np.concatenate(list(self.p.values())),
            "fold": pa.chunked_array(fold, pa.int64()),
        }
        return pa.table(columns, schema=COLUMNS)

    @classmethod
    def of_table(cls, table: pa.Table) -> "LayerVotes":
        """Read a table as `table` returns it."""
        plain = table.combine_chunks()
        names = {name: _codes(plain[name]) for name in ("split", "probe", "setting", "labels")}
        value = plain["value"].to_numpy(zero_copy_only=False)
        # a block of rows has one probe and one split; a new one begins where any of these changes
        changes = (value[1:] != value[:-1]) & ~(np.isnan(value[1:]) & np.isnan(value[:-1]))
        for codes, _ in names.values():
            changes |= codes[1:] != codes[:-1]
        starts = [0, *(np.flatnonzero(changes) + 1).tolist()]
        ends = [*starts[1:], len(table)]
        id_codes, ids = _codes(plain["id"])
        every_id = np.array(ids, dtype=np.str_)
        p, fold = plain["p"].to_numpy(), plain["fold"].to_numpy(zero_copy_only=False)
        rows: dict[str, np.ndarray] = {}
        p_by_key: dict[tuple[FittedProbe, str], np.ndarray] = {}
        folds = np.empty(0, dtype=np.int64)
        for start, end in zip(starts, ends, strict=True):
            text = {name: known[codes[start]] for name, (codes, known) in names.items()}
            split = str(text.pop("split"))
            number = None if np.isnan(value[start]) else float(value[start])
            probe = FittedProbe(str(text["probe"]), text["setting"], number, str(text["labels"]))
            if split not in rows:
                rows[split] = every_id[id_codes[start:end]]
                if split == TRAIN:
                    folds = fold[start:end].astype(np.int64)
            p_by_key[probe, split] = p[start:end]
        return cls(int(table["layer"][0].as_py()), rows, folds, p_by_key)


@dataclass(frozen=True)
class Votes:
    """A folder of predictions: one Parquet file per layer, and a note of what they depend on.

    Parameters
    ----------
    identity : dict
        Everything that the predictions were computed from, as JSON.
    """

    folder: Path
    identity: Mapping[str, Any]
    layers: tuple[int, ...]

    @classmethod
    def open(cls, folder: str | Path) -> "Votes":
        """Open a folder that `w2sprobe.probing.fitting.predict_layers` has finished.

        Raises
        ------
        InputError
            No such folder, or an unfinished one.
        """
        note = Path(folder) / NOTE
        try:
            content = json.loads(note.read_text(encoding="utf-8"))
            votes = cls(Path(folder), content["identity"], tuple(content["layers"]))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"cannot read votes {str(note)!r}: {error}") from error
        if not votes.layers:
            raise InputError(
                "unfinished predictions",
                where=str(folder),
                advice="Run the same command again; it resumes.",
            )
        return votes

    def layer(self, layer: int) -> LayerVotes:
        """Read the predictions of one layer.

        Raises
        ------
        UnknownName
            No such layer.
        InputError
            Its file cannot be read.
        """
        if layer not in self.layers:
            raise UnknownName("layer", str(layer), list(map(str, self.layers)))
        path = layer_file(self.folder, layer)
        return _read_once(path, path.stat().st_mtime_ns if path.exists() else 0)

    def __iter__(self) -> Iterator[LayerVotes]:
        """Read layer by layer."""
        return map(self.layer, self.layers)


@lru_cache(maxsize=12)  # many methods read the same few layers, one after the other
def _read_once(path: Path, _changed: int) -> LayerVotes:
    return read_layer(path)


def layer_file(folder: Path, layer: int) -> Path:
    """Path of the predictions of a layer."""
    return folder / LAYERS / f"{layer:03d}.parquet"


def write_layer(votes: LayerVotes, path: Path) -> None:
    """Write the predictions of a layer atomically."""
    with atomic_path(path) as temporary:
        pq.write_table(votes.table(), temporary, compression="none")


def read_layer(path: Path) -> LayerVotes:
    """Read what `write_layer` wrote.

    Raises
    ------
    InputError
        It cannot be read.
    """
    try:
        return LayerVotes.of_table(pq.read_table(path))
    except (OSError, pa.ArrowException, KeyError, IndexError) as error:
        raise InputError(
            f"cannot read {str(path)!r}: {error}", advice="Delete it, and run the same again."
        ) from error


def write_note(folder: Path, identity: Mapping[str, Any], layers: tuple[int, ...]) -> None:
    """Note what a folder's predictions were computed from, and that these layers are complete."""
    write_json(folder / NOTE, {"identity": dict(identity), "layers": list(layers)})


def describe(probe: FittedProbe) -> str:
    """Name a probe with the value of its hyperparameter.

    Examples
    --------
    >>> describe(FittedProbe("logistic", "l2", 0.01, "weak"))
    'logistic, l2=0.01'
    """
    if probe.setting is None:
        return probe.probe
    return f"{probe.probe}, {probe.setting}={probe.value:g}"


def _repeated(values: list[str | None], sizes: list[int]) -> pa.DictionaryArray:
    """Repeat each value for the rows of its block."""
    encoded = pa.array(values, pa.string()).dictionary_encode()
    return encoded.take(pa.array(np.repeat(np.arange(len(values)), sizes)))


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str | None]]:
    """Codes of a column's values, and the values by code; null has the last code."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # of no rows
        array = array.chunk(0) if array.num_chunks else pa.array([], TEXT)
    if not isinstance(array, pa.DictionaryArray):
        array = array.dictionary_encode()
    known: list[str | None] = [*array.dictionary.to_pylist(), None]
    return array.indices.fill_null(len(known) - 1).to_numpy(), known
