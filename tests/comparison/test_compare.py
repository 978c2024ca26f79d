import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.comparison.cases import by_unit, repeated, scores
from w2sprobe.comparison import Analysis, Comparison, compare
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.metrics import (
    detectable_effect,
    equivalence,
    holm,
    paired_tests,
    task_mean,
)

laws = settings(deadline=None, max_examples=25, derandomize=True)
aucs = st.integers(60, 90).map(lambda percent: percent / 100)


# --- what is compared


def test_differences_and_tests_are_those_of_metrics() -> None:
    ours, theirs = [0.7, 0.8, 0.75, 0.66], [0.69, 0.75, 0.76, 0.6]
    found = by_unit(compare(scores({"student": theirs, "x": ours})))
    for unit, scale in (("auc", 1), ("pgr", 1 / 0.3)):
        row, tests = found[unit], paired_tests(ours, theirs, alternative="two-sided")
        assert (row.n, row.n_shown, row.wins, row.losses) == (4, 4, 3, 1)
        assert row.mean == pytest.approx(scale * np.mean(np.subtract(ours, theirs)))
        assert row.median == pytest.approx(scale * np.median(np.subtract(ours, theirs)))
        assert row.sd == pytest.approx(scale * np.std(np.subtract(ours, theirs), ddof=1))
        interval = task_mean(scale * np.subtract(ours, theirs)).mean_interval
        assert row.mean_interval == pytest.approx(interval)
        for name in ("t_pvalue", "wilcoxon_pvalue", "sign_pvalue"):
            assert getattr(row, name) == pytest.approx(getattr(tests, name))
    margin = equivalence(np.subtract(ours, theirs), 0.01)
    assert found["auc"].equivalence_pvalue == pytest.approx(margin)
    assert math.isnan(found["pgr"].equivalence_pvalue)  # the margin is in AUC


@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_tests_can_be_one_sided(alternative: str) -> None:
    ours, theirs = [0.7, 0.8, 0.75, 0.66], [0.69, 0.75, 0.76, 0.6]
    rows = scores({"student": theirs, "x": ours})
    row = by_unit(compare(rows, analysis=Analysis(alternative=alternative)))["auc"]
    tests = paired_tests(ours, theirs, alternative=alternative)
    assert row.t_pvalue == pytest.approx(tests.t_pvalue)
    assert row.wilcoxon_pvalue == pytest.approx(tests.wilcoxon_pvalue)


def test_others_are_compared_with_the_plain_student_by_default() -> None:
    rows = {"y": [0.7, 0.8], "student": [0.6, 0.7], "xent": [0.6, 0.8]}
    found = compare(scores(rows))
    assert found.against == "student"
    assert [row.method for row in found.methods] == ["y", "xent"] * 2
    assert compare(scores({"y": [0.7, 0.8], "xent": [0.6, 0.8]})).against == "xent"
    assert compare(scores(rows), methods=["student"], against="y").methods[0].method == "student"


def test_what_cannot_be_compared() -> None:
    rows = scores({"student": [0.7, 0.8], "x": [0.7, 0.9]})
    with pytest.raises(UnknownName, match="Did you mean 'student'"):
        compare(rows, against="studnt")
    with pytest.raises(UnknownName, match="unknown method 'y'"):
        compare(rows, methods=["y"])
    with pytest.raises(InputError, match="nothing to compare 'x' with"):
        compare(rows, methods=["x"], against="x")
    with pytest.raises(InputError, match="no method named student or xent"):
        compare(scores({"x": [0.7, 0.8]}))
    with pytest.raises(InputError, match="nothing to compare 'student' with"):
        compare(scores({"student": [0.7, 0.8]}, weak=math.nan))


def test_one_pair_of_models_at_a_time() -> None:
    rows = scores({"student": [0.7, 0.8], "x": [0.7, 0.9]})
    named = [replace(row, weak_model="w", strong_model="s") for row in rows]
    other = [replace(row, weak_model="w", strong_model="l") for row in rows]
    found = compare(named)
    assert (found.weak_model, found.strong_model) == ("w", "s")
    with pytest.raises(InputError, match=r"2 pairs of models: w:s, w:l.*--pair"):
        compare([*named, *other])


def test_several_methods_are_adjusted_together_unit_by_unit() -> None:
    rows = {"student": [0.7] * 6, "x": [0.71, 0.72, 0.73, 0.72, 0.71, 0.74], "y": [0.7, 0.8] * 3}
    found = compare(scores(rows))
    for unit in ("pgr", "auc"):
        first, second = (row for row in found.methods if row.unit == unit)
        assert first.t_holm == pytest.approx(2 * first.t_pvalue)
        assert second.t_holm == pytest.approx(max(second.t_pvalue, first.t_holm))
    (alone,) = compare(scores(rows), methods=["x"], units=["auc"]).methods
    assert alone.t_holm == alone.t_pvalue


