"""The verdict in words follows from the numbers, and says how sure they are."""

from typing import Any

import pytest

from w2sprobe.comparison import Score, compare
from w2sprobe.reporting.report.tables import scores_table
from w2sprobe.reporting.report.verdict import gap_in_words, verdict_on_study, verdict_on_task
from w2sprobe.results import SummaryRow

ROW: dict[str, Any] = {
    "task": "reviews",
    "weak_model": "small",
    "strong_model": "large",
    "n_seeds": 1,
    "auc_interval": (0.7, 0.9),
    "gap": 0.1,
    "gap_se": 0.01,
    "resolved": True,
    "n_test_rows": 1000,
    "rows_needed": 300,
}


def row(method: str, auc: float, **other: Any) -> SummaryRow:
    delta = auc - 0.8
    given = {
        "auc": auc,
        "delta_auc": delta,
        "delta_auc_interval": (delta - 0.02, delta + 0.02),
        "pgr": delta / 0.1,
        "pgr_interval": (delta / 0.1 - 0.2, delta / 0.1 + 0.2),
    }
    return SummaryRow(method=method, **{**ROW, **given, **other})


def rows(student: float, **other: Any) -> list[SummaryRow]:
    ends = (row("weak", 0.8, **other), row("ceiling", 0.9, **other))
    return [*ends, row("student", student, **other)]


@pytest.mark.parametrize(
    ("student", "answer"),
    [
        (0.85, "Yes, the student generalises beyond its weak supervisor: its test AUC is +0.050"),
        (0.75, "No: the student ends below the weak model that labelled its rows, by -0.050"),
        (0.81, "Undecided: the student is not clearly above or below its weak supervisor; the"),
    ],
)
def test_the_answer_hangs_on_the_interval(student: float, answer: str) -> None:
    verdict = verdict_on_task(rows(student))
    assert verdict.answer.startswith(answer)
    assert "from 0.800 (weak) to 0.900 (ceiling)" in verdict.answer
    assert (
        "PGR of the student: 0 weak, 1 ceiling",
        f"{(student - 0.8) / 0.1:+.2f}",
    ) in verdict.figures


def test_an_unresolved_gap_answers_nothing() -> None:
    verdict = verdict_on_task(rows(0.89, resolved=False, rows_needed=5000))
    assert verdict.answer.startswith("This task cannot answer: its gap is +0.100 (SE 0.010)")
    assert "about 5,000 test rows" in verdict.answer
    assert "PGR" not in dict(verdict.figures)


def test_methods_beyond_noise_are_named_and_the_truth_is_left_out() -> None:
    others = [
        row("knn_probe", 0.86),
        row("topofilter", 0.81),
        row("random_filter", 0.77),
        row("logistic_probe_on_truth", 0.95),
    ]
    first, control, last = verdict_on_task([*rows(0.85), *others]).grounds
    assert first.startswith("Of 3 other methods that see no true labels, 1 is above the weak model")
    assert "(knn probe), 1 below (random filter), 1 undecided." in first
    assert "Highest: knn probe, 0.860 (+0.060 [+0.040, +0.080], PGR +0.60 [+0.40, +0.80])" in first
    assert control.endswith("has a test AUC of 0.770; topofilter is +0.040 from it.")
    assert "one seed, 1,000 test rows" in last


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"gap": -0.02}, "the ceiling is not above the weak model"),
        ({"rows_needed": None}, "too small whatever the number of test rows"),
        ({"rows_needed": 900}, "seeds differ too much"),
        ({"rows_needed": 2500}, "about 2,500 test rows would resolve it"),
        ({"gap_se": None, "rows_needed": None}, "its gap is +0.100, too small"),
    ],
)
def test_gaps_in_words(fields: dict[str, Any], words: str) -> None:
    assert words in gap_in_words(row("ceiling", 0.9, **fields))


@pytest.mark.parametrize(
    ("students", "answer"),
    [
        ((0.85, 0.86, 0.87), "Yes: of 3 tasks the student is above"),
        ((0.85, 0.86, 0.7), "Yes, in part: of 3 tasks"),
        ((0.7, 0.71, 0.86), "No: of 3 tasks"),
        ((0.81, 0.81, 0.81), "Undecided: of 3 tasks"),
    ],
)
def test_studies_count_tasks(students: tuple[float, ...], answer: str) -> None:
    found = [
        one.model_copy(update={"task": str(number)})
        for number, student in enumerate(students)
        for one in rows(student)
    ]
    verdict = verdict_on_study(found, None)
    assert verdict.answer.startswith(answer)
    mean = sum((student - 0.8) / 0.1 for student in students) / 3
    assert dict(verdict.figures)["mean PGR of the student"] == f"{mean:+.2f}"


def test_unresolved_tasks_are_counted_and_not_averaged() -> None:
    found = [
        *(one.model_copy(update={"task": "wide"}) for one in rows(0.85)),
        *(one.model_copy(update={"task": "narrow"}) for one in rows(0.99, resolved=False)),
    ]
    verdict = verdict_on_study(found, None)
    assert "On the 1 with a resolved gap its PGR has mean +0.50" in verdict.answer
    assert any("1 of 2 tasks have no resolved gap" in ground for ground in verdict.grounds)
    none = verdict_on_study([one for one in found if one.task == "narrow"], None)
    assert none.answer.startswith("None of the 1 tasks has a gap")


def test_probes_that_saw_the_truth_are_no_method_that_helps() -> None:
    scores = [
        Score(task=str(task), method=method, auc=auc + 0.001 * task, weak_auc=0.7, ceiling_auc=0.9)
        for task in range(4)
        for method, auc in (("student", 0.8), ("knn_probe", 0.75), ("knn_probe_on_truth", 0.89))
    ]
    found = [one.model_copy(update={"task": "0"}) for one in rows(0.8)]
    grounds = verdict_on_study(found, compare(scores, against="student")).grounds
    assert "Highest mean difference: knn probe, -0.050" in grounds[0]
    assert "truth" not in grounds[0]
    assert grounds[1].startswith("For scale, probes that saw the true labels: knn probe on truth")


def test_methods_with_fewer_seeds_are_counted() -> None:
    found = [
        one
        for task in ("a", "b")
        for one in (*rows(0.85, task=task, n_seeds=3), row("knn_probe", 0.86, task=task, n_seeds=1))
    ]
    assert "2 tasks, 3 seeds each (1 method has fewer)" in verdict_on_study(found, None).grounds[-1]
    table = scores_table(found, "scores")
    assert [column.title for column in table.columns[:3]] == ["task", "method", "seeds"]
    assert [line.cells[2].text for line in table.rows] == ["3", "3", "3", "1"] * 2
    assert "do not compare their AUC here" in table.note
    even = scores_table(found[:3], "scores")
    assert "seeds" not in {column.title for column in even.columns}
