"""Key numbers claim no more than their tests do, and name harm as clearly as help."""

import math
from typing import Any

import numpy as np
import pytest

from tests.reporting.report.cases import EARLIER, SE, estimate, row, rows, shown
from w2sprobe.comparison import Comparison, Score, compare
from w2sprobe.metrics import ScoredRun, detectable_effect, recover
from w2sprobe.reporting.report.gain_tests import detectable
from w2sprobe.reporting.report.key_numbers import (
    NO_TEST,
    KeyNumbers,
    study_numbers,
    task_numbers,
)
from w2sprobe.reporting.wording import p_text
from w2sprobe.results import SummaryRow

GAIN = "gain of the plain student over its supervisor"
PGR = "PGR: 0 weak model, 1 ceiling"


def study(
    gains: list[float], se: float = SE, methods: dict[str, list[float]] | None = None, **other: Any
) -> tuple[list[SummaryRow], Comparison]:
    """Summary and comparison of tasks with these gains of the student and AUCs of others."""
    found, scores = [], []
    for number, gain in enumerate(gains):
        task = f"task {number}"
        found += rows(0.8 + gain, se, task=task, **other)
        aucs = {"student": 0.8 + gain, **{name: a[number] for name, a in (methods or {}).items()}}
        ends = {"weak_auc": 0.8, "ceiling_auc": 0.9, "gap_se": 0.01, "delta_auc_se": se}
        scores += [Score(task, name, auc=auc, **ends) for name, auc in aucs.items()]
    return found, compare(scores, against="student")


@pytest.mark.parametrize(
    ("student", "se", "judgement"),
    [
        (0.85, SE, "better"),
        (0.75, SE, "worse"),
        (0.801, 0.002, "no difference"),
        (0.81, SE, "undecided"),
        (0.808, 0.0005, "better"),  # significant, though smaller than the margin
        (0.801, SE, "undecided"),  # a large p value shows no equivalence
    ],
)
def test_the_gain_is_judged_by_its_test(student: float, se: float, judgement: str) -> None:
    numbers = task_numbers(rows(student, se))
    assert numbers.judgement == judgement
    gain = estimate(student - 0.8, se)
    low, high = gain.interval
    table = shown(numbers.table)
    value, p, result = table[GAIN]
    assert value == f"{student - 0.8:+.3f} [{low:+.3f}, {high:+.3f}]"
    assert p in p_text(gain.pvalue).replace(" ", "")
    assert result.startswith(judgement)
    assert (" beyond ±0.01 (two one-sided tests, p " in result) == (judgement == "no difference")
    smallest = table["smallest true gain detected with 80 % power"]
    assert smallest[0] == f"{detectable(gain, 0.05):.3f}"
    aucs = [table[f"test AUC, {name}"][0][:5] for name in ("weak model (supervisor)", "ceiling")]
    assert aucs == ["0.800", "0.900"]
    assert table[PGR][0].startswith(f"{(student - 0.8) / 0.1:+.2f} [")


def test_an_unresolved_gap_has_no_pgr() -> None:
    numbers = task_numbers(rows(0.89, resolved=False, rows_needed=5000))
    table = shown(numbers.table)
    assert numbers.judgement == "better"  # the gain is not divided by anything
    value, _, result = table["gap between weak model and ceiling"]
    assert value == "+0.100"
    assert result == "not resolved: about 5,000 test rows would resolve it"
    assert not [name for name in table if "PGR" in name]
    assert "The gap is not resolved: read the gain, not a PGR." in numbers.notes


def test_results_of_earlier_versions_are_not_tested() -> None:
    numbers = task_numbers(rows(0.85, **EARLIER))
    assert numbers.judgement == "not tested"
    assert shown(numbers.table)[GAIN][1:] == ["", "not tested"]
    assert NO_TEST in numbers.notes
    of_tasks = study_numbers(*study([0.05, 0.06, 0.04], **{**EARLIER, "n_seeds": 3}))
    assert of_tasks.judgement == "better"  # the test over tasks needs no standard errors
    assert NO_TEST in of_tasks.notes
    assert not [name for name in shown(of_tasks.table) if name.startswith("tasks, Holm")]