# --- the primary family, and what tests say

FAMILY = {
    "student": [0.70, 0.72, 0.74, 0.71, 0.73, 0.70],
    "x": [0.73, 0.74, 0.78, 0.74, 0.75, 0.74],
    "y": [0.67, 0.70, 0.70, 0.68, 0.71, 0.66],
    "random_filter": [0.70, 0.721, 0.739, 0.712, 0.731, 0.70],
    "knn_probe_on_truth": [0.85, 0.86, 0.88, 0.85, 0.87, 0.86],
    "zero_shot": [0.5, 0.9, 0.6, 0.8, 0.5, 0.7],
}


def in_auc(comparison: Comparison) -> dict[str, object]:
    return {row.method: row for row in comparison.methods if row.unit == "auc"}


def test_holm_counts_competitors_alone() -> None:
    found = in_auc(compare(scores(FAMILY)))
    assert [name for name, row in found.items() if row.primary] == ["x", "y"]
    raw = [found[name].t_pvalue for name in ("x", "y")]
    assert [found[name].t_holm for name in ("x", "y")] == pytest.approx(holm(raw))
    raw = [found[name].equivalence_pvalue for name in ("x", "y")]
    assert [found[name].equivalence_holm for name in ("x", "y")] == pytest.approx(holm(raw))
    for name in ("random_filter", "knn_probe_on_truth", "zero_shot"):
        assert found[name].role == "control"
        assert math.isnan(found[name].t_holm)
        assert math.isnan(found[name].equivalence_holm)


def test_verdicts_come_from_tests_and_name_harm_as_well() -> None:
    found = in_auc(compare(scores(FAMILY)))
    assert {name: row.verdict for name, row in found.items()} == {
        "x": "better",
        "y": "worse",
        "random_filter": "no difference",
        "knn_probe_on_truth": "better",
        "zero_shot": "undecided",
    }
    strict = in_auc(compare(scores(FAMILY), analysis=Analysis(margin=1e-4)))
    assert strict["random_filter"].verdict == "undecided"
    blind = in_auc(compare(scores(FAMILY), analysis=Analysis(alternative="greater")))
    assert (blind["x"].verdict, blind["y"].verdict) == ("better", "undecided")
    sure = in_auc(compare(scores(FAMILY), analysis=Analysis(alpha=1e-9)))
    assert sure["x"].verdict == "undecided"


def test_no_difference_is_shown_after_correction_only() -> None:
    noise = np.array([-0.009, 0.011, 0.0, -0.003, 0.009, -0.007])
    student = np.full(6, 0.7)
    rows = {"student": student, **dict.fromkeys(("x", "random_filter"), student + noise)}
    several = {**rows, **{f"m{number}": student + noise for number in range(5)}}
    alone, among = (in_auc(compare(scores(given))) for given in (rows, several))
    assert alone["x"].verdict == "no difference"
    assert among["x"].equivalence_pvalue == pytest.approx(alone["x"].equivalence_pvalue)
    assert among["x"].verdict == "undecided"
    assert among["random_filter"].verdict == "no difference"  # outside the family


def test_a_declared_family_replaces_the_rule() -> None:
    found = compare(scores(FAMILY), analysis=Analysis(family=("x", "random_filter", "z")))
    rows = in_auc(found)
    assert [name for name, row in rows.items() if row.primary] == ["x", "random_filter"]
    assert rows["y"].role == "competitor"
    assert found.families[0].methods == ("x", "random_filter")
    assert any(note.startswith("The family names z,") for note in found.notes)
    assert compare(scores(FAMILY), analysis=Analysis(family=())).families == ()


def test_scores_may_state_the_role_of_a_method() -> None:
    rows = [replace(s, role="control" if s.method == "y" else "") for s in scores(FAMILY)]
    rows = [replace(s, role="competitor") if s.method == "zero_shot" else s for s in rows]
    found = in_auc(compare(rows))
    assert [name for name, row in found.items() if row.primary] == ["x", "zero_shot"]


def test_a_family_has_its_least_p_value_and_detectable_effect() -> None:
    found = compare(scores(FAMILY))
    rows = in_auc(found)
    (family,) = (family for family in found.families if family.unit == "auc")
    assert (family.methods, family.n_tasks) == (("x", "y"), 6)
    assert (family.least_pvalue, family.least_holm) == (2 / 64, 4 / 64)
    for name, level in (("x", 0.025), ("y", 0.025), ("random_filter", 0.05)):
        effect = detectable_effect(rows[name].sd, 6, alpha=level)
        assert rows[name].detectable == pytest.approx(effect)
    middle = np.median([rows["x"].detectable, rows["y"].detectable])
    assert family.detectable == pytest.approx(middle)
    one_sided = compare(scores(FAMILY), analysis=Analysis(alternative="greater"))
    assert one_sided.families[0].least_pvalue == 1 / 64


