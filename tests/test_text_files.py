"""Compression, encodings and CSV; tests/data/test_files.py reads whole tasks from such files."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest

from w2sprobe.errors import InputError
from w2sprobe.text_files import TextFile, first_undecodable, kind_of, read_csv


def all_columns(names: Sequence[str]) -> list[str]:
    return list(names)


def write(path: Path, text: str | bytes) -> TextFile:
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return TextFile(path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.csv", ".csv"), ("a.b/c.JSON.Gz", ".json"), ("a.tsv.zst", ".tsv"), ("a.gz", ""), ("a", "")],
)
def test_kind_is_the_suffix_without_compression(name: str, kind: str) -> None:
    assert kind_of(Path(name)) == kind


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_lines_are_counted_and_keep_their_ends(tmp_path: Path, name: str) -> None:
    source = write(tmp_path / name, "\ufeffone\r\ntwo")
    assert list(source.lines()) == ["one\r\n", "two"]
    assert source.line == 2


def test_the_first_piece_that_is_not_utf8() -> None:
    assert first_undecodable([b"a", "é".encode(), b"a\xe9b", b"\xff"]) == (3, 0xE9)
    with pytest.raises(ValueError, match="all pieces"):
        first_undecodable([b"a"])


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (b"a\n\xe9\n", ["not UTF-8: byte 0xe9", ", line 2.", "iconv"]),
        ("a\n".encode("utf-16"), ["UTF-16", ", line 1.", "Save it as UTF-8"]),
    ],
)
def test_errors_of_reading_name_the_line(tmp_path: Path, data: bytes, parts: list[str]) -> None:
    source = write(tmp_path / "a.txt", data)
    with pytest.raises(InputError) as error, source.reading():
        list(source.lines())
    for part in [*parts, str(source.path)]:
        assert part in str(error.value)


def test_rows_of_a_csv_know_the_line_they_start_in(tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv", 'x,y\n\n"1\n2",3\n4,"5,6"\n')
    cells, starts = read_csv(source, all_columns)
    assert cells == {"x": ["1\n2", "4"], "y": ["3", "5,6"]}
    assert list(starts) == [3, 5]


def test_only_picked_columns_are_kept_in_their_order(tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv", "sep=;\nx;y;z\n1;2;3\n")
    assert read_csv(source, lambda names: [names[2], names[0]])[0] == {"z": ["3"], "x": ["1"]}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("x,y\n1,2\n3\n", ["1 cells where the header has 2", ", line 3."]),
        ('x,y\n1,2\n"3,4\n', ["broken CSV", "the row that starts in line 3", "not closed"]),
        ("x;y\n1;2\n", ["a header of one column 'x;y'", "line 1", "'sep=;' before the header"]),
    ],
)
def test_broken_csv(tmp_path: Path, text: str, parts: list[str]) -> None:
    source = write(tmp_path / "a.csv", text)
    with pytest.raises(InputError) as error:
        read_csv(source, all_columns)
    for part in [*parts, str(source.path)]:
        assert part in str(error.value)