def test_without_a_student_there_is_no_test() -> None:
    numbers = task_numbers(rows(None))
    assert numbers.judgement == "not tested"
    assert "No plain student was trained" in numbers.notes[-1]
    assert list(shown(numbers.table)) == [
        "test AUC, weak model (supervisor)",
        "test AUC, ceiling",
        "gap between weak model and ceiling",
    ]
    assert study_numbers(rows(None), None).judgement == "not tested"


def test_nothing_that_varies_is_no_test() -> None:
    numbers = task_numbers(rows(0.8, 0.0))
    assert numbers.judgement == "undecided"
    assert "nothing varies" in shown(numbers.table)[GAIN][2]


def test_noise_controls_and_pgr_by_the_own_ceiling_stand_beside_the_baseline() -> None:
    own = {"own_ceiling": "x_on_truth", "own_pgr": 0.5, "own_pgr_interval": (0.4, 0.6)}
    probe = row("x", 0.85, own_resolved=True, **own)
    numbers = task_numbers([*rows(None), probe, row("x_on_noise", 0.7)], against="x")
    table = shown(numbers.table)
    assert table["test AUC, x on noise"][0].startswith("0.700")
    assert table["PGR, own ceiling"][0] == "+0.50 [+0.40, +0.60]"
    assert "gain of the x over its supervisor" in table


def test_the_quality_of_the_weak_labels_is_a_number() -> None:
    weak = {"label": np.array([0, 0, 1, 1]), "soft_label": np.array([0.1, 0.6, 0.4, 0.9])}
    table = shown(task_numbers(rows(0.85), labels={"weak": weak}).table)
    assert table["AUC of the weak labels on 4 training rows"] == [
        *("0.750", "", "50% wrong at threshold 0.5")
    ]


@pytest.mark.parametrize("declared", [False, True])
def test_declared_tests_are_told_from_exploration(declared: bool) -> None:
    table = task_numbers(rows(0.85), declared=declared).table
    assert ("declared before the run" in [column.title for column in table.columns]) == declared
    if declared:
        assert {name: cells[-1] for name, cells in shown(table).items() if "of the" in name} == {
            GAIN: "yes"
        }
        assert shown(table)[PGR][-1] == "no"
        found = shown(study_numbers(*study([0.05, 0.06, 0.04]), declared=True).table)
        assert {name.split(",")[0] for name, cells in found.items() if cells[-1] == "yes"} == {
            "mean gain of the plain student over its supervisor",
            "tasks",
        }


@pytest.mark.parametrize(
    ("gains", "judgement"),
    [
        ([0.05, 0.06, 0.04, 0.05], "better"),
        ([-0.05, -0.06, -0.04, -0.05], "worse"),
        ([0.001, -0.002, 0.002, 0.0], "no difference"),
        ([0.05, -0.06, 0.04, -0.05], "undecided"),
        ([0.05], "undecided"),
    ],
)
def test_studies_are_tested_over_tasks(gains: list[float], judgement: str) -> None:
    numbers = study_numbers(*study(gains))
    assert numbers.judgement == judgement
    table = shown(numbers.table)
    n = f"{len(gains)} task{'s' * (len(gains) > 1)}"
    value, p, result = table[f"mean gain of the plain student over its supervisor, {n}"]
    assert result.startswith(judgement)
    assert value.startswith(f"{np.mean(gains):+.3f}")
    smallest = table.get("smallest true mean gain detected with 80 % power")
    if len(gains) > 1:
        size = detectable_effect(float(np.std(gains, ddof=1)), len(gains))
        assert smallest is not None
        assert smallest[0] == f"{size:.3f}"
        assert f"mean test AUC of {n}, plain student" in table
    else:
        assert (p, smallest, result) == ("", None, "undecided: one task")


