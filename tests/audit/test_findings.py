import pytest

from tests.audit.cases import NO, YES, make_baseline, make_duplicates, make_splits, with_texts
from w2sprobe.audit import Balance, Finding, Overflow, Suffix
from w2sprobe.audit.duplicates import find_duplicates
from w2sprobe.audit.findings import (
    find_baselines,
    find_constant_suffix,
    find_duplicate_rows,
    find_imbalance,
    find_overflows,
    in_order,
    show_cue,
)
from w2sprobe.data import Splits


def levels(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.level, finding.kind) for finding in findings]


def test_flagged_baselines_are_one_finding_with_their_cues() -> None:
    length = make_baseline(name="length", cues=(), about="lines, quartiles: 1 / 2")
    quiet = make_baseline(name="characters", auc=0.6, flagged=False)
    (finding,) = find_baselines((length, quiet, make_baseline(auc=0.97)))
    assert (finding.level, finding.kind) == ("flag", "baseline")
    assert "length alone, test AUC 0.990 (lines, quartiles: 1 / 2); by single" in finding.message
    assert "single words, test AUC 0.970 ('no' (900 | 0) for label 0, 'yes<end>'" in finding.message
    assert "character" not in finding.message
    assert find_baselines((quiet,)) == []


def test_a_missing_auc_is_noted() -> None:
    nothing = make_baseline(auc=None, interval=None, flagged=False)
    assert levels(find_baselines((nothing,))) == [("note", "baseline")]


@pytest.mark.parametrize(("rows", "level"), [(1, "warning"), (10, "warning"), (11, "flag")])
def test_more_than_one_percent_of_test_rows_in_training_is_flagged(rows: int, level: str) -> None:
    found = make_duplicates(test_rows=rows, weak_train__test=rows, strong_train__test=0)
    (finding,) = find_duplicate_rows(found, 1_000, 1_000)
    assert finding.level == level
    assert f"{rows} of 1,000 test rows ({rows / 10:.2f} %)" in finding.message
    assert f"labels differ in {rows // 2} of {rows} pairs" in finding.message


def test_strong_rows_in_weak_train_and_pairs_with_val() -> None:
    found = make_duplicates(weak_train__strong_train=20, val__test=3, weak_train__val=4)
    strong, val = find_duplicate_rows(found, 1_000, 1_000)
    assert (strong.level, val.level) == ("flag", "note")
    assert "20 of 1,000 strong-train rows (2.00 %)" in strong.message
    assert "between val and other splits: 7" in val.message


def test_levels_of_planted_duplicates() -> None:
    splits = make_splits()

    def found(changed: Splits) -> list[tuple[str, str]]:
        n_strong, n_test = len(changed.strong_train), len(changed.test)
        return levels(find_duplicate_rows(find_duplicates(changed), n_strong, n_test))

    copies = {row: splits.weak_train.texts[row] + " more" for row in range(10)}
    assert found(splits) == []
    assert found(with_texts(splits, "test", {0: copies[0]})) == [("warning", "duplicates")]
    assert found(with_texts(splits, "strong_train", copies)) == [("flag", "duplicates")]
    assert found(with_texts(splits, "val", {0: copies[0]})) == [("note", "duplicates")]


def test_models_whose_context_suffices_are_not_reported() -> None:
    short = Overflow(model="a", context=512, longest=1_024, rows={"val": 0, "test": 1_003})
    (finding,) = find_overflows((short, Overflow(model="b", context=9, longest=9, rows={"val": 0})))
    assert finding.level == "flag"
    assert "the 512 tokens of a: test 1,003; the longest has 1,024" in finding.message


@pytest.mark.parametrize(("ones", "reported"), [(39, True), (40, False), (60, False), (61, True)])
def test_imbalance_is_noted_outside_its_bounds(ones: int, reported: bool) -> None:
    found = find_imbalance((Balance(split="val", rows_0=100 - ones, rows_1=ones),))
    assert bool(found) == reported
    if found:
        assert f"val {ones} %" in found[0].message


def test_a_long_suffix_is_cut_at_its_start() -> None:
    assert find_constant_suffix(None) == []
    (finding,) = find_constant_suffix(Suffix(text="x" * 100 + "the end", share=0.961))
    assert finding.level == "warning"
    assert f"96 % of all rows end in '…{'x' * 53}the end'" in finding.message


def test_flags_come_before_warnings_and_notes() -> None:
    found = [
        Finding(kind="balance", level=level, message=str(number))
        for number, level in enumerate(("note", "flag", "warning", "flag"))
    ]
    assert [finding.message for finding in in_order(found)] == ["1", "3", "2", "0"]


def test_cues_name_the_ends_of_a_row() -> None:
    assert show_cue(YES) == "'yes<end>' (3 | 1,250)"
    assert show_cue(NO.model_copy(update={"text": "\x02no"})) == "'<start>no' (900 | 0)"
