"""Votes: what probes predict for rows, one layer at a time, in memory and as Parquet."""

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
# how training rows were predicted: by the other folds, each left out alone, or fitted on themselves
TRAIN: Final = "train"
LEAVE_ONE_OUT: Final = "leave_one_out"
IN_SAMPLE: Final = "in_sample"
FILTERED_OUT: Final = "filtered_out"  # rows that no vector of labels is fitted on
COMPONENT = "topofilter_component"  # rows in the largest component of their class
MASKS = ("topofilter", COMPONENT)  # their votes are 1 for rows that stay, else 0: no probabilities
NOTE, LAYERS = "votes.json", "layers"


class FittedProbe(NamedTuple):
    """Which probe votes, and on which labels it was fitted."""

    probe: str
    setting: str | None
    value: float | None
    labels: str


@dataclass(frozen=True)
class LayerVotes:
    """Votes of one layer.

    Parameters
    ----------
    layer : int
    rows : dict of str to ndarray of str
        Ids by split: `TRAIN`, `LEAVE_ONE_OUT` and `IN_SAMPLE` hold the same rows; the others were
        not fitted on.
    fold : ndarray of int64, shape (n,)
        The fold that each row of `TRAIN` was held out with; empty without votes for `TRAIN`.
    p : dict of (FittedProbe, str) to ndarray of float64
        P(label = 1) by vote and split. Of topofilter: 1 for a row that is kept, else 0.
    """

    layer: int
    rows: dict[str, np.ndarray]
    fold: np.ndarray
    p: dict[tuple[FittedProbe, str], np.ndarray]

    @cached_property
    def votes(self) -> tuple[FittedProbe, ...]:
        """Each vote once, in the order of the fits."""
        return tuple(dict.fromkeys(vote for vote, _ in self.p))

    def of(self, vote: FittedProbe, split: str) -> np.ndarray:
        """Predictions of one vote for the rows of one split.

        Raises
        ------
        InputError
            There are none.
        """
        if (vote, split) not in self.p:
            raise InputError(
                f"no votes of {describe(vote)} on {vote.labels!r} for {split}",
                where=f"layer {self.layer}",
                advice="Its labels may all be of one class.",
            )
        return self.p[vote, split]

    def only(self, wanted: Callable[[FittedProbe], bool]) -> "LayerVotes":
        """Return the votes that are wanted."""
        return replace(self, p={key: p for key, p in self.p.items() if wanted(key[0])})

    def table(self) -> pa.Table:
        """`COLUMNS`, a row for each vote and row of each split."""
        ids = list(dict.fromkeys(name for part in self.rows.values() for name in part.tolist()))
        position = {name: number for number, name in enumerate(ids)}
        codes = {
            split: np.array([position[name] for name in part.tolist()], dtype=np.int32)
            for split, part in self.rows.items()
        }
        blocks = list(self.p)
        sizes = [len(p) for p in self.p.values()]
        fold = [
            pa.array(self.fold) if split == TRAIN else pa.nulls(len(self.rows[split]), pa.int64())
            for _, split in blocks
        ]
        columns: dict[str, Any] = {
            "id": pa.DictionaryArray.from_arrays(
                _joined([codes[split] for _, split in blocks]), pa.array(ids, pa.string())
            ),
            "split": _repeated([split for _, split in blocks], sizes),
            "layer": np.full(sum(sizes), self.layer),
            "probe": _repeated([vote.probe for vote, _ in blocks], sizes),
            "setting": _repeated([vote.setting for vote, _ in blocks], sizes),
            "value": pa.array([vote.value for vote, _ in blocks], pa.float64()).take(
                pa.array(np.repeat(np.arange(len(blocks)), sizes))
            ),
            "labels": _repeated([vote.labels for vote, _ in blocks], sizes),
            "p": np.concatenate(list(self.p.values())),
            "fold": pa.chunked_array(fold, pa.int64()),
        }
        return pa.table(columns, schema=COLUMNS)

    @classmethod
    def of_table(cls, table: pa.Table) -> "LayerVotes":
        """Take apart what `table` put together."""
        plain = table.combine_chunks()
        names = {name: _codes(plain[name]) for name in ("split", "probe", "setting", "labels")}
        value = plain["value"].to_numpy(zero_copy_only=False)
        borders = np.zeros(max(0, len(table) - 1), dtype=bool)
        for codes, _ in names.values():
            borders |= codes[1:] != codes[:-1]
        borders |= (value[1:] != value[:-1]) & ~(np.isnan(value[1:]) & np.isnan(value[:-1]))
        starts = [0, *(np.flatnonzero(borders) + 1).tolist()]
        ends = [*starts[1:], len(table)]
        id_codes, ids = _codes(plain["id"])
        every_id = np.array(ids, dtype=np.str_)
        p, fold = plain["p"].to_numpy(), plain["fold"].to_numpy(zero_copy_only=False)
        rows: dict[str, np.ndarray] = {}
        votes: dict[tuple[FittedProbe, str], np.ndarray] = {}
        folds = np.empty(0, dtype=np.int64)
        for start, end in zip(starts, ends, strict=True):
            text = {name: known[codes[start]] for name, (codes, known) in names.items()}
            split = str(text.pop("split"))
            number = None if np.isnan(value[start]) else float(value[start])
            vote = FittedProbe(str(text["probe"]), text["setting"], number, str(text["labels"]))
            if split not in rows:
                rows[split] = every_id[id_codes[start:end]]
                if split == TRAIN:
                    folds = fold[start:end].astype(np.int64)
            votes[vote, split] = p[start:end]
        return cls(int(table["layer"][0].as_py()), rows, folds, votes)


