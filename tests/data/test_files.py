import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from w2sprobe.data import load_task
from w2sprobe.data.files import is_task_file, read_file
from w2sprobe.data.rows import SourceRows
from w2sprobe.errors import IdMismatch, InputError
from w2sprobe.fingerprint import sha256_file

GOOD: dict[str, list[Any]] = {
    "text": ["one, two", 'a "quoted"\nline', "ünïcode \u2028 and \x85"],
    "label": [0, 1, 1],
    "id": ["a", "b", "c"],
    "group": ["g", "g", "h"],
    "split": ["train", "test", "train"],
    "other": ["x", "y", "z"],
}
KINDS = [".jsonl", ".json", ".csv", ".tsv", ".parquet"]
PACKED = ["", ".gz", ".zst"]


def packed(path: Path, data: bytes) -> Path:
    codec = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix.lower())
    with pa.output_stream(str(path), compression=codec) as file:
        file.write(data)
    return path


def write(path: Path, columns: dict[str, list[Any]]) -> Path:
    """Write columns as the file's name says, packing included."""
    kind = next(kind for kind in KINDS if kind in path.name.lower().replace(".jsonl", ".jsonl "))
    lines = list(zip(*columns.values(), strict=True))
    records = [dict(zip(columns, line, strict=True)) for line in lines]
    plain = path.with_name("plain.tmp")
    if kind == ".parquet":
        pq.write_table(pa.table(columns), plain)
    elif kind in (".csv", ".tsv"):
        with plain.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t" if kind == ".tsv" else ",")
            writer.writerows([list(columns), *lines])
    elif kind == ".json":
        plain.write_text(json.dumps(records, indent=1), encoding="utf-8")
    else:
        plain.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return packed(path, plain.read_bytes())


def message(path: Path) -> str:
    with pytest.raises(InputError) as error:
        read_file(path)
    return str(error.value)


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_reads_the_same(tmp_path: Path, kind: str, packing: str) -> None:
    path = write(tmp_path / f"rows{kind}{packing}", GOOD)
    assert read_file(path) == SourceRows(
        GOOD["text"],
        GOOD["label"],
        GOOD["id"],
        GOOD["group"],
        [False, True, False],
        made_of={
            "file": f"rows{kind}{packing}",
            "sha256": sha256_file(path),
            "columns": ["text", "label", "id", "group", "split"],
        },
    )


@pytest.mark.parametrize("kind", KINDS)
def test_all_but_text_and_label_is_optional(tmp_path: Path, kind: str) -> None:
    rows = read_file(write(tmp_path / f"rows{kind}", {"label": [0, 1], "text": ["a", "b"]}))
    assert (rows.texts, rows.labels) == (["a", "b"], [0, 1])
    assert rows.ids is rows.groups is rows.held_out is None
    assert rows.made_of["columns"] == ["text", "label"]


@pytest.mark.parametrize("name", ["a.jsonl", "b/c.CSV", "x.PARQUET.GZ", "x.json.zst", "x.y.tsv"])
def test_names_of_files(name: str, tmp_path: Path) -> None:
    assert is_task_file(name)
    path = tmp_path / Path(name).name
    assert read_file(write(path, GOOD)).texts == GOOD["text"]


@pytest.mark.parametrize("name", ["a.txt", "bigbench:x", "my.rows:load", "a.gz", "csv", "a.csv.xz"])
def test_other_names(name: str, tmp_path: Path) -> None:
    assert not is_task_file(name)
    (tmp_path / name).write_bytes(b"")
    assert f"task file '{tmp_path / name}' is of unknown kind" in message(tmp_path / name)
    assert ".jsonl, .json, .csv, .tsv or .parquet, also with .gz or .zst" in message(
        tmp_path / name
    )


def test_missing_file_and_folder(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    assert f"task file '{tmp_path / 'absent.csv'}' does not exist" in message(
        tmp_path / "absent.csv"
    )
    assert f"task file '{tmp_path / 'folder.csv'}' is a folder" in message(tmp_path / "folder.csv")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, list[Any]]:
    n = draw(st.integers(1, 6))

    def column(cells: st.SearchStrategy[Any], *, unique: bool = False) -> list[Any]:
        return draw(st.lists(cells, min_size=n, max_size=n, unique=unique))

    # Python 3.10 reads no NUL from CSV
    columns = {"text": column(TEXTS.filter(lambda text: "\0" not in text))}
    columns["label"] = column(st.integers(0, 1))
    columns["id"] = column(KEYS.filter(str.strip).filter(lambda key: len(key) < 200), unique=True)
    columns["group"] = column(KEYS.filter(str.strip).filter(lambda key: len(key) <= 64))
    columns["split"] = column(st.sampled_from(["train", "test"]))
    return columns


