"""The curated BIG-bench tasks, on the fetched files."""

import re
from collections import Counter
from functools import cache

import pyarrow.parquet as pq
import pytest

from w2sprobe.assets import asset_path, is_fetched
from w2sprobe.data.bigbench import ASSET, read_bigbench
from w2sprobe.data.bigbench_curated import CURATED, CuratedTask
from w2sprobe.data.rows import SourceRows

fetched = pytest.mark.skipif(
    not is_fetched(ASSET), reason="BIG-bench is not fetched: w2sprobe fetch bigbench"
)
every_task = pytest.mark.parametrize("entry", CURATED.values(), ids=list(CURATED))

ALL_ALONE = {  # choices, but no question twice and no pattern
    "abstract_narrative_understanding/4_distractors",
    "discourse_marker_prediction",
    "intent_recognition",
    "logic_grid_puzzle",
    "real_or_fake_text/easy",
    "real_or_fake_text/gpt2_xl",
    "reasoning_about_colored_objects",
    "temporal_sequences",
    "tracking_shuffled_objects/five_objects",
    "tracking_shuffled_objects/three_objects",
}


def usable(rows: SourceRows) -> dict[str, int]:
    """Text to label as `load_task` keeps them: once, without contradictions."""
    labels: dict[str, set[int]] = {}
    for text, label in zip(rows.texts, rows.labels, strict=True):
        labels.setdefault(" ".join(text.split()), set()).add(label)
    return {text: min(found) for text, found in labels.items() if len(found) == 1}


@cache
def read(task: str) -> SourceRows:
    return read_bigbench(task)


# --- the table


def test_enough_tasks_of_enough_kinds() -> None:
    assert len(CURATED) >= 40
    assert next(iter(CURATED)) == "multiemo/all_sentence_en"
    families = Counter(name.split("/")[0] for name in CURATED)
    assert len(families) >= 30
    assert max(families.values()) <= 5


@every_task
def test_entry(entry: CuratedTask) -> None:
    assert entry.rows >= 500
    assert 0 < len(entry.about) <= 60
    assert bool(entry.positive) == bool(entry.negative) == (entry.mode == "classes")
    assert not (entry.never and entry.mode == "classes")
    for pattern in filter(None, (entry.group, entry.never)):
        assert re.compile(pattern).groups <= 1  # more would make tuples of what is found


# --- the rows


@fetched
@every_task
def test_rows(entry: CuratedTask) -> None:
    rows = read(entry.name)
    kept = usable(rows)
    assert len(kept) == entry.rows
    assert 0.2 <= sum(kept.values()) / len(kept) <= 0.8
    assert all(text and text == text.strip() for text in rows.texts)
    assert rows.made_of["mode"] == entry.mode
    assert (rows.made_of["positive"], rows.made_of["negative"]) == (entry.positive, entry.negative)


@fetched
@every_task
def test_groups(entry: CuratedTask) -> None:
    rows = read(entry.name)
    if entry.group is None and (entry.mode == "classes" or entry.name in ALL_ALONE):
        assert rows.groups is None
        return
    assert rows.groups is not None
    assert len(rows.groups) == len(rows.texts)
    sizes = Counter(rows.groups)
    assert len(sizes) >= 20
    # one large group would leave nothing to split
    assert max(sizes.values()) <= 0.15 * len(rows.texts)
    assert max(sizes.values()) >= 2


@fetched
@every_task
def test_patterns_find_something(entry: CuratedTask) -> None:
    texts = [" ".join(text.split()) for text in read(entry.name).texts]
    if entry.group and entry.mode == "classes":
        found = sum(bool(re.search(entry.group, text)) for text in texts)
        assert found > 0.98 * len(texts)
    if entry.never:
        shown = [text.rsplit("Answer: ", 1)[1] for text in texts]
        assert not any(re.search(entry.never, choice) for choice in shown)
        offered = pq.read_table(asset_path(ASSET) / f"{entry.name}.parquet")["target_scores"]
        assert all(
            sum(bool(re.search(entry.never, name)) for name, _ in row) == 1
            for row in offered.to_pylist()
        )


@fetched
@every_task
def test_a_choice_is_told_by_nothing_but_itself(entry: CuratedTask) -> None:
    """Same lead in every row, no matter the label."""
    if entry.mode == "choices":
        assert all(entry.lead in text for text in read(entry.name).texts)


@fetched
def test_the_demo_task_has_not_changed() -> None:
    rows = read("multiemo/all_sentence_en")
    kept = usable(rows)
    assert sum(kept.values()) == 15_234
    assert len(rows.texts) + sum(rows.dropped.values()) == 57_466  # examples of the task
    assert "recommend" in " ".join(rows.texts[:2000])


SEEN = [
    ("strategyqa", "Do frogs feel disgust?", 1),
    ("sports_understanding", "Yordan Alvarez was safe at first", 1),
    ("sports_understanding", "Ben Roethlisberger took a backhand shot", 0),
    ("navigate", "Take 9 steps. Turn right. Turn right. Take 9 steps.", 1),
    ("social_iqa", "Quinn finished the movie and cried at the ending.", 0),
    ("unit_conversion/different_systems", "When expressed in units of kilomoles, 5 centimoles", 1),
]


@fetched
@pytest.mark.parametrize(("task", "start", "label"), SEEN)
def test_labels_mean_what_they_say(task: str, start: str, label: int) -> None:
    rows = read(task)
    found = {y for text, y in zip(rows.texts, rows.labels, strict=True) if text.startswith(start)}
    assert found == {label}
