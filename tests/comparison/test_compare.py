import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2sprobe.comparison import Analysis, Comparison, Score, compare
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.metrics import (
    detectable_effect,
    equivalence,
    holm,
    mean_of_runs,
    paired_tests,
    task_mean,
    variance_components,
)

laws = settings(deadline=None, max_examples=25, derandomize=True)
aucs = st.integers(60, 90).map(lambda percent: percent / 100)


def scores(
    values: dict[str, list[float]], *, weak: float = 0.6, ceiling: float = 0.9, se: float = 0.01
) -> list[Score]:
    """A row a method and task, one seed."""
    ends = {"weak_auc": weak, "ceiling_auc": ceiling, "gap_se": se}
    return [
        Score(f"t{task}", method, auc=auc, **ends)
        for method, row in values.items()
        for task, auc in enumerate(row)
    ]


def repeated(method: str, table: list[list[float]], **ends: float) -> list[Score]:
    """A row a task, a column a seed."""
    ends = {"weak_auc": 0.6, "ceiling_auc": 0.8, **ends}
    return [
        Score(f"t{task}", method, str(seed), auc=auc, **ends)
        for task, row in enumerate(table)
        for seed, auc in enumerate(row)
    ]


def test_the_error_of_a_mean_gap_knows_of_rows_and_seeds() -> None:
    gaps = [0.02, 0.06, 0.10]
    rows = [
        Score("t", method, str(seed), auc=0.7, weak_auc=0.6, ceiling_auc=0.6 + gap, gap_se=0.01)
        for method in ("student", "other")
        for seed, gap in enumerate(gaps)
    ]
    (task,) = compare(rows).tasks
    assert task.gap == pytest.approx(0.06)
    assert task.gap_se == pytest.approx(np.sqrt(0.01**2 + np.var(gaps, ddof=1) / 3))
    assert not task.resolved  # .06 are 6 standard errors of rows alone
    (single,) = compare(rows[1::3]).tasks
    assert single.gap_se == 0.01
    assert single.resolved


def by_unit(comparison: Comparison) -> dict[str, object]:
    return {row.unit: row for row in comparison.methods}


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


def test_the_plain_student_is_what_others_are_compared_with() -> None:
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


def test_scores_may_say_who_competes() -> None:
    rows = [replace(s, role="control" if s.method == "y" else "") for s in scores(FAMILY)]
    rows = [replace(s, role="competitor") if s.method == "zero_shot" else s for s in rows]
    found = in_auc(compare(rows))
    assert [name for name, row in found.items() if row.primary] == ["x", "zero_shot"]


def test_what_a_family_can_show_stands_beside_it() -> None:
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


def test_errors_of_gains_know_of_rows_and_seeds() -> None:
    table = [[0.70, 0.72, 0.77], [0.6, 0.61, 0.66]]
    rows = [replace(row, delta_auc_se=0.01) for row in repeated("student", table)]
    first, second = compare(rows).tasks
    for task, aucs in ((first, table[0]), (second, table[1])):
        expected = mean_of_runs(np.subtract(aucs, 0.6), 0.01**2)
        assert task.delta_auc_se["student"] == pytest.approx(expected.se)
    (unknown, _) = compare(repeated("student", table)).tasks
    assert math.isnan(unknown.delta_auc_se["student"])  # seeds alone would not be all of it


def test_runs_of_one_supervisor_share_its_noise() -> None:
    gains = {("0", "0"): 0.1, ("0", "1"): 0.12, ("1", "0"): 0.2, ("1", "1"): 0.24}
    rows = [
        Score("t", "student", f"{weak}/{strong}", auc=0.6 + gain, weak_auc=0.6, ceiling_auc=0.9,
              gap_se=0.01, delta_auc_se=0.01, split_seed="0", weak_seed=weak, strong_seed=strong)
        for (weak, strong), gain in gains.items()
    ]  # fmt: skip
    (task,) = compare(rows).tasks
    by_weak = mean_of_runs([0.11, 0.22], 0.01**2)
    assert task.delta_auc_se["student"] == pytest.approx(by_weak.se)
    cuts = [replace(row, split_seed=row.strong_seed) for row in rows]
    (task,) = compare(cuts).tasks
    by_cut = mean_of_runs([0.15, 0.18], 0.01**2)
    assert task.delta_auc_se["student"] == pytest.approx(by_cut.se)


# --- which tasks count