@pytest.mark.parametrize("kind", KINDS)
@given(columns=tables(), packing=st.sampled_from(PACKED))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_written_is_read(
    tmp_path: Path, kind: str, columns: dict[str, list[Any]], packing: str
) -> None:
    rows = read_file(write(tmp_path / f"rows{kind}{packing}", columns))
    assert rows.texts == columns["text"]
    assert rows.labels == columns["label"]
    assert rows.ids == columns["id"]
    assert rows.groups == columns["group"]
    assert rows.held_out == [part == "test" for part in columns["split"]]


def test_nul_in_a_text(tmp_path: Path) -> None:
    columns = {"text": ["a\0b"], "label": [1]}
    for kind in (".jsonl", ".parquet"):
        assert read_file(write(tmp_path / f"rows{kind}", columns)).texts == ["a\0b"]


BYTES_THAT_READ = [
    ("rows.csv", "\ufefftext,label\n\na,1\n".encode(), ["a"]),
    ("rows.csv", b"\r\ntext,label\r\na,1\r\n\r\n\r\nb,0", ["a", "b"]),
    ("rows.csv", b"text,label\ra,1\rb,0\r", ["a", "b"]),
    ("rows.csv", b'x,x,label,text,\n,,1,"a\r\nb",\n', ["a\r\nb"]),
    ("rows.csv", b"sep=,\r\ntext,label\r\na,1\r\n", ["a"]),
    ("rows.csv", '\ufeffsep=;\r\ntext;label\r\n"a;b";1\r\n'.encode(), ["a;b"]),
    ("rows.csv", b'"sep=;"\ntext;label\na, b;1\n', ["a, b"]),
    ("rows.csv", b"SEP=\t\ntext\tlabel\na\t1\n", ["a"]),
    ("rows.tsv", b"sep=,\ntext,label\na,1\n", ["a"]),
    ("rows.csv", b"text,label\nsep=,1\n", ["sep="]),
    ("rows.jsonl", '\ufeff{"text": "a", "label": 1}\r\n \n'.encode(), ["a"]),
    ("rows.json", '\ufeff \n[{"text": "a", "label": 1} ]\n'.encode(), ["a"]),
    ("rows.json", b'{"text": "a", "label": 1}\n{"text": "b", "label": 1}', ["a", "b"]),
    ("rows.json", b'[{"text":"a","label":1},\n\n{"label":0,"text":"b","x":[{}]}]', ["a", "b"]),
]


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize(("name", "data", "texts"), BYTES_THAT_READ)
def test_bytes_that_read(
    tmp_path: Path, name: str, data: bytes, texts: list[str], packing: str
) -> None:
    assert read_file(packed(tmp_path / f"{name}{packing}", data)).texts == texts