# --- gains over the weak model


def test_the_student_alone_has_its_gain_over_the_weak_model() -> None:
    found = compare(scores({"student": FAMILY["student"]}))
    assert (found.methods, found.families) == ((), ())
    (row,) = found.supervisor_gains
    assert (row.method, row.primary, row.wins) == ("student", False, 6)
    assert row.mean == pytest.approx(np.mean(FAMILY["student"]) - 0.6)
    assert math.isnan(row.t_holm)
    assert row.verdict == "better"
    assert row.pgr == pytest.approx(row.mean / 0.3)


def test_one_task_has_a_difference_and_no_test() -> None:
    row = by_unit(compare(scores({"student": [0.7], "x": [0.8]})))["auc"]
    assert (row.n, row.wins, row.losses) == (1, 1, 0)
    assert row.mean == pytest.approx(0.1)
    assert row.verdict == "undecided"
    assert math.isnan(row.t_pvalue)
    assert math.isnan(row.t_holm)


def test_aucs_without_ends_are_compared_in_auc() -> None:
    bare = scores({"student": [0.7, 0.8], "x": [0.8, 0.8]}, weak=math.nan, ceiling=math.nan)
    found = compare(bare)
    assert (by_unit(found)["auc"].n, by_unit(found)["pgr"].n) == (2, 0)
    assert any("2 of 2 tasks have no weak_auc" in note for note in found.notes)


def test_scores_that_contradict_one_another_are_refused() -> None:
    rows = scores({"student": [0.7, 0.8], "x": [0.8, 0.8]})
    with pytest.raises(InputError, match="occurs twice"):
        compare([*rows, rows[0]])


def test_a_method_has_one_role() -> None:
    first, *rest = scores({"student": [0.7, 0.8], "x": [0.8, 0.8]})
    said = [replace(one, role="control" if one.task == "t0" else "competitor") for one in rest]
    with pytest.raises(InputError, match="role of 'x' is control and competitor"):
        compare([first, *said])


def test_a_note_says_where_gap_se_is_missing() -> None:
    rows = repeated("student", [[0.7, 0.71]]) + repeated("x", [[0.72, 0.74]])
    assert any("1 of 1 tasks have no gap_se" in note for note in compare(rows).notes)


def test_the_baseline_is_no_member_of_the_family() -> None:
    found = compare(scores(FAMILY), analysis=Analysis(family=("x", "student")))
    assert found.families[0].methods == ("x",)
    assert any(note.startswith("The family names student,") for note in found.notes)


def test_notes_name_missing_errors_and_unpaired_scores() -> None:
    assert compare(scores({"student": [0.7, 0.8], "x": [0.8, 0.8]})).notes == ()
    unknown = scores({"student": [0.7, 0.8], "x": [0.8]}, se=math.nan)
    first, second = compare(unknown).notes
    assert "2 of 2 tasks have no gap_se" in first
    assert "1 scores of x or student have no counterpart" in second


# --- laws


@laws
@given(st.lists(st.tuples(aucs, aucs), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_row_order_does_not_matter_and_swapping_methods_flips_signs(pairs, random) -> None:
    ours, theirs = (list(column) for column in zip(*pairs, strict=True))
    rows = scores({"student": theirs, "x": ours})
    plain = by_unit(compare(rows))
    shuffled = by_unit(compare(random.sample(rows, len(rows))))
    turned = by_unit(compare(rows, methods=["student"], against="x"))
    for unit, row in plain.items():
        for name, value in row.model_dump(
            exclude={"method", "unit", "role", "primary", "verdict"}
        ).items():
            assert value == pytest.approx(getattr(shuffled[unit], name), nan_ok=True), name
        assert row.mean == pytest.approx(-turned[unit].mean)
        assert row.median == pytest.approx(-turned[unit].median)
        assert (row.wins, row.losses) == (turned[unit].losses, turned[unit].wins)
        assert row.t_pvalue == pytest.approx(turned[unit].t_pvalue, nan_ok=True)
        opposite = {"better": "worse", "worse": "better"}
        assert turned[unit].verdict == opposite.get(row.verdict, row.verdict)


def test_what_is_not_known_is_null_in_json() -> None:
    found = compare(scores({"student": [0.7], "x": [0.8]}, se=math.nan))
    assert '"gap_se":null' in found.model_dump_json()
    assert "NaN" not in found.model_dump_json()