def test_unresolved_tasks_are_shown_and_not_averaged_in_pgr() -> None:
    good = {"student": [0.7, 0.71], "x": [0.8, 0.8]}
    small = [replace(s, task="small") for s in scores({"student": [0.6], "x": [0.5]}, ceiling=0.62)]
    unsure = [replace(s, task="unsure") for s in scores({"student": [0.6], "x": [0.5]}, se=0.1)]
    found = compare([*scores(good), *small, *unsure])
    assert {row.task: row.excluded for row in found.tasks} == {
        "t0": "", "t1": "", "small": "gap 0.020 < 0.03", "unsure": "gap/SE 3.0 < 4",
    }  # fmt: skip
    assert [row.resolved for row in found.tasks] == [True, True, False, False]
    assert found.tasks[2].pgr["x"] == pytest.approx(-5)
    assert (by_unit(found)["pgr"].n, by_unit(found)["pgr"].n_shown) == (2, 4)
    assert by_unit(found)["auc"].n == 4
    assert {unit: row.n_runs for unit, row in by_unit(found).items()} == {"auc": 4, "pgr": 2}
    rule = Analysis(min_gap=0.02, min_gap_se=2)
    looser = compare([*scores(good), *small, *unsure], analysis=rule)
    assert by_unit(looser)["pgr"].n == 4


def test_the_published_rule_leaves_out_saturated_tasks_alone() -> None:
    def one(task: str, auc: float, weak: float, ceiling: float) -> list[Score]:
        rows = scores({"student": [auc], "x": [auc]}, weak=weak, ceiling=ceiling)
        return [replace(score, task=task) for score in rows]

    rows = [
        *one("saturated", 0.9995, 0.999, 1.0),
        *one("nearly", 0.998, 0.999, 1.0),
        *one("small", 0.98, 0.97, 0.98),
        *one("none", 0.98, 0.97, 0.97),
    ]
    found = compare(rows, analysis=Analysis(saturated_only=True))
    assert {row.task: row.excluded for row in found.tasks} == {
        "saturated": "saturated", "nearly": "", "small": "", "none": "no gap",
    }  # fmt: skip
    assert not any(row.resolved for row in found.tasks)
    assert (by_unit(found)["pgr"].n, by_unit(found)["auc"].n) == (2, 3)


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


def test_rows_are_missed_where_only_seeds_are_known() -> None:
    rows = repeated("student", [[0.7, 0.71]]) + repeated("x", [[0.72, 0.74]])
    assert any("1 of 1 tasks have no gap_se" in note for note in compare(rows).notes)


def test_a_family_does_not_hold_what_it_is_compared_with() -> None:
    found = compare(scores(FAMILY), analysis=Analysis(family=("x", "student")))
    assert found.families[0].methods == ("x",)
    assert any(note.startswith("The family names student,") for note in found.notes)


def test_what_is_missing_is_said() -> None:
    assert compare(scores({"student": [0.7, 0.8], "x": [0.8, 0.8]})).notes == ()
    unknown = scores({"student": [0.7, 0.8], "x": [0.8]}, se=math.nan)
    first, second = compare(unknown).notes
    assert "2 of 2 tasks have no gap_se" in first
    assert "1 scores of x or student have no counterpart" in second


# --- seeds


def test_tasks_are_means_over_seeds_and_pairs_over_shared_seeds() -> None:
    rows = [
        *repeated("student", [[0.70, 0.72], [0.6, 0.6]]),
        *repeated("x", [[0.71, 0.75, 0.9], [0.7, 0.7, 0.7]]),
    ]
    found = compare(rows, units=["auc"])
    assert found.tasks[0].auc["student"] == pytest.approx(0.71)
    assert found.tasks[0].auc["x"] == pytest.approx(2.36 / 3)
    assert found.tasks[0].n_seeds == 3
    assert found.tasks[0].delta_auc["student"] == pytest.approx(0.11)
    assert by_unit(found)["auc"].n_runs == 4  # two tasks, two shared seeds
    assert (found.pairs[0].n_seeds, found.pairs[0].auc_difference) == (2, pytest.approx(0.02))
    assert "2 scores of x or student have no counterpart" in found.notes[-1]
    both = compare([*rows, *(replace(row, method="y") for row in rows if row.method == "x")])
    (note,) = (note for note in both.notes if "counterpart" in note)
    assert note.startswith("2 scores each of x, y or student have no counterpart")


