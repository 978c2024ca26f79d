import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

from w2sprobe.data import Splits, SplitSizes, load_splits, load_task
from w2sprobe.data.rows import SourceRows
from w2sprobe.data.tasks import make_task, row_slice
from w2sprobe.errors import InputError, UnknownName
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
    assert task.made_of["sha256"] == sha256_file(Path(name))
    assert not any(task.dropped.values())


def test_fingerprint_is_of_the_content_not_of_place_order_or_format(tmp_path: Path) -> None:
    rows = [row("a", 0), row("b", 1)]
    here, there = (write(tmp_path / name, rows) for name in ("here.jsonl", "there.jsonl"))
    turned = write(tmp_path / "turned.jsonl", rows[::-1])
    (tmp_path / "rows.csv").write_text("label,text\n0,a\n1,b\n")
    same = {load_task(name).fingerprint for name in (here, there, turned)}
    same.add(load_task(str(tmp_path / "rows.csv")).fingerprint)
    assert len(same) == 1
    others = [
        [*rows, row("c", 1)],
        [row("a", 1), row("b", 0)],
        [row("a", 0, group="g"), row("b", 1, group="g")],
        [row("a", 0, split="train"), row("b", 1, split="test")],
        [row("a", 0, id="x"), row("b", 1, id="y")],
    ]
    for number, changed in enumerate(others):
        same.add(load_task(write(tmp_path / f"{number}.jsonl", changed)).fingerprint)
    assert len(same) == 6


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
    assert dict(zip(task.rows.texts, task.rows.labels.tolist(), strict=True)) == {"a": 0, "b": 1}
    assert task.dropped == {
        "repeated_text": 2,
        "whitespace_variant": 0,
        "contradicting_labels": 3,
    }
    assert len(task.rows) + sum(task.dropped.values()) == len(cells)
    if own_ids:
        (kept,) = {"id0", "id2", "id5"} & set(task.rows.ids.tolist())
        again = load_task(write(tmp_path / "turned.jsonl", rows[::-1]))
        assert kept in again.rows.ids.tolist(), "which row is kept hangs on the order"


def test_doubled_ids_are_refused_even_for_the_same_text(tmp_path: Path) -> None:
    rows = [row("a", 0, id="x"), row("a", 0, id="x"), row("b", 1, id="y")]
    with pytest.raises(InputError, match=r"id 'x' of .*line 1 occurs again in .*line 2"):
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
    with pytest.raises(InputError, match=r"unknown task 'sst'.*tasks ls.*Did you mean 'sst2'"):
        load_task("sst")
    with pytest.raises(InputError, match="absent"):
        load_task(str(tmp_path / "absent.csv"))


@pytest.mark.parametrize("name", [pd.DataFrame({"text": ["a"], "label": [0]}), None, 3, [0]])
def test_a_task_has_a_name(name: object) -> None:
    for load in (load_task, load_splits):
        with pytest.raises(InputError, match=rf"task is a {type(name).__name__}.*module:function"):
            load(name)


def test_options_that_a_file_does_not_have(tmp_path: Path) -> None:
    name = write(tmp_path / "rows.jsonl", [row("a", 0), row("b", 1)])
    with pytest.raises(InputError, match="--positive"):
        load_task(name, positive="good")
    with pytest.raises(InputError, match="formatting 'published'"):
        load_task(name, formatting="published")


def test_whitespace_makes_no_new_text() -> None:
    texts = ["a  b\u00e9", "a be\u0301", "a b\u00e9\n", "c d", "c\td"]
    task = make_task("made up", SourceRows([*texts, "e"], [1, 1, 1, 0, 1, 0]))
    assert len(task.rows) == 2, "one of three stays, and the last"
    assert task.dropped["whitespace_variant"] == 2
    assert task.dropped["contradicting_labels"] == 2


def test_one_class_is_left_with_its_reasons() -> None:
    with pytest.raises(InputError, match=r"only label 1.*contradicting_labels': 2"):
        make_task("made up", SourceRows(["a b", "c", "c "], [1, 1, 0]))


