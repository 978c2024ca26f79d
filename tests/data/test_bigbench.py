from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from w2sprobe.assets import BIGBENCH_SCHEMA, is_fetched
from w2sprobe.data import load_task
from w2sprobe.data.bigbench import read_bigbench
from w2sprobe.errors import InputError, UnknownName

DEMO = "multiemo/all_sentence_en"


def test_curated_classes(bigbench: Path) -> None:
    rows = read_bigbench(DEMO)
    assert list(zip(rows.texts, rows.labels, strict=True)) == [
        ("good", 1),
        ("bad", 0),
        ("good", 1),
        ("unclear", 1),
        ("unclear", 0),
        ("awful", 0),
    ]
    assert rows.dropped == {"other_class": 1, "no_single_class": 1, "empty_text": 1}


def test_swapping_the_classes_flips_the_labels(bigbench: Path) -> None:
    rows, swapped = (
        read_bigbench(DEMO, positive=p, negative=n)
        for p, n in (("positive", "negative"), ("negative", "positive"))
    )
    assert swapped.texts == rows.texts
    assert swapped.labels == [1 - label for label in rows.labels]
    assert swapped.identity != rows.identity


def test_one_class_may_replace_a_default(bigbench: Path) -> None:
    rows = read_bigbench(DEMO, positive="neutral")
    assert [t for t, label in zip(rows.texts, rows.labels, strict=True) if label] == ["so so"]
    assert (rows.identity["positive"], rows.identity["negative"]) == ("neutral", "negative")


ERRORS = [
    ("multiemo/all_sentence_dee", {}, UnknownName, ["Did you mean 'multiemo/all_sentence_de'"]),
    ("../escape", {}, UnknownName, ["unknown BIG-bench task '../escape'", "2 tasks in all"]),
    (
        "multiemo/all_sentence_de",
        {},
        InputError,
        ["no negative class", "--positive and --negative", "positive 4", "negative 3", "neutral 1"],
    ),
    (
        DEMO,
        {"positive": "positiv"},
        UnknownName,
        ["unknown positive class 'positiv'", "Did you mean 'positive'", "negative 3"],
    ),
    (DEMO, {"positive": "negative"}, InputError, ["both 'negative'"]),
]


@pytest.mark.parametrize(("task", "classes", "kind", "parts"), ERRORS)
def test_errors(
    bigbench: Path, task: str, classes: dict[str, str], kind: type, parts: list[str]
) -> None:
    with pytest.raises(kind) as error:
        read_bigbench(task, **classes)
    for part in parts:
        assert part in str(error.value)


def test_long_lists_are_cut_to_the_nearest(bigbench: Path) -> None:
    names = [f"class {number}" for number in range(50)]
    rows = {"input": names, "target_scores": [[(name, 1.0)] for name in names]}
    pq.write_table(pa.table(rows, schema=BIGBENCH_SCHEMA), bigbench / "many.parquet")
    with pytest.raises(UnknownName, match="Did you mean 'class 4") as error:
        read_bigbench("many", positive="class 1", negative="clas 4")
    assert len(error.value.allowed.split(", ")) == 8


def test_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W2SPROBE_HOME", str(tmp_path))
    with pytest.raises(InputError, match="has not been fetched") as error:
        read_bigbench(DEMO)
    assert "w2sprobe fetch bigbench" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_the_real_demo_task() -> None:
    if not is_fetched("bigbench"):
        pytest.skip("BIG-bench is not fetched: w2sprobe fetch bigbench")
    task = load_task(f"bigbench:{DEMO}")
    assert len(task.rows) == 36_320
    assert len(task.rows) + sum(task.dropped.values()) == 57_466  # examples of the task
    assert task.rows.labels.sum() == 15_234
    assert "recommend" in " ".join(task.rows.texts[:2000])