DEEP = b"[" * 100_000
BAD_FILES = [
    (
        "rows.jsonl",
        b'{"text": "a", "label": 0}\n\n{"text"\n',
        ["broken JSON", ", line 3.", "Correct it"],
    ),
    ("rows.jsonl", b'{"text": "a", "label": 0}{}\n', ["Extra data at character 26", "line 1"]),
    ("rows.jsonl", b'{"text": "a", "label": 0}\n[1]', ["a list where a row", "line 2", ".json"]),
    ("rows.jsonl", b'{"text": "a", "label": %s}' % (b"9" * 5000), ["broken JSON", "line 1"]),
    ("rows.jsonl", b'{"text": "a", "x": %s}' % DEEP, ["broken JSON", "a JSON array", "line 1"]),
    ("rows.jsonl", b'{"text": "a"}\n', ["no column 'label'", "found 'text'", "Rename"]),
    ("rows.jsonl", b'{"text": "a", "label": 1}\n{"label": 1}\n', ["text is absent", "line 2."]),
    ("rows.jsonl", b'{"text": "a", "label": NaN}', ["label is nan", "line 1", "Fill the cell"]),
    ("rows.jsonl", b"", ["no rows"]),
    ("rows.jsonl", b"\n \n", ["no rows"]),
    ("rows.jsonl", b'{"text": "\xe9t\xe9", "label": 1}', ["not UTF-8: byte 0xe9", ", line 1."]),
    ("rows.jsonl", b'\n{"text": "\xf0\x9f"}\n', ["not UTF-8: byte 0xf0", "line 2", "iconv"]),
    ("rows.json", b"[]", ["no rows"]),
    ("rows.json", b'[{"text": "a",\n "label": 0}, 7]', ["a int where", ", item 2.", '{"text"']),
    ("rows.json", b'[{"text": "a",\n "label": 2}]', ["label is 2", ", item 1.", "0 or 1"]),
    ("rows.json", b'[{"text": "a"},\n{"text"}]', ["Expecting ':'", ", line 2."]),
    ("rows.json", b'[{"text": "a"}\n{"text": 1}]', ["',' or ']' at character 1 in", ", line 2."]),
    ("rows.json", b'[{"text": "a"}', ["broken JSON", "line 1"]),
    ("rows.json", b'[{"text": "a"}] x', ["nothing after the array"]),
    ("rows.json", b"[%s" % DEEP, ["broken JSON", "a JSON array", "line 1"]),
    ("rows.json", b'[{"text": %s}]' % (b"9" * 5000), ["broken JSON", "line 1"]),
    ("rows.json", b'{"text": "a"}\n{', ["broken JSON", "line 2"]),
    ("rows.csv", b"", ["no rows"]),
    ("rows.csv", b"text,label\n", ["no rows"]),
    ("rows.csv", b"text,label\na,b,1\n", ["3 cells", "header has 2", "line 2", "quotation marks"]),
    ("rows.csv", b'text,label\n"a\nb",1\na\n', ["1 cells", "line 4"]),
    ("rows.csv", b"text,label,label\na,1,0\n", ["doubled column 'label'", "Remove or rename"]),
    ("rows.csv", b'text,label\na,0\n"a,1\nb,1\n', ["broken CSV", "starts in line 3", "not closed"]),
    ("rows.csv", b'text,label\n"a"b,1\n', ["broken CSV", "expected after", "line 2"]),
    ("rows.csv", b"text;label\na;1\n", ["one column 'text;label'", "line 1", "separated by ';'?"]),
    ("rows.csv", b"text;label\na;1\n", ["put a line 'sep=;' before the header"]),
    ("rows.csv", b"text\tlabel\na\t1\n", ["separated by '\\t'?", "with ','"]),
    ("rows.csv", b"sep=;\ntext;label\na;2\n", ["label is '2'", "data row 1 (line 3)"]),
    ("rows.csv", b"sep=;\ntext,label\na,1\n", ["one column 'text,label'", "separated by ','?"]),
    ("rows.csv", b"sep=;\n", ["no rows"]),
    ("rows.tsv", b"text,label\na,1\n", ["cells separated by '\\t'", "separated by ','?"]),
    ("rows.csv", b"text\na\n", ["no column 'label'", "found 'text'"]),
    (
        "rows.csv",
        b"text,label\nok,0\n\xe9t\xe9,1\n",
        ["not UTF-8: byte 0xe9", ", line 3.", "UTF-8"],
    ),
    ("rows.csv", "text,label\na,1\n".encode("utf-16"), ["not UTF-8", "UTF-16", "iconv -f UTF-16"]),
    ("rows.csv", "text,label\na,1\n".encode("utf-16-le"), ["begins as UTF-16", ", line 1."]),
    ("rows.csv", "text,label\na,1\n".encode("utf-32-be"), ["begins as UTF-16 or UTF-32"]),
    ("rows.csv", b'text,label\n"a\nb",0\n\n,1\n', ["empty text ''", "data row 2 (line 5)", "Fill"]),
    ("rows.csv", b"text,label\na,0\nb,\n", ["label is ''", "data row 2 (line 3)", "Fill the cell"]),
    ("rows.csv", b"text,label\na,pos\nb,neg\n", ["label is 'pos'", "such as 'neg' to 0 and 'pos'"]),
    (
        "rows.csv",
        b"text,label,id\na,1,i\nb,0,i\n",
        ["id 'i' of", "(line 2) occurs", "row 2 (line 3)"],
    ),
    ("rows.csv", b"text,label,split\na,1,dev\n", ["split is 'dev'", "data row 1", "'train' or"]),
    ("rows.parquet", b"no parquet", ["cannot be read", "kind that its name says"]),
    ("rows.parquet", b"", ["cannot be read"]),
]


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize(("name", "data", "parts"), BAD_FILES)
def test_bad_file(tmp_path: Path, name: str, data: bytes, parts: list[str], packing: str) -> None:
    path = packed(tmp_path / f"{name}{packing}", data)
    found = message(path)
    for part in [*parts, str(path)]:
        assert part in found
    assert len(found) < 700