def test_of_equal_texts_the_held_out_one_stays() -> None:
    source = SourceRows(
        ["a", "a ", "b", "c"], [1, 1, 0, 0], held_out=[False, True, True, False], ids=list("pqrs")
    )
    task = make_task("made up", source)
    assert task.rows.ids.tolist() == ["q", "r", "s"]
    assert task.rows.held_out is not None
    assert task.rows.held_out.tolist() == [True, True, False]


def many(n: int) -> list[dict[str, object]]:
    return [row(f"text {at}", at % 2, group=str(at // 3)) for at in range(n)]


def test_a_formatting_that_is_none() -> None:
    with pytest.raises(UnknownName, match="formatting 'publshed'"):
        load_task("boolq", formatting="publshed")  # type: ignore[arg-type]


def test_splits_of_a_task(tmp_path: Path) -> None:
    name = write(tmp_path / "rows.jsonl", [*many(60), row("text 0", 0, group="0")])
    splits = load_splits(name, sizes=SplitSizes(10, 10, 4, 8), seed=3)
    assert splits.dropped["repeated_text"] == 1
    assert sum(len(part) for _, part in splits.items()) + sum(splits.dropped.values()) == 61
    assert splits.about["fingerprint"] == load_task(name).fingerprint
    assert splits.about["split_seed"] == 3
    assert splits.about["task"] == name


def test_splits_that_were_written_are_taken_as_they_are(tmp_path: Path) -> None:
    splits = load_splits(write(tmp_path / "rows.jsonl", many(60)), seed=3)
    path = tmp_path / "splits.Parquet"
    splits.write(path)
    again = load_splits(path)
    assert isinstance(again, Splits)
    assert again.about == splits.about
    for name, part in splits.items():
        assert again[name].ids.tolist() == part.ids.tolist()
    with pytest.raises(InputError, match="split already"):
        load_splits(str(path), seed=1)


def test_bigbench(bigbench: Path) -> None:
    task = load_task("bigbench:multiemo/all_sentence_en")
    assert task.rows.texts == ["good", "bad", "awful"]
    assert task.rows.labels.tolist() == [1, 0, 0]
    assert task.made_of["asset"] == "bigbench"
    assert task.made_of["task"] == "multiemo/all_sentence_en"
    assert str(bigbench) not in json.dumps(task.made_of)
    assert len(task.rows) + sum(task.dropped.values()) == 9
    with pytest.raises(UnknownName, match="class"):
        load_task("bigbench:multiemo/all_sentence_de", positive="positive", negative="grim")


def ids_of(splits: Splits) -> set[str]:
    return {name for _, part in splits.items() for name in part.ids.tolist()}


@pytest.mark.parametrize("grouped", [False, True])
def test_slices_of_a_task_have_no_row_and_no_group_in_common(
    tmp_path: Path, *, grouped: bool
) -> None:
    rows = [
        row(
            f"text {number}", number % 2, id=str(number), group=f"g{number // 4}" if grouped else ""
        )
        for number in range(240)
    ]
    if not grouped:
        rows = [{name: cell for name, cell in one.items() if name != "group"} for one in rows]
    name = write(tmp_path / "rows.jsonl", rows)
    shares = SplitSizes(0.3, 0.3, 0.1, 0.3)

    def part(rows: int | str) -> set[str]:
        return set().union(
            *(ids_of(load_splits(name, rows=rows, sizes=shares, seed=s)) for s in range(5))
        )

    first, second, third = part("0:80"), part("80:160"), part("160:")
    assert not first & second
    assert not second & third
    assert not first & third
    assert len(first | second | third) > 200
    assert part(80) == first
    if grouped:
        assert not {int(one) // 4 for one in first} & {int(one) // 4 for one in second}


def test_a_slice_that_is_none_is_refused(tmp_path: Path) -> None:
    name = write(tmp_path / "rows.jsonl", [row(str(n), n % 2) for n in range(40)])
    for wrong in ("a", "", "5:5", "9:3", "-1:3", "1:2:3", "0.5:"):
        with pytest.raises(InputError, match="0:900"):
            row_slice(wrong)
    with pytest.raises(InputError, match="a start below 40"):
        load_splits(name, rows="40:")
    assert (row_slice(5), row_slice("5"), row_slice(":5")) == ((0, 5),) * 3
    assert row_slice("5:") == (5, None)
