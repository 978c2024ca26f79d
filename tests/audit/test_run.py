import numpy as np
import pytest

from tests.audit.cases import SIZES, leaking, make_splits, shuffled, with_labels, with_texts
from w2sprobe.assets import is_fetched
from w2sprobe.audit import Audit, ModelLengths, audit_splits, render
from w2sprobe.data import SplitSizes, load_task
from w2sprobe.data import make_splits as cut

SMALL = dict.fromkeys(SIZES, 20)
TASK = "bigbench:multiemo/all_sentence_en"


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