def test_doubled_ids_are_an_id_mismatch(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.parquet", {**GOOD, "id": [1, 2, 1]})
    with pytest.raises(IdMismatch, match=r"id '1' of .*data row 1.*occurs again in .*data row 3"):
        read_file(path)


PLACES = {
    ".jsonl": ", line 2.",
    ".json": ", item 2.",
    ".csv": ", data row 2 (line 3).",
    ".parquet": ", data row 2 (counted from 1).",
}


@pytest.mark.parametrize("kind", PLACES)
def test_a_bad_cell_is_named_with_its_place(tmp_path: Path, kind: str) -> None:
    columns = {"text": ["a", " ", "c"], "label": [0, 1, 1]}
    path = write(tmp_path / f"rows{kind}", columns)
    assert f"empty text ' ' in {path}{PLACES[kind]}" in message(path)


@pytest.mark.parametrize("packing", [".gz", ".zst"])
@pytest.mark.parametrize("kind", KINDS)
def test_cut_off_while_packed(tmp_path: Path, kind: str, packing: str) -> None:
    columns = {"text": [f"{row} {row**9}" for row in range(30_000)], "label": [0, 1] * 15_000}
    path = write(tmp_path / f"rows{kind}{packing}", columns)
    path.write_bytes(path.read_bytes()[:-200])
    found = message(path)
    assert "cannot be read: Truncated compressed stream" in found
    assert f" in {path}" in found
    assert "Is the file whole" in found
    if kind in (".jsonl", ".csv"):
        line = int(found.split("after line ")[1].split(".")[0])
        assert 1_000 < line <= 30_000


@pytest.mark.parametrize("packing", [".gz", ".zst"])
@pytest.mark.parametrize("kind", KINDS)
def test_not_packed_after_all(tmp_path: Path, kind: str, packing: str) -> None:
    plain = write(tmp_path / f"rows{kind}", GOOD)
    path = plain.rename(tmp_path / f"rows{kind}{packing}")
    found = message(path)
    assert "cannot be read: " in found
    assert f" in {path}. Is the file whole" in found


def test_pieces_packed_one_by_one_and_joined(tmp_path: Path) -> None:
    for packing in (".gz", ".zst"):
        path = write(tmp_path / f"rows.jsonl{packing}", {"text": ["a"], "label": [1]})
        newline = packed(tmp_path / f"newline{packing}", b"\n").read_bytes()
        path.write_bytes(path.read_bytes() + newline + path.read_bytes())
        assert read_file(path).texts == ["a", "a"]


@pytest.mark.parametrize(
    "texts",
    [
        pa.array(["a", "b"]).dictionary_encode(),
        pa.array(["a", "b"], pa.large_string()),
        pa.array(["a", "b"], pa.string_view()),
    ],
    ids=lambda texts: str(texts.type).split("<")[0],
)
@pytest.mark.parametrize(
    "labels",
    [
        pa.array([True, False]),
        pa.array([1, 0], pa.uint8()),
        pa.array([1.0, 0.0], pa.float32()),
        pa.array(["1", "0"]).dictionary_encode(),
    ],
    ids=lambda labels: str(labels.type).split("<")[0],
)
def test_types_of_parquet(tmp_path: Path, texts: pa.Array, labels: pa.Array) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": texts, "label": labels, "group": texts}), path)
    rows = read_file(path)
    assert (rows.texts, rows.labels, rows.groups) == (["a", "b"], [1, 0], ["a", "b"])


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        ({"text": ["a", None], "label": [0, 1]}, ["text is None", "Fill"]),
        ({"text": ["a", "b"], "label": [0, None]}, ["label is None", "Fill"]),
        ({"text": ["a", "b"], "label": [0.0, float("nan")]}, ["label is nan", "Fill"]),
        ({"text": ["a", "b"], "label": [0, 1], "id": [1, None]}, ["id is None"]),
        ({"text": pa.array(["a", None]).dictionary_encode(), "label": [0, 1]}, ["text is None"]),
        ({"text": ["a", "b"], "label": [[0], [1]]}, ["label is [0]"]),
        ({"text": pa.array([b"a", b"b"]), "label": [0, 1]}, ["text is b'a'", "Write it as text"]),
    ],
)
def test_bad_parquet(tmp_path: Path, columns: dict[str, Any], parts: list[str]) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table(columns), path)
    row = 1 if "[0]" in parts[0] or "b'a'" in parts[0] else 2
    for part in [*parts, f"{path}, data row {row} (counted from 1)"]:
        assert part in message(path)


