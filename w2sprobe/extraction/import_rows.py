"""Which row of a task each row of foreign files is."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from w2sprobe.cells import as_names
from w2sprobe.data.rows import check_unique
from w2sprobe.errors import IdMismatch, InputError, first_few
from w2sprobe.extraction.foreign import ForeignRow, ForeignStates
from w2sprobe.extraction.identity import store_identity
from w2sprobe.extraction.layouts import LMPROBE
from w2sprobe.extraction.positions import Position
from w2sprobe.extraction.request import ExtractionRequest
from w2sprobe.models import ModelInfo

MATCHES = ("auto", "tokens", "name", "order")
LMPROBE_DIGITS = 16  # of the SHA-256 of a prompt, which names its file

OTHER_TOKENS = (
    "Was it run with a chat template, or with other special tokens? Without --task, the tokens of "
    "the files count."
)
SHOWN_TOKENS = 5


@dataclass(frozen=True)
class ImportedRows:
    """Rows of a store in order, and where their states are.

    Parameters
    ----------
    ids : list of str, length n
    numbers : list of int, length n
        Numbers of the rows in `ForeignStates.rows`.
    identity : dict
        Of the store, but for what the files add.
    input_ids : list of ndarray of int32, length n, optional
        Tokens; None where neither a task nor the files give them.
    kept : list of ndarray of int64, length n, optional
        Numbers of the tokens whose states the store holds; None without tokens.
    roles : list of ndarray of int8, optional
        As in `TokenizedRows`.
    n_left_out : int
        Rows of the files that are no rows of the task.
    """

    ids: list[str]
    numbers: list[int]
    identity: dict[str, Any]
    input_ids: list[np.ndarray] | None
    kept: list[np.ndarray] | None
    roles: list[np.ndarray] | None = None
    n_left_out: int = 0


def rows_of_task(
    states: ForeignStates, request: ExtractionRequest, match: str, ids: Sequence[Any] | None
) -> ImportedRows:
    """Find the rows of a task in foreign files.

    Parameters
    ----------
    match : {"auto", "tokens", "name", "order"}
        By token ids; by the name of a row's file, which is its id; or by order. By default by
        `ids` if given, else by token ids, or in lmprobe's caches by the hash of the text.
    ids : sequence of str or int, optional
        Id of each row of the files, in the order of the files.

    Raises
    ------
    InputError
        Rows without states, two states for one row, other tokens than the text has, or a match
        that these files do not allow.
    """
    rows = request.tokenize()
    numbers = _numbers(states, request, rows.input_ids, match, ids)
    for row, number in enumerate(numbers):
        stored = states.rows[number].tokens
        if stored is not None and not np.array_equal(stored, rows.input_ids[row]):
            raise InputError(
                f"other tokens than the text of id {request.ids[row]!r} has: "
                f"{_difference(stored, rows.input_ids[row])}",
                where=str(states.rows[number].path),
                advice=OTHER_TOKENS,
            )
    return ImportedRows(
        ids=request.ids,
        numbers=numbers,
        identity=request.identity,
        input_ids=rows.input_ids,
        kept=rows.kept,
        roles=rows.roles,
        n_left_out=len(states.rows) - len(numbers),
    )


def rows_of_files(
    states: ForeignStates, info: ModelInfo, position: Position, ids: Sequence[Any] | None
) -> ImportedRows:
    """Take the rows as the files have them, in their order, named by `ids` or by the files.

    Raises
    ------
    InputError
        A position that needs texts; ids that cannot be used.
    """
    if position.kind not in ("last", "first", "mean", "all"):
        raise InputError(
            f"position {position} without a task",
            allowed="last, first, mean, all",
            advice="--task names the texts.",
        )
    names = _given(states, ids) if ids is not None else [row.name for row in states.rows]
    check_unique(names, "the files")
    tokens = [row.tokens for row in states.rows if row.tokens is not None]
    known = tokens if states.has_tokens else None
    identity = store_identity(
        info,
        names,
        names,
        position=position.spec,
        dtype=states.dtype,
        store_dtype=states.dtype,
    )
    del identity["rows"]  # there are no texts; the hash of the files covers their tokens
    return ImportedRows(
        ids=names,
        numbers=list(range(len(names))),
        identity=identity,
        input_ids=known,
        kept=[_kept(position, len(row)) for row in known] if known else None,
    )


def _kept(position: Position, n_tokens: int) -> np.ndarray:
    numbers = np.arange(n_tokens)
    return {"last": numbers[-1:], "first": numbers[:1]}.get(position.kind, numbers)


def _numbers(
    states: ForeignStates,
    request: ExtractionRequest,
    input_ids: Sequence[np.ndarray],
    match: str,
    ids: Sequence[Any] | None,
) -> list[int]:
    """Number in the files of each row of the task."""
    if match not in MATCHES:
        raise InputError(f"unknown match {match!r}", allowed=", ".join(MATCHES))
    if ids is not None:
        return _looked_up(states, request.ids, _given(states, ids), request.ids)
    if match == "order":
        if len(states.rows) != len(request.ids):
            raise IdMismatch(
                f"{len(states.rows)} rows in the files, {len(request.ids)} in the task",
                advice="Matching by order needs equally many.",
            )
        return list(range(len(request.ids)))
    if match == "name":
        return _looked_up(states, request.ids, [row.name for row in states.rows], request.ids)
    if match == "auto" and states.kind == LMPROBE:
        hashes = [hashlib.sha256(t.encode()).hexdigest()[:LMPROBE_DIGITS] for t in request.texts]
        return _looked_up(states, hashes, [row.name for row in states.rows], request.ids)
    if states.has_tokens:
        found, wanted = [_key(row) for row in states.rows], [row.tobytes() for row in input_ids]
        if not {*found} & {*wanted}:
            first = states.rows[0]
            raise IdMismatch(
                f"no row of the files has the tokens of a text: {first.name!r} begins with "
                f"{_beginning(first.tokens)}, the text of id {request.ids[0]!r} with "
                f"{_beginning(input_ids[0])}",
                advice=OTHER_TOKENS,
            )
        return _looked_up(states, wanted, found, request.ids)
    raise InputError(
        "the files have no token ids that say which row is which",
        allowed="--match name (a file is named by the id of its row), --match order, or --ids",
    )


def _key(row: ForeignRow) -> bytes:
    return b"" if row.tokens is None else row.tokens.tobytes()


def _beginning(tokens: np.ndarray | None) -> str:
    return "none" if tokens is None else ", ".join(map(str, tokens[:SHOWN_TOKENS]))


def _given(states: ForeignStates, ids: Sequence[Any]) -> list[str]:
    names = as_names(ids, "ids")
    if len(names) != len(states.rows):
        raise InputError(f"{len(names)} ids for {len(states.rows)} rows")
    return names


def _looked_up(
    states: ForeignStates,
    wanted: Sequence[Hashable],
    found: Sequence[Hashable],
    ids: Sequence[str],
) -> list[int]:
    """Number of each wanted key among the keys of the files' rows."""
    numbers = defaultdict(list)
    for number, key in enumerate(found):
        numbers[key].append(number)
    # rows of the same tokens have as many files, which hold the same states
    counts = Counter(wanted)
    doubled = next((key for key in counts if len(numbers[key]) > counts[key]), None)
    if doubled is not None:
        files = [str(states.rows[number].path.name) for number in numbers[doubled]]
        raise IdMismatch(
            f"{len(files)} rows of files for id {ids[list(wanted).index(doubled)]!r}: "
            f"{first_few(files)}",
            allowed="one",
        )
    lacking = [
        name for name, key in zip(ids, wanted, strict=True) if counts[key] > len(numbers[key])
    ]
    if lacking:
        raise IdMismatch(
            f"{len(lacking)} of {len(ids)} rows have no states: ids {first_few(lacking)}",
            where=str(states.rows[0].path.parent),
            advice="Are they the same texts, tokenised in the same way?",
        )
    return [numbers[key].pop(0) for key in wanted]


def _difference(stored: np.ndarray, expected: np.ndarray) -> str:
    n = min(len(stored), len(expected))
    unequal = np.flatnonzero(stored[:n] != expected[:n])
    if not unequal.size:
        return f"{len(stored)} tokens for {len(expected)}"
    at = int(unequal[0])
    return f"token {at} is {stored[at]}, of the text {expected[at]}"
