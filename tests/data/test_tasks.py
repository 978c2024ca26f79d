import hashlib
import json
from pathlib import Path

import pytest

from w2sprobe.data import load_task
from w2sprobe.errors import IdMismatch, InputError, UnknownName
from w2sprobe.fingerprint import sha256_file


def write(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def row(text: str, label: int, **more: object) -> dict[str, object]:
    return {"text": text, "label": label, **more}


def test_file(tmp_path: Path) -> None:
    name = write(tmp_path / "rows.jsonl", [row("a", 0), row("b", 1)])
    task = load_task(name)
    expected = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in ("a", "b")]
    assert task.rows.ids.tolist() == expected
    assert task.rows.labels.tolist() == [0, 1]
    assert task.rows.labels.dtype == "int64"
    assert task.rows.groups is None
    assert task.rows.name == name
    assert task.identity == {"sha256": sha256_file(Path(name)), "columns": ["text", "label"]}
    assert task.dropped == {"repeated_text": 0, "contradicting_labels": 0}


def test_identity_is_of_the_content_not_the_place(tmp_path: Path) -> None:
    rows = [row("a", 0), row("b", 1)]
    here, there = (write(tmp_path / name, rows) for name in ("here.jsonl", "there.jsonl"))
    other = write(tmp_path / "other.jsonl", [*rows, row("c", 1)])
    assert load_task(here).identity == load_task(there).identity != load_task(other).identity


def test_own_ids_and_groups(tmp_path: Path) -> None:
    rows = [row("a", 0, id="x", group="g"), row("b", 1, id="y", group="h")]
    task = load_task(write(tmp_path / "rows.jsonl", rows))
    assert task.rows.ids.tolist() == ["x", "y"]
    assert task.rows.groups is not None
    assert task.rows.groups.tolist() == ["g", "h"]


@pytest.mark.parametrize("own_ids", [False, True])
def test_a_text_is_there_once_with_one_label(tmp_path: Path, own_ids: bool) -> None:
    cells = [("a", 0), ("b", 1), ("a", 0), ("c", 1), ("c", 0), ("a", 0), ("c", 1)]
    rows = [
        row(text, label, **({"id": f"id{at}"} if own_ids else {}))
        for at, (text, label) in enumerate(cells)
    ]
    task = load_task(write(tmp_path / "rows.jsonl", rows))
    assert task.rows.texts == ["a", "b"]
    assert task.rows.labels.tolist() == [0, 1]
    assert task.dropped == {"repeated_text": 2, "contradicting_labels": 3}
    assert len(task.rows) + sum(task.dropped.values()) == len(cells)
    if own_ids:
        assert task.rows.ids.tolist() == ["id0", "id1"]


def test_doubled_ids_are_refused_even_for_the_same_text(tmp_path: Path) -> None:
    rows = [row("a", 0, id="x"), row("a", 0, id="x"), row("b", 1, id="y")]
    with pytest.raises(IdMismatch, match=r"doubled ids 'x' in .*rows\.jsonl"):
        load_task(write(tmp_path / "rows.jsonl", rows))


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([row("a", 1), row("b", 1)], "only label 1 in 2 usable rows"),
        ([row("a", 1), row("a", 0)], "no usable rows"),
        ([row("a", 1), row("b", 1), row("b", 0)], "only label 1 in 1 usable rows"),
    ],
)
def test_one_class_only(tmp_path: Path, rows: list[dict[str, object]], what: str) -> None:
    name = write(tmp_path / "rows.jsonl", rows)
    with pytest.raises(InputError, match=what) as error:
        load_task(name)
    assert name in str(error.value)


def test_unknown_tasks(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown task 'sst'.*bigbench:<task>.*\.parquet"):
        load_task("sst")
    with pytest.raises(InputError, match="no task file"):
        load_task(str(tmp_path / "absent.csv"))


def test_classes_are_not_for_files(tmp_path: Path) -> None:
    name = write(tmp_path / "rows.jsonl", [row("a", 0), row("b", 1)])
    with pytest.raises(InputError, match="--positive"):
        load_task(name, positive="good")


def test_bigbench(bigbench: Path) -> None:
    task = load_task("bigbench:multiemo/all_sentence_en")
    assert task.rows.texts == ["good", "bad", "awful"]
    assert task.rows.labels.tolist() == [1, 0, 0]
    assert task.identity["asset"] == "bigbench"
    assert task.identity["task"] == "multiemo/all_sentence_en"
    assert str(bigbench) not in json.dumps(task.identity)
    assert len(task.rows) + sum(task.dropped.values()) == 9
    with pytest.raises(UnknownName, match="class"):
        load_task("bigbench:multiemo/all_sentence_de", positive="positive", negative="grim")
