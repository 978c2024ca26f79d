"""UTF-8 text files of users, also compressed, and the columns of CSV files."""

import csv
import io
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO, TextIO, cast

import pyarrow as pa

from w2sprobe.cells import Cells, shown
from w2sprobe.errors import InputError

CODECS = {".gz": "gzip", ".zst": "zstd"}  # suffix to Arrow's name of the compression
MAX_CELL = 1 << 24  # characters; an unclosed quotation mark must not read gigabytes
# line before the header in which spreadsheets declare the separator
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)


def kind_of(path: Path) -> str:
    """Return the suffix in lower case, without that of the compression."""
    unpacked = path.with_suffix("") if path.suffix.lower() in CODECS else path
    return unpacked.suffix.lower()


class TextFile:
    """A file that is decompressed while it is read, and counts its lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 0  # number of the last line that was read

    @property
    def codec(self) -> str | None:
        """Arrow's name of the compression; None: not compressed."""
        return CODECS.get(self.path.suffix.lower())

    def bytes(self) -> BinaryIO:
        """Open the file."""
        if self.codec is None:
            return self.path.open("rb")
        stream = pa.input_stream(str(self.path), compression=self.codec)
        return io.BufferedReader(cast(io.RawIOBase, stream), 1 << 20)

    def text(self) -> TextIO:
        """Open the file as UTF-8; InputError if it begins like UTF-16 or UTF-32."""
        with self.bytes() as file:
            start = file.read(4)
        if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start:
            raise InputError(
                "not UTF-8: the file begins as UTF-16 or UTF-32 does",
                where=f"{self.path}, line 1",
                advice="Save it as UTF-8, as with `iconv -f UTF-16 -t UTF-8`.",
            )
        # newline="": the csv module wants line ends as they are
        return io.TextIOWrapper(self.bytes(), encoding="utf-8-sig", newline="")

    def lines(self) -> Iterator[str]:
        """Iterate over the lines, including their line ends; `line` counts them."""
        with self.text() as file:
            for self.line, line in enumerate(file, start=1):
                yield line

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn errors of reading into an `InputError` that names the file and the line."""
        try:
            yield
        except UnicodeDecodeError as error:
            raise self._not_utf8() from error
        except (OSError, pa.ArrowException) as error:
            after = f", after line {self.line}" if self.line else ""
            raise InputError(
                f"cannot be read: {error}",
                where=f"{self.path}{after}",
                advice="Is the file whole, and of the kind that its name says?",
            ) from error

    def _not_utf8(self) -> InputError:
        """Find the line by reading again: text is decoded in blocks, so the error has none."""
        with self.bytes() as file:
            line, byte = first_undecodable(file)
        return InputError(
            f"not UTF-8: byte {byte:#04x}",
            where=f"{self.path}, line {line}",
            advice="Save the file as UTF-8, as with `iconv -f WINDOWS-1252 -t UTF-8`.",
        )


def first_undecodable(pieces: Iterable[bytes]) -> tuple[int, int]:
    """Return the number of the first piece, from 1, that is not UTF-8, and its first bad byte."""
    for number, piece in enumerate(pieces, start=1):
        try:
            piece.decode()
        except UnicodeDecodeError as error:
            return number, piece[error.start]
    raise ValueError("all pieces are UTF-8")


def read_csv(
    source: TextFile, pick: Callable[[Sequence[str]], list[str]], *, delimiter: str = ","
) -> tuple[dict[str, Cells], Sequence[int]]:
    """Read some columns of a CSV file.

    Parameters
    ----------
    source : TextFile
        With a header. A line such as `sep=;` before it declares another separator.
    pick : callable
        Header to names of the columns to read.

    Returns
    -------
    dict of str to list of str
        The columns, in the order of `pick`.
    sequence of int
        The number of the line that each row starts in, from 1.

    Raises
    ------
    InputError
        Broken CSV, a row with more or fewer cells than the header, another separator.
    """
    limit = csv.field_size_limit(MAX_CELL)
    try:
        return _read_cells(source, pick, delimiter)
    finally:
        csv.field_size_limit(limit)


def _read_cells(
    source: TextFile, pick: Callable[[Sequence[str]], list[str]], delimiter: str
) -> tuple[dict[str, Cells], Sequence[int]]:
    path, starts, start = source.path, array("Q"), 1
    lines = source.lines()
    first = next(lines, "")
    if named := SEPARATOR_LINE.fullmatch(first):
        delimiter = named[1]
    else:
        lines = chain([first], lines)
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    try:
        names = next(filter(None, reader), [])
        _check_delimiter(names, delimiter, path)
        cells: dict[str, Cells] = {name: [] for name in pick(names)}
        indexed = [(names.index(name), column) for name, column in cells.items()]
        start = source.line + 1
        for record in reader:
            if record:
                if len(record) != len(names):
                    raise _uneven_row(len(record), len(names), f"{path}, line {start}")
                starts.append(start)
                for index, column in indexed:
                    column.append(record[index])
            start = source.line + 1
    except csv.Error as error:
        raise InputError(
            f"broken CSV: {error}",
            where=f"{path}, the row that starts in line {start}",
            advice="Is a quotation mark opened and not closed, or not doubled within a cell?",
        ) from error
    return cells, starts


def _check_delimiter(names: list[str], delimiter: str, path: Path) -> None:
    other = next((mark for mark in ";\t,|" if mark in names[0]), None) if len(names) == 1 else None
    if other is not None:
        raise InputError(
            f"a header of one column {shown(names[0])}",
            where=f"{path}, line 1",
            allowed=f"cells separated by {delimiter!r}",
            advice=f"Are they separated by {other!r}? Save the file with {delimiter!r}, or put a "
            f"line 'sep={other}' before the header.",
        )


def _uneven_row(n_cells: int, expected: int, where: str) -> InputError:
    return InputError(
        f"{n_cells} cells where the header has {expected}",
        where=where,
        advice="Is a text with separators or line breaks without quotation marks?",
    )
