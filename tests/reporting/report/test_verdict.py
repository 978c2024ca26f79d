"""The verdict says no more than tests do, and harm as clearly as help."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from w2sprobe.comparison import Analysis, Comparison, Score, compare
from w2sprobe.metrics import Estimate, ScoredRun, detectable_effect, recover
from w2sprobe.reporting.report.study_verdict import verdict_on_study
from w2sprobe.reporting.report.verdict import (
    Verdict,
    detectable,
    equivalence,
    judged,
    verdict_on_task,
)
from w2sprobe.reporting.scores import scores_table
from w2sprobe.reporting.wording import noise_in_words, runs_text, why_unresolved
from w2sprobe.results import SummaryRow

DF, SE = 99.0, 0.01
ROW: dict[str, Any] = {
    "task": "reviews",
    "weak_model": "small",
    "strong_model": "large",
    "n_seeds": 1,
    "n_cuts": 1,
    "n_supervisor_seeds": 1,
    "n_learner_seeds": 1,
    "auc_interval": (0.7, 0.9),
    "gap": 0.1,
    "gap_se": 0.01,
    "resolved": True,
    "n_test_rows": 1000,
    "rows_needed": 300,
}
LEVELS = ("n_cuts", "n_supervisor_seeds", "n_learner_seeds")
EARLIER = dict.fromkeys(("delta_auc_se", "delta_auc_df", "delta_auc_pvalue", *LEVELS))


def estimate(delta: float, se: float = SE) -> Estimate:
    return Estimate(delta, ((se**2, DF),))


def row(method: str, auc: float, se: float = SE, **other: Any) -> SummaryRow:
    delta = auc - 0.8
    given = {
        "auc": auc,
        "delta_auc": delta,
        "delta_auc_interval": estimate(delta, se).interval,
        "delta_auc_se": se,
        "delta_auc_df": DF,
        "delta_auc_pvalue": estimate(delta, se).pvalue,
        "pgr": delta / 0.1,
        "pgr_interval": (delta / 0.1 - 0.2, delta / 0.1 + 0.2),
    }
    return SummaryRow(method=method, **{**ROW, **given, **other})


def rows(student: float | None, se: float = SE, **other: Any) -> list[SummaryRow]:
    found = [row("weak", 0.8, 0.0, **other), row("ceiling", 0.9, **other)]
    return found if student is None else [*found, row("student", student, se, **other)]


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
    ("student", "se", "word", "answer"),
    [
        (0.85, SE, "yes", "Yes, in this one run: the plain student is better than its weak superv"),
        (
            0.75,
            SE,
            "no",
            "No, in this one run: the plain student is worse than the weak model that",
        ),
        (
            0.801,
            0.002,
            "no difference",
            "No difference beyond ±0.01, in this one run: the plain st",
        ),
        (0.81, SE, "undecided", "Undecided: the plain student's test AUC less that of its weak"),
        # sure, and smaller than the margin: better all the same
        (0.808, 0.0005, "yes", "Yes"),
        (0.801, SE, "undecided", "Undecided"),  # a large p value shows no equivalence
    ],
)
def test_the_answer_hangs_on_tests(student: float, se: float, word: str, answer: str) -> None:
    verdict = verdict_on_task(rows(student, se))
    assert verdict.word == word
    assert verdict.answer.startswith(answer)
    gain = estimate(student - 0.8, se)
    low, high = gain.interval
    assert f"{student - 0.8:+.3f} [{low:+.3f}, {high:+.3f}] (p " in verdict.answer
    assert f"a true difference of {detectable(gain, 0.05):.3f} in 80 % of cases" in verdict.answer
    assert "from 0.800 (weak model) to 0.900 (ceiling): PGR" in verdict.answer
    assert "in this one run" not in verdict_on_task(rows(student, se, n_seeds=3)).answer


def test_equivalence_is_that_of_two_one_sided_tests() -> None:
    for value in (-0.004, 0.0, 0.007, 0.03):
        gain = estimate(value, 0.003)
        expected = max(
            stats.t.sf((value + 0.01) / 0.003, DF), stats.t.cdf((value - 0.01) / 0.003, DF)
        )
        assert equivalence(gain, 0.01) == pytest.approx(expected)
        inner = gain.value + gain.critical(0.05) * gain.se * np.array([-1, 1])
        assert (equivalence(gain, 0.01) < 0.05) == bool((np.abs(inner) < 0.01).all())
    assert math.isnan(equivalence(estimate(0.0, 0.0), 0.01))
    assert judged(estimate(0.0, 0.0), Analysis()) == "undecided"  # nothing varies: no test


def test_what_is_said_to_be_detectable_is_nearly_exact() -> None:
    # a t test of n differences has standard error sd / sqrt(n)
    exact = detectable_effect(0.05, 20)
    gain = Estimate(0.0, ((0.05**2 / 20, 19),))
    assert detectable(gain, 0.05) == pytest.approx(exact, rel=0.01)


def test_an_unresolved_gap_has_no_share() -> None:
    verdict = verdict_on_task(rows(0.89, resolved=False, rows_needed=5000))
    assert verdict.word == "yes"
    assert "is not resolved, so that no share of it is given: the gap is +0.100" in verdict.answer
    assert "about 5,000 test rows" in verdict.answer
    assert not [name for name, _ in verdict.figures if "PGR" in name]


def test_results_of_earlier_versions_are_not_tested() -> None:
    several = verdict_on_task(rows(0.85, **{**EARLIER, "n_seeds": 3}))
    assert several.word == "not tested"
    assert "an earlier version, whose intervals are too narrow" in several.answer
    assert "w2sprobe join RESULTS --out NEW" in several.answer
    single = verdict_on_task([*rows(0.85, **EARLIER), row("knn_probe", 0.9, **EARLIER)])
    assert "Run the same command again" in single.answer
    assert not [ground for ground in single.grounds if "better" in ground]
    found, comparison = study([0.05, 0.06, 0.04], **{**EARLIER, "n_seeds": 3})
    verdict = verdict_on_study(found, comparison)
    assert verdict.word == "yes"  # the test over tasks needs no standard errors
    assert verdict.grounds[0].startswith("Task by task, not tested: these results were summarised")


def test_without_a_student_there_is_no_verdict() -> None:
    verdict = verdict_on_task(rows(None))
    assert (verdict.word, verdict.answer) == (
        "not tested",
        "No plain student was trained. The gap goes from 0.800 (weak model) to 0.900 (ceiling).",
    )
    assert verdict_on_study(rows(None), None).word == "not tested"


def test_methods_are_one_family_and_controls_stand_apart() -> None:
    others = [
        row("knn_probe", 0.84),
        row("topofilter", 0.81),
        row("student_logconf", 0.76),
        # by itself p < .05, after Holm for 4 methods not
        row("knn_filter", 0.8 + 0.01 * stats.t.isf(0.02, DF)),
        row("random_filter", 0.70),
        row("logistic_probe_on_truth", 0.95),
        row("zero_shot", 0.6),
    ]
    family, scale, *_ = verdict_on_task([*rows(0.85), *others]).grounds
    assert family == (
        "In this one run, 4 other methods against the weak model, corrected for 4 tests (Holm): "
        "better: knn probe +0.040 [+0.020, +0.060]; worse: student logconf -0.040 [-0.060, "
        "-0.020]; undecided: 2 (topofilter, knn filter)."
    )
    assert scale == (
        "For scale, outside the family, test AUC: random filter 0.700, logistic probe on truth "
        "0.950, zero shot 0.600."
    )
    declared = verdict_on_task([*rows(0.85), *others], Analysis(family=("knn_filter",)))
    assert (
        "1 other method against the weak model, one test: better: knn filter"
        in (declared.grounds[0])
    )
    own = verdict_on_task([*rows(0.85), row("mine", 0.9)], defined={"mine": {"labels": "truth"}})
    assert own.grounds[0] == "For scale, outside the family, test AUC: mine 0.900."


def test_filters_are_held_against_a_random_filter_of_their_size() -> None:
    others = [row(name, 0.81) for name in ("knn_filter", "topofilter", "deep_knn_filter")]
    filters = {"knn_filter": estimate(0.04), "topofilter": estimate(0.01), "deep_knn_filter": None}
    grounds = verdict_on_task([*rows(0.85), *others], filters=filters).grounds
    assert grounds[1].endswith(
        "2 filters against a random filter that keeps as many rows, corrected for 2 tests (Holm): "
        "better: knn filter +0.040 [+0.020, +0.060]; worse: none; undecided: 1 (topofilter)."
    )
    assert grounds[2].endswith("test AUC: deep knn filter 0.810.")


@pytest.mark.parametrize(
    ("levels", "runs", "known", "unknown"),
    [
        ((1, 1, 1), "1", "test rows", "another cut of the rows, seed of the supervisor or seed of"),
        ((1, 3, 1), "1 cut x 3 x 1", "3 seeds of the supervisor, each with its own student", "cut"),
        (
            (1, 1, 3),
            "1 cut x 1 x 3",
            "3 seeds of the student",
            "cut of the rows or seed of the sup",
        ),
        ((3, 1, 1), "3 cuts x 1 x 1", "3 cuts of the rows, each with its own models", ""),
        (
            (3, 1, 2),
            "3 cuts x 1 x 2",
            "3 cuts of the rows, with 2 seeds of the student in each",
            "",
        ),
        (
            (1, 3, 2),
            "1 cut x 3 x 2",
            "3 seeds of the supervisor, with 2 seeds of the student",
            "cut",
        ),
        (None, "3", "1,000 test rows and 3 runs.", ""),
    ],
)
def test_sources_of_noise_are_named(
    levels: tuple[int, int, int] | None, runs: str, known: str, unknown: str
) -> None:
    given = dict(zip(LEVELS, levels or (None,) * 3, strict=True))
    one = row("ceiling", 0.9, **given, n_seeds=math.prod(levels) if levels else 3)
    text = noise_in_words(one)
    assert runs_text(one) == runs
    assert known in text
    assert unknown in text
    assert ("do not know" in text) == bool(unknown)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"gap": -0.02}, "the ceiling is not above the weak model"),
        ({"rows_needed": None}, "too small, whatever the number of test rows"),
        ({"rows_needed": 900}, "seeds differ too much"),
        ({"rows_needed": 2500}, "about 2,500 test rows would resolve it"),
    ],
)
def test_why_a_gap_is_not_resolved(fields: dict[str, Any], words: str) -> None:
    assert words in why_unresolved(row("ceiling", 0.9, **fields))


@pytest.mark.parametrize(
    ("gains", "word", "answer"),
    [
        ([0.05, 0.06, 0.04, 0.05], "yes", "Yes: over 4 tasks, the student is better than its"),
        ([-0.05, -0.06, -0.04, -0.05], "no", "No: over 4 tasks, the student is worse than the wea"),
        ([0.001, -0.002, 0.002, 0.0], "no difference", "No difference beyond ±0.01: on average"),
        ([0.05, -0.06, 0.04, -0.05], "undecided", "Undecided: on average over 4 tasks"),
        ([0.05], "undecided", "Undecided: the student's test AUC less that of its weak supervisor"),
    ],
)
def test_studies_are_tested_over_tasks(gains: list[float], word: str, answer: str) -> None:
    verdict = verdict_on_study(*study(gains))
    assert verdict.word == word
    assert verdict.answer.startswith(answer)
    if len(gains) > 1:
        size = detectable_effect(float(np.std(gains, ddof=1)), len(gains))
        assert f"a true mean difference of {size:.3f} is found in 80 % of studies" in verdict.answer


def test_one_task_above_of_25_is_undecided() -> None:
    random = np.random.default_rng(0)
    gains = [0.15, *random.normal(0, 0.04, 24)]
    verdict = verdict_on_study(*study(gains, 0.03))
    assert verdict.word == "undecided"
    assert verdict.grounds[0].endswith(
        "corrected for 25 tests (Holm): above: 1 (task 0); below: none; undecided: 24."
    )
    assert ("tasks above / below / undecided", "1 / 0 / 24") in verdict.figures


def test_harm_is_named_like_help() -> None:
    random = np.random.default_rng(1)
    gains = list(random.normal(0, 0.02, 8))
    methods = {
        "knn_probe": [0.8 + gain + 0.05 + 0.002 * random.normal() for gain in gains],
        "topofilter": [0.8 + gain - 0.05 + 0.002 * random.normal() for gain in gains],
        "knn_filter": [0.8 + gain + 0.002 * random.normal() for gain in gains],
        "student_logconf": list(0.8 + random.normal(0, 0.05, 8)),
        "logistic_probe_on_truth": [0.95] * 8,
    }
    grounds = verdict_on_study(*study(gains, methods=methods)).grounds
    (family,) = [text for text in grounds if text.startswith("Against the student, t tests")]
    better, worse, undecided, same = family.split("; ")
    assert "corrected for 4 methods (Holm): better: knn probe +0.05" in better
    assert worse.startswith("worse: topofilter -0.0")
    assert undecided == "undecided: 1 (student logconf)"
    assert same.startswith("no difference beyond ±0.01: knn filter")
    assert [text for text in grounds if text.startswith("With 8 tasks the least p of Wilcoxon's")]
    (scale,) = [text for text in grounds if text.startswith("For scale, outside the family")]
    assert "logistic probe on truth" in scale
    assert "better" not in scale


def test_shares_of_the_gap_come_from_all_tasks_and_from_resolved_ones() -> None:
    found, comparison = study([0.02, 0.04, 0.06, 0.08])
    text = " ".join(verdict_on_study(found, comparison).grounds)
    assert "sum of gains over the sum of gaps of 4 tasks is +0.50 [" in text
    assert "the mean PGR of 4 tasks with a resolved gap is +0.50 [+0.09, +0.91]" in text
    assert "In a hierarchical model of all tasks" in text
    one = [one.model_copy(update={"resolved": one.task != "task 0"}) for one in found]
    assert "1 of 4 tasks have no resolved gap" in " ".join(
        verdict_on_study(one, comparison).grounds
    )


def test_methods_with_fewer_runs_are_counted() -> None:
    found = [
        one
        for task in ("a", "b")
        for one in (
            *rows(0.85, task=task, n_seeds=3, n_supervisor_seeds=3),
            row("knn_probe", 0.86, task=task),
        )
    ]
    assert "1 method has fewer runs than the ceiling" in verdict_on_study(found, None).grounds[-1]
    table = scores_table(found)
    assert [column.title for column in table.columns[:3]] == ["task", "method", "runs"]
    assert [line.cells[2].text for line in table.rows] == [*["1 cut x 3 x 1"] * 3, "1"] * 2
    assert "do not compare their AUC here" in table.note
    assert "runs" not in {column.title for column in scores_table(rows(0.85)).columns}


def bound(n: int) -> float:
    """Share of false verdicts that level-5 % tests stay below, but for three standard errors."""
    return 0.05 + 3 * math.sqrt(0.05 * 0.95 / n)


def test_where_nothing_is_there_tasks_seldom_have_a_verdict() -> None:
    n, n_rows = 300, 200
    random = np.random.default_rng(21)
    truth = np.arange(n_rows) % 2
    verdicts = []
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
        verdicts.append(verdict_on_task(rows(0.8 + gain.value, n_seeds=3, **fields)))
    assert _false(verdicts) <= bound(n)


def test_where_nothing_is_there_studies_seldom_have_a_verdict() -> None:
    n, n_tasks = 200, 6
    random = np.random.default_rng(22)
    verdicts, families = [], []
    for _ in range(n):
        gains = list(random.normal(0, 0.03, n_tasks))
        methods = {
            name: list(0.8 + np.array(gains) + random.normal(0, 0.02, n_tasks))
            for name in ("knn_probe", "topofilter", "student_logconf")
        }
        verdict = verdict_on_study(*study(gains, 0.03, methods))
        verdicts.append(verdict)
        (family,) = [text for text in verdict.grounds if text.startswith("Against the student")]
        families.append("better: none; worse: none" not in family)
    assert _false(verdicts) <= bound(n)
    assert np.mean(families) <= bound(n)
    # and the same rule finds what is there
    assert verdict_on_study(*study([0.03, 0.05, 0.04, 0.02, 0.06, 0.03])).word == "yes"


def _false(verdicts: list[Verdict]) -> float:
    return float(np.mean([verdict.word in ("yes", "no") for verdict in verdicts]))