@dataclass(frozen=True)
class Votes:
    """A folder of votes: one Parquet file per layer, and a note that says what they are of.

    Parameters
    ----------
    folder : Path
    identity : dict
        All that the votes were computed from, in JSON.
    layers : tuple of int
    """

    folder: Path
    identity: Mapping[str, Any]
    layers: tuple[int, ...]

    @classmethod
    def open(cls, folder: str | Path) -> "Votes":
        """Open a folder that `w2sprobe.probing.predict_layers` has finished.

        Raises
        ------
        InputError
            No such folder, or one that is not finished.
        """
        note = Path(folder) / NOTE
        try:
            there = json.loads(note.read_text(encoding="utf-8"))
            votes = cls(Path(folder), there["identity"], tuple(there["layers"]))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"cannot read votes {str(note)!r}: {error}") from error
        if not votes.layers:
            raise InputError("votes that are not finished", where=str(folder))
        return votes

    def layer(self, layer: int) -> LayerVotes:
        """Read the votes of one layer.

        Raises
        ------
        UnknownName
            No such layer.
        InputError
            Its file cannot be read.
        """
        if layer not in self.layers:
            raise UnknownName("layer", str(layer), [str(one) for one in self.layers])
        path = layer_file(self.folder, layer)
        return _read_once(path, path.stat().st_mtime_ns if path.exists() else 0)

    def __iter__(self) -> Iterator[LayerVotes]:
        """Read layer by layer."""
        return map(self.layer, self.layers)


@lru_cache(maxsize=12)  # many methods read the same few layers, one after the other
def _read_once(path: Path, _changed: int) -> LayerVotes:
    return read_layer(path)


def layer_file(folder: Path, layer: int) -> Path:
    """Path of a layer's votes."""
    return folder / LAYERS / f"{layer:03d}.parquet"


def write_layer(votes: LayerVotes, path: Path) -> None:
    """Write a layer's votes, atomically."""
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
    """Say what votes the folder holds, and that these layers are complete."""
    write_json(folder / NOTE, {"identity": dict(identity), "layers": list(layers)})


def describe(vote: FittedProbe) -> str:
    """Name a probe with its setting.

    Examples
    --------
    >>> describe(FittedProbe("logistic", "l2", 0.01, "weak"))
    'logistic, l2=0.01'
    """
    return vote.probe if vote.setting is None else f"{vote.probe}, {vote.setting}={vote.value:g}"


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype=np.int32), *parts])


def _repeated(values: list[str | None], sizes: list[int]) -> pa.DictionaryArray:
    """Each value as often as its block has rows."""
    encoded = pa.array(values, pa.string()).dictionary_encode()
    return encoded.take(pa.array(np.repeat(np.arange(len(values)), sizes)))


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str | None]]:
    """Numbers of a column's values, and the values; a null has the last number."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # of no rows
        array = array.chunk(0) if array.num_chunks else pa.array([], TEXT)
    if not isinstance(array, pa.DictionaryArray):
        array = array.dictionary_encode()
    known: list[str | None] = [*array.dictionary.to_pylist(), None]
    return array.indices.fill_null(len(known) - 1).to_numpy(), known