def test_parquet_of_many_groups_of_rows(tmp_path: Path) -> None:
    texts = [f"text {row}" for row in range(50_000)]
    path = tmp_path / "rows.parquet"
    labels = [0, 1] * 25_000
    pq.write_table(pa.table({"text": texts, "label": labels}), path, row_group_size=999)
    rows = read_file(path)
    assert (rows.texts, rows.labels) == (texts, labels)
    labels[40_123] = 2
    pq.write_table(pa.table({"text": texts, "label": labels}), path, row_group_size=999)
    assert "label is 2" in message(path)
    assert "data row 40124 " in message(path)


def test_parquet_with_text_that_is_not_utf8(tmp_path: Path) -> None:
    raw = pa.array([*[b"ok"] * 20_000, None, b"\xe9t\xe9"], pa.binary())
    broken = pa.StringArray.from_buffers(len(raw), *raw.buffers()[1:], raw.buffers()[0])
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": broken, "label": [0] * len(raw)}), path)
    found = message(path)
    assert "not UTF-8: byte 0xe9" in found
    assert f"{path}, column text, data row 20002 (counted from 1)" in found


def test_parquet_names(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"sentence": ["a"], "label": [0]}), path)
    assert "no column 'text'" in message(path)
    assert "found 'sentence', 'label'" in message(path)
    pq.write_table(pa.table([["a"], [0], [1]], names=["text", "label", "label"]), path)
    assert "doubled column 'label'" in message(path)


def test_damaged_parquet(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    texts = [f"text {row}" for row in range(5_000)]
    pq.write_table(pa.table({"text": texts, "label": [0] * 5_000}), path)
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)
    path.write_bytes(data)
    assert "cannot be read: " in message(path)
    assert str(path) in message(path)


def test_long_csv_cell(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    path = write(tmp_path / "rows.csv", {"text": ["x" * 200_000], "label": [1]})
    assert len(read_file(path).texts[0]) == 200_000
    assert csv.field_size_limit() == limit


def test_unclosed_quote_before_much_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('text,label\na,0\n"b,1\n' + "word " * 4_000_000)
    found = message(path)
    assert "broken CSV: field larger than field limit (16777216)" in found
    assert f"{path}, the row that starts in line 3" in found


def test_conversations_from_every_kind_of_file(tmp_path: Path) -> None:
    chats = [[{"role": "user", "content": f"Is {n} even?"}] for n in range(4)]
    records = [{"messages": chat, "label": n % 2} for n, chat in enumerate(chats)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)))
    (tmp_path / "a.json").write_text(json.dumps(records))
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "a.parquet")
    with (tmp_path / "a.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "messages"])
        writer.writerows([record["label"], json.dumps(record["messages"])] for record in records)
    found = [load_task(tmp_path / f"a.{kind}") for kind in ("jsonl", "json", "parquet", "csv")]
    assert all(task.rows.chats for task in found)
    assert len({task.fingerprint for task in found}) == 1
    text = [
        {"text": json.dumps(record["messages"]), "label": record["label"]} for record in records
    ]
    (tmp_path / "b.json").write_text(json.dumps(text))
    plain = load_task(tmp_path / "b.json")
    assert plain.rows.texts == found[0].rows.texts
    assert not plain.rows.chats
    assert plain.fingerprint != found[0].fingerprint