def test_one_task_above_of_25_is_undecided() -> None:
    random = np.random.default_rng(0)
    gains = [0.15, *random.normal(0, 0.04, 24)]
    numbers = study_numbers(*study(gains, 0.03))
    assert numbers.judgement == "undecided"
    assert shown(numbers.table)["tasks, Holm over 25: better / worse / neither"] == [
        *("1 / 0 / 24", "", "better: task 0")
    ]


def test_harm_is_named_like_help() -> None:
    random = np.random.default_rng(1)
    gains = list(random.normal(0, 0.02, 8))
    methods = {
        "knn_probe": [0.8 + gain + 0.05 + 0.002 * random.normal() for gain in gains],
        "topofilter": [0.8 + gain - 0.05 + 0.002 * random.normal() for gain in gains],
        "knn_filter": [0.8 + gain + 0.002 * random.normal() for gain in gains],
        "student_logconf": list(0.8 + random.normal(0, 0.05, 8)),
        "logistic_probe_on_truth": [0.95] * 8,  # a control: not in the family
    }
    table = shown(study_numbers(*study(gains, methods=methods)).table)
    family = "methods against the plain student, Holm over 4: better / worse / neither"
    assert table[family] == ["1 / 1 / 2", "", "better: knn probe; worse: topofilter"]


def test_pgr_comes_from_all_tasks_and_from_resolved_ones() -> None:
    found, comparison = study([0.02, 0.04, 0.06, 0.08])
    table = shown(study_numbers(found, comparison).table)
    assert table["PGR, sum of gains over sum of gaps, 4 tasks"][0].startswith("+0.50 [")
    assert table["PGR, mean of 4 tasks with a resolved gap"][0] == "+0.50 [+0.09, +0.91]"
    one = [one.model_copy(update={"resolved": one.task != "task 0"}) for one in found]
    assert shown(study_numbers(one, comparison).table)["tasks with a resolved gap"][0] == "3 of 4"


def bound(n: int) -> float:
    """Share of false judgements that level-5 % tests stay below, but for three standard errors."""
    return 0.05 + 3 * math.sqrt(0.05 * 0.95 / n)


def test_where_nothing_is_there_tasks_are_seldom_judged() -> None:
    n, n_rows = 300, 200
    random = np.random.default_rng(21)
    truth = np.arange(n_rows) % 2
    found = []
    for _ in range(n):
        shared = truth + random.normal(size=n_rows)
        runs = [
            ScoredRun(
                truth,
                {
                    name: shared + shift * truth + random.normal(size=n_rows)
                    for name, shift in (("weak", 0.0), ("ceiling", 1.0), ("student", 0.0))
                },
                supervisor=seed,
            )
            for seed in range(3)
        ]
        gain = recover(runs)["student"].delta_estimate
        fields = {
            "delta_auc_se": gain.se,
            "delta_auc_df": gain.df,
            "delta_auc_pvalue": gain.pvalue,
        }
        found.append(task_numbers(rows(0.8 + gain.value, n_seeds=3, **fields)))
    assert _false(found) <= bound(n)


def test_where_nothing_is_there_studies_are_seldom_judged() -> None:
    n, n_tasks = 200, 6
    random = np.random.default_rng(22)
    found, families = [], []
    for _ in range(n):
        gains = list(random.normal(0, 0.03, n_tasks))
        methods = {
            name: list(0.8 + np.array(gains) + random.normal(0, 0.02, n_tasks))
            for name in ("knn_probe", "topofilter", "student_logconf")
        }
        summary, comparison = study(gains, 0.03, methods)
        found.append(study_numbers(summary, comparison))
        primary = [row.verdict for row in comparison.methods if row.unit == "auc" and row.primary]
        assert len(primary) == len(methods)
        families.append({"better", "worse"} & set(primary) != set())
    assert _false(found) <= bound(n)
    assert np.mean(families) <= bound(n)
    # and the same rule finds what is there
    assert study_numbers(*study([0.03, 0.05, 0.04, 0.02, 0.06, 0.03])).judgement == "better"


def _false(found: list[KeyNumbers]) -> float:
    return float(np.mean([numbers.judgement in ("better", "worse") for numbers in found]))
