"""Files of another tool as one sequence of rows, read file by file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from w2sprobe.errors import InputError
from w2sprobe.extraction.layouts import LMPROBE, ForeignFile, Wanted
from w2sprobe.extraction.tensor_files import SUFFIXES
from w2sprobe.fingerprint import fingerprint_strings, sha256_file
from w2sprobe.progress import progress_bar

SIDECARS = (".logits", ".perplexity")  # lmprobe's files beside a prompt's states


@dataclass(frozen=True)
class ForeignRow:
    """A row in a file.

    Parameters
    ----------
    path : Path
    number : int
        Its number in the file.
    name : str
        The file's name without suffix; with the number, where a file may have several rows.
    tokens : ndarray of int32, optional
        Token ids, where the file has them.
    """

    path: Path
    number: int
    name: str
    tokens: np.ndarray | None


class ForeignStates:
    """Rows in files of one layout, in natural order of the files' names (hs_2 before hs_10).

    Attributes
    ----------
    rows : list of ForeignRow
    kind, layers, dtype, per_token
        As in `ForeignFile`; the same in all files.
    identity : dict
        Layout, and a hash of the names and contents of the files.

    Raises
    ------
    InputError
        No files, files of several layouts, or a file that `ForeignFile` refuses.
    """

    def __init__(self, source: Path, wanted: Wanted) -> None:
        files = _files(source)
        self._wanted, self.rows = wanted, list[ForeignRow]()
        digests = []
        facts: Any = None
        with progress_bar(f"reading {source.name}", len(files)) as advance:
            for path in files:
                file = ForeignFile(path, wanted)
                self._agree(path, facts, file)
                facts = (file.kind, file.layers, file.dtype, file.per_token)
                self.rows += _rows(file)
                digests.append(sha256_file(path))
                advance(1)
        self.kind, self.layers, self.dtype, self.per_token = facts
        self.identity = {
            "layout": self.kind,
            "files": fingerprint_strings([path.name for path in files], digests),
        }
        self._open: ForeignFile | None = None

    @property
    def has_tokens(self) -> bool:
        """Whether all rows have token ids."""
        return all(row.tokens is not None for row in self.rows)

    def vectors(self, number: int, layers: Sequence[int]) -> dict[int, torch.Tensor]:
        """States of a row, by its number in `rows`: (tokens, width), or (1, width)."""
        row = self.rows[number]
        return self._file(row.path).vectors(row.number, tuple(layers))

    def _file(self, path: Path) -> ForeignFile:
        # one open file: rows of a file mostly follow each other
        if self._open is None or self._open.path != path:
            self._open = ForeignFile(path, self._wanted)
        return self._open

    def _agree(self, path: Path, before: Any, file: ForeignFile) -> None:
        facts = (file.kind, file.layers, file.dtype, file.per_token)
        if before is not None and facts != before:
            raise InputError(
                f"a file of another kind: {_described(facts)}",
                where=str(path),
                allowed=f"that of the files before it: {_described(before)}",
            )


def _described(facts: Any) -> str:
    kind, layers, dtype, per_token = facts
    per = "a vector per token" if per_token else "a vector per row"
    return f"{kind}, layers {', '.join(map(str, layers))}, {dtype}, {per}"


def _rows(file: ForeignFile) -> list[ForeignRow]:
    stem = file.path.stem
    # files of one row by nature are named by it; in others, row 0 of 1 is still "train-0"
    single = file.kind == LMPROBE or (file.per_token and file.n_rows == 1)
    return [
        ForeignRow(file.path, row, stem if single else f"{stem}-{row}", file.token_ids(row))
        for row in range(file.n_rows)
    ]


def _files(source: Path) -> list[Path]:
    if not source.exists():
        raise InputError(f"no file or folder {str(source)!r}")
    found = [source] if source.is_file() else [f for f in source.iterdir() if f.is_file()]
    files = [
        file
        for file in found
        if file.suffix.lower() in SUFFIXES and not file.stem.endswith(SIDECARS)
    ]
    if not files:
        raise InputError(f"no {', '.join(SUFFIXES)} files in {str(source)!r}")
    return sorted(files, key=lambda file: _natural(file.name))


def _natural(name: str) -> list[tuple[int, str]]:
    """Key that sorts hs_2 before hs_10."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]
