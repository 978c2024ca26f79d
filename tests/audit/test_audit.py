from pathlib import Path

import numpy as np
import pytest

from tests.audit.cases import SIZES, make_splits, shuffled, with_labels, with_texts
from w2sprobe.assets import is_fetched
from w2sprobe.audit import Audit, ModelLengths, audit_splits, render
from w2sprobe.data import SplitSizes, load_task
from w2sprobe.data import make_splits as cut
from w2sprobe.errors import InputError

SMALL = dict.fromkeys(SIZES, 20)
TASK = "bigbench:multiemo/all_sentence_en"


def leaking(words: list[str], label: int) -> str:
    return " ".join([*words, "surely" if label else "hardly", "so."])


def kinds(audit: Audit) -> list[tuple[str, str]]:
    return [(finding.level, finding.kind) for finding in audit.findings]


def test_a_clean_task_is_clean() -> None:
    audit = audit_splits(make_splits())
    assert audit.findings == ()
    assert audit.clean
    assert render(audit).startswith("Audit of made up: nothing flagged\n")


@pytest.mark.skipif(not is_fetched("bigbench"), reason="BIG-bench is not fetched")
def test_a_real_task_is_clean() -> None:
    task = load_task(TASK)
    audit = audit_splits(cut(task.rows, SplitSizes(500, 500, 200, 800)))
    assert audit.clean
    assert audit.task == TASK
    words = audit.baselines[2].auc
    assert words is not None
    assert 0.65 < words < 0.9, "words say much about sentiment, not all"
    assert len(render(audit).splitlines()) <= 40


def test_every_check_can_fire() -> None:
    splits = make_splits(leaking)
    copies = {row: splits.weak_train.texts[row].replace("so.", "so, so.") for row in range(10)}
    splits = with_texts(splits, "test", copies)
    splits = with_labels(splits, "val", np.arange(60) % 4 == 0)
    audit = audit_splits(
        splits, token_counts={"tiny": ModelLengths(64, {"test": np.full(200, 65)})}
    )
    assert kinds(audit) == [
        ("flag", "baseline"),
        ("flag", "duplicates"),
        ("flag", "context"),
        ("warning", "suffix"),
        ("note", "balance"),
    ]
    assert not audit.clean
    text = render(audit)
    assert text.startswith("Audit of made up: 3 flagged, 1 warned about\n")
    for part in (
        "'surely' (0 | 150) for label 1",
        "'hardly' (150 | 0) for label 0",
        "10 of 200 test rows (5.00 %)",
        "labels differ in 0 of 10 pairs",
        "longer than the 64 tokens of tiny: test 200; the longest has 65",
        "98 % of all rows end in 'ly so.'",
        "val 25 %",
    ):
        assert part in " ".join(text.split()), part
    assert max(map(len, text.splitlines())) <= 120
    assert len(text.splitlines()) <= 42


def test_few_duplicates_warn_and_others_are_noted() -> None:
    splits = make_splits()
    one = with_texts(splits, "test", {0: splits.weak_train.texts[0] + " more"})
    assert kinds(audit_splits(one)) == [("warning", "duplicates")]
    assert kinds(audit_splits(with_texts(splits, "strong_train", {
        row: splits.weak_train.texts[row] + " more" for row in range(10)
    }))) == [("flag", "duplicates")], "the weak model knows these rows"  # fmt: skip
    aside = with_texts(splits, "val", {0: splits.weak_train.texts[0] + " more"})
    audit = audit_splits(aside)
    assert kinds(audit) == [("note", "duplicates")]
    assert audit.clean


def test_a_model_without_a_limit_reads_everything() -> None:
    splits = make_splits()
    audit = audit_splits(
        splits, token_counts={"long": ModelLengths(None, {"test": np.full(200, 9)})}
    )
    assert audit.clean
    assert audit.overflows == ()


def test_one_label_in_test_is_noted() -> None:
    splits = with_labels(make_splits(sizes=SMALL), "test", np.ones(20, dtype=np.int64))
    audit = audit_splits(splits)
    assert kinds(audit) == [("note", "baseline"), ("note", "balance")]
    assert "no AUC" in render(audit)


def test_the_order_of_rows_has_no_influence() -> None:
    splits = make_splits(leaking)
    splits = with_texts(splits, "test", {3: splits.weak_train.texts[3] + " more"})
    assert audit_splits(shuffled(splits)) == audit_splits(splits)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    splits = make_splits(leaking)
    audit = audit_splits(
        with_texts(splits, "test", {0: splits.weak_train.texts[0] + " more"}),
        token_counts={"tiny": ModelLengths(64, {"val": np.arange(60)})},
    )
    audit.write(tmp_path / "audit.json")
    assert Audit.read(tmp_path / "audit.json") == audit


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    for name in ("other.json", "missing.json"):
        with pytest.raises(InputError, match="cannot read audit"):
            Audit.read(tmp_path / name)