def test_the_pgr_of_a_task_is_that_of_mean_aucs() -> None:
    rows = [
        Score("t", "student", "0", auc=0.7, weak_auc=0.6, ceiling_auc=0.9),
        Score("t", "student", "1", auc=0.7, weak_auc=0.5, ceiling_auc=0.7),
        Score("t", "x", "0", auc=0.7),
    ]
    (row,) = compare(rows).tasks
    assert (row.weak_auc, row.ceiling_auc) == (pytest.approx(0.55), pytest.approx(0.8))
    assert row.pgr["student"] == pytest.approx(0.6)  # the mean of PGRs would be .667
    # the gain of x is over the weak model of its own seed
    assert row.delta_auc == {"student": pytest.approx(0.15), "x": pytest.approx(0.1)}


def test_seeds_have_components_and_an_a_a_comparison() -> None:
    generator = np.random.default_rng(0)
    level = 0.7 + 0.02 * generator.normal(size=(12, 1))
    table = (level + 0.01 * generator.normal(size=(12, 2))).tolist()
    rows = [*repeated("student", table), *repeated("x", [[0.7]] * 12)]
    (row,) = compare(rows, units=["auc"]).seeds  # x has one seed: no row
    flat = [auc for pair in table for auc in pair]
    of_tasks, of_seeds = variance_components(flat, {"task": np.repeat(np.arange(12), 2)})
    assert (row.method, row.n_tasks, row.n_scores) == ("student", 12, 24)
    assert row.seed_sd == pytest.approx(math.sqrt(of_seeds.variance))
    assert row.task_sd == pytest.approx(math.sqrt(of_tasks.variance))
    assert row.components == ()  # what the seeds are of is not known
    low, high = row.seed_sd_interval
    assert low < row.seed_sd < high
    assert row.noise_of_mean == pytest.approx(row.seed_sd / math.sqrt(6))
    first, second = np.array(table).T
    tests = paired_tests(first, second, alternative="two-sided")
    assert row.aa_seeds == ("0", "1")
    assert row.aa.mean == pytest.approx(np.mean(first - second))
    assert (row.aa.wins, row.aa.t_pvalue) == (tests.wins, pytest.approx(tests.t_pvalue))


def test_the_noise_of_seeds_is_parted_where_it_is_known_what_they_are_of() -> None:
    generator = np.random.default_rng(0)
    rows = []
    for task, split, weak, strong in np.ndindex(6, 2, 2, 2):
        seeds = {"split_seed": f"{split}", "weak_seed": f"{weak}", "strong_seed": f"{strong}"}
        auc = 0.7 + 0.01 * generator.normal()
        rows.append(Score(f"t{task}", "student", f"{split}/{weak}/{strong}", auc=auc, **seeds))
    tied = [replace(row, weak_seed=row.strong_seed) for row in rows if row.weak_seed == "0"]
    for runs, names in (
        (rows, ["split", "weak", "strong"]),
        (tied, ["split", "weak, strong"]),
        ([row for row in tied if row.split_seed == "0"], ["weak, strong"]),
    ):
        other = [replace(row, method="x") for row in runs]
        row, _ = compare([*runs, *other], units=["auc"]).seeds
        assert [part.name for part in row.components] == names
        labels = {
            name: [getattr(score, f"{name}_seed") for score in runs]
            for name in ("split", "weak", "strong")
        }
        factors = {"task": [score.task for score in runs], **labels}
        parts = variance_components([score.auc for score in runs], factors)
        expected = [math.sqrt(max(part.variance, 0)) for part in parts[1:]]
        assert [part.sd for part in row.components] == pytest.approx(expected[-len(names) :])


def test_the_a_a_comparison_takes_the_seeds_that_most_tasks_have() -> None:
    rows = repeated("student", [[0.7, 0.71, 0.72], [0.7, 0.75, 0.72], [0.7, 0.7, 0.7]])
    rows = [row for row in rows if (row.task, row.seed) != ("t0", "0")]
    (row,) = compare([*rows, *repeated("x", [[0.7]] * 3)], units=["auc"]).seeds
    assert row.aa_seeds == ("1", "2")
    assert row.aa.n == 3


def test_in_pgr_the_noise_of_unresolved_tasks_is_left_out() -> None:
    rows = [
        *repeated("student", [[0.7, 0.71], [0.72, 0.73]]),
        *(replace(s, task="small", ceiling_auc=0.61) for s in repeated("student", [[0.6, 0.9]])),
        *repeated("x", [[0.7]] * 2),
    ]
    noise = {row.unit: row for row in compare(rows).seeds}
    assert (noise["pgr"].n_tasks, noise["auc"].n_tasks) == (2, 3)
    assert noise["pgr"].seed_sd == pytest.approx(0.05 / math.sqrt(2))


# --- laws


@laws
@given(st.lists(st.tuples(aucs, aucs), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter_and_exchange_turns_signs(pairs, random) -> None:
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
