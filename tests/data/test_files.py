import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from w2sprobe.data.files import FileColumns, read_file
from w2sprobe.errors import InputError

GOOD = {
    "text": ["one, two", 'a "quoted"\nline', "ünïcode"],
    "label": [0, 1, 1],
    "id": ["a", "b", "c"],
    "group": ["g", "g", "h"],
    "other": ["x", "y", "z"],
}


def write(path: Path, columns: dict[str, list[object]]) -> Path:
    records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
    elif path.suffix == ".csv":
        lines = [columns, *(record.values() for record in records)]
        cells = [['"' + str(cell).replace('"', '""') + '"' for cell in line] for line in lines]
        path.write_text("\n".join(map(",".join, cells)) + "\n", encoding="utf-8")
    else:
        path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet", ".CSV"])
def test_every_kind_reads_the_same(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / "rows.tmp", GOOD).with_suffix(suffix)
    write(path.with_suffix(suffix.lower()), GOOD).rename(path)
    columns = read_file(path)
    assert columns == FileColumns(GOOD["text"], GOOD["label"], GOOD["id"], GOOD["group"])
    assert columns.names == ["text", "label", "id", "group"]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_ids_and_groups_are_optional(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"rows{suffix}", {"label": [0, 1], "text": ["a", "b"]})
    assert read_file(path) == FileColumns(["a", "b"], [0, 1], None, None)


@pytest.mark.parametrize("value", [1, True, 1.0, "1", "1.0"])
def test_labels_that_mean_one(tmp_path: Path, value: object) -> None:
    path = write(tmp_path / "rows.jsonl", {"text": ["a"], "label": [value]})
    labels = read_file(path).labels
    assert labels == [1]
    assert type(labels[0]) is int


def test_integer_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.parquet", {"text": ["a"], "label": [0], "id": [7]})
    assert read_file(path).ids == ["7"]


def test_byte_order_mark_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes("\ufefftext,label\n\na,1\n".encode())
    assert read_file(path).texts == ["a"]


BAD_CELLS = [
    ("label", 2, ["label is 2", "0 or 1"]),
    ("label", -1, ["label is -1"]),
    ("label", 0.5, ["label is 0.5"]),
    ("label", "yes", ["label is 'yes'"]),
    ("label", None, ["label is None"]),
    ("label", float("nan"), ["label is nan"]),
    ("text", "", ["empty text ''"]),
    ("text", " \n", ["empty text ' \\n'"]),
    ("text", None, ["text is None", "a string"]),
    ("text", 3, ["text is 3"]),
    ("text", "half \ud800", ["surrogate"]),
    ("id", "", ["id or group is ''"]),
    ("id", None, ["id or group is None"]),
    ("group", [1], ["id or group is [1]"]),
]


@pytest.mark.parametrize(("column", "value", "parts"), BAD_CELLS)
def test_bad_cell(tmp_path: Path, column: str, value: object, parts: list[str]) -> None:
    columns = {name: list(values) for name, values in GOOD.items()}
    columns[column][1] = value
    path = write(tmp_path / "rows.jsonl", columns)
    with pytest.raises(InputError) as error:
        read_file(path)
    for part in [*parts, str(path), "data row 2 (counted from 1)"]:
        assert part in str(error.value)


BAD_FILES = [
    ("rows.txt", b"", ["of unknown kind", ".jsonl, .json, .csv, .parquet"]),
    ("rows.jsonl", b'{"text": "a", "label": 0}\n{"text"\n', ["broken JSON", "line 2"]),
    ("rows.json", b'[{"text": "a", "label": 0}]', ["a list where", "line 1", "one object a line"]),
    ("rows.jsonl", b'{"text": "a"}\n', ["no column 'label'", "found ['text']"]),
    ("rows.jsonl", b"", ["no column 'text', 'label'"]),
    ("rows.csv", b"", ["no column 'text', 'label'"]),
    ("rows.csv", b"text,label\na,b,1\n", ["3 cells", "header has 2", "line 2"]),
    ("rows.csv", b"text,label\na\n", ["1 cells", "line 2"]),
    ("rows.csv", b"text,label,label\na,1,0\n", ["doubled column names"]),
    ("rows.csv", b'text,label\n"a,1\n', ["cannot read"]),
    ("rows.csv", b"text,label\n\xe9t\xe9,1\n", ["not UTF-8", "0xe9"]),
    ("rows.parquet", b"no parquet", ["cannot read"]),
]


@pytest.mark.parametrize(("name", "content", "parts"), BAD_FILES)
def test_bad_file(tmp_path: Path, name: str, content: bytes, parts: list[str]) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_file(path)
    for part in [*parts, str(path)]:
        assert part in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no task file '.*absent\.csv'"):
        read_file(tmp_path / "absent.csv")


def test_missing_parquet_column_names_those_found(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.parquet", {"sentence": ["a"], "label": [0]})
    with pytest.raises(InputError, match=r"no column 'text'.*found \['sentence', 'label'\]"):
        read_file(path)


def test_long_csv_cell(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", {"text": ["x" * 200_000], "label": [1]})
    assert len(read_file(path).texts[0]) == 200_000
