"""Tables of a run and of a study, as the terminal and the report show them."""

import pytest

from tests.reporting.cases import printed, results, row
from tests.reporting.report.cases import row as made_up
from tests.reporting.report.cases import rows
from w2sprobe.reporting.scores import resolved_text, results_table, scores_table, study_tables
from w2sprobe.results import Finding, Results, StudyResults, SummaryRow


def study_row(method: str = "ceiling", **changes: object) -> SummaryRow:
    values = {
        "task": "t[x]",
        "weak_model": "w",
        "strong_model": "s",
        "method": method,
        "n_seeds": 2,
        "auc": 0.9,
        "auc_interval": (0.8, 1.0),
        "delta_auc": 0.1,
        "delta_auc_interval": (0.05, 0.15),
        "gap": 0.1,
        "gap_se": 0.02,
        "pgr": 1.0,
        "pgr_interval": (0.9, 1.1),
        "resolved": True,
        "n_test_rows": 500,
        "rows_needed": 320,
    }
    return SummaryRow(**{**values, **changes})


def shown(results: Results, width: int = 130) -> str:
    return printed(results_table(results), width=width)


def test_the_table_shows_values_and_intervals() -> None:
    text = shown(results())
    for part in ("0.830 [0.810, 0.850]", "+0.030 [+0.000, +0.060]", "+0.30 [-0.20, +0.60]"):
        assert part in text
    assert "90 of 100" in text
    assert "not resolved" not in text


def test_pgr_by_the_own_ceiling_has_a_column_where_there_is_any() -> None:
    assert "own ceiling" not in shown(results())
    own = {
        "own_ceiling": "x_on_truth",
        "own_gap": 0.05,
        "own_gap_se": 0.01,
        "own_gap_interval": (0.03, 0.07),
        "own_pgr": 0.62,
        "own_pgr_interval": (0.1, 0.9),
        "own_resolved": True,
    }
    unresolved = {**own, "own_pgr": 0.71, "own_pgr_interval": None, "own_resolved": False}
    given = results()
    more = (row("x", 0.82, **own), row("y", 0.82, **unresolved))
    text = shown(given.model_copy(update={"rows": (*given.rows, *more)}), width=160)
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "PGR, own ceiling" in lines["method"]
    assert "+0.62 [+0.10, +0.90] " in lines["x"]
    assert "+0.71 [unbounded] unresolved" in lines["y"]
    assert "unresolved" not in lines["student"]
    assert "the same learner fitted on true labels" in " ".join(text.split())


def test_an_unresolved_gap_is_said() -> None:
    text = " ".join(shown(results(resolved=False, pgr_interval=None)).split())
    assert "not resolved" in text
    assert "about 1,880 test rows would resolve it" in text
    assert "[unbounded]" in text
    small = results(resolved=False).model_copy(update={"gap": 0.01, "rows_needed": None})
    assert "too small, whatever the number of test rows" in " ".join(shown(small).split())


def test_a_method_without_results_is_said() -> None:
    missing = {"topofilter": "topofilter labels"}
    text = shown(results().model_copy(update={"missing": missing}))
    assert "No result for topofilter: topofilter labels failed." in text


def test_warnings_of_trainings_are_said() -> None:
    text = shown(results().model_copy(update={"warnings": ("student: [bold] undefined",)}))
    assert "Warning: student: [bold] undefined" in text


def test_what_the_audit_found_is_said() -> None:
    findings = [
        Finding(kind="baseline", level="flag", message="words alone [bold] solve it"),
        Finding(kind="balance", level="note", message="a third"),
    ]
    text = shown(results().model_copy(update={"audit": tuple(findings)}))
    assert "Audit, flag: words alone [bold] solve it" in text
    assert "a third" not in text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "yes"),
        ({"resolved": False, "gap": -0.1, "rows_needed": None}, "no: the ceiling is not above"),
        ({"resolved": False, "gap_se": None}, "no"),
        ({"resolved": False, "gap": 0.01, "rows_needed": None}, "no: too small"),
        ({"resolved": False, "rows_needed": 501}, "no: about 501 test rows would"),
        ({"resolved": False, "rows_needed": 500}, "no: seeds differ too much"),
    ],
)
def test_why_a_gap_is_not_resolved(changes: dict, text: str) -> None:
    assert resolved_text(study_row(**changes)).startswith(text)


def test_a_pair_has_a_table_and_a_task_a_row() -> None:
    rows = [study_row("weak", auc=0.8), study_row(), study_row("student", pgr_interval=None)]
    rows += [
        study_row(name, task="u", weak_model="w2", auc_interval=None, delta_auc_interval=None)
        for name in ("weak", "ceiling")
    ]
    study = StudyResults(
        name="n", experiments=(), summary=tuple(rows), failures=(), config={}, versions={}
    )
    first, second = study_tables(study)
    text = printed(first)
    for part in ("w supervises s", "t[x]", "0.800", "0.900", "+0.100 (SE 0.020)", "[unbounded]"):
        assert part in text
    assert "w2 supervises s" in printed(second)


def test_of_one_task_every_method_has_a_row() -> None:
    """Gaps over tasks and tests over tasks say nothing there."""
    methods = ("student", "knn_probe")
    rows = [
        study_row("weak", auc=0.8),
        study_row(),
        *(study_row(name, resolved=False) for name in methods),
    ]
    study = StudyResults(
        name="n", experiments=(), summary=tuple(rows), failures=(), config={}, versions={}
    )
    (table,) = study_tables(study)
    text = printed(table)
    for part in (
        "t[x]: w supervises s",
        *methods,
        "0.800",
        "+0.100 [+0.050, +0.150]",
        "Means over 2 runs.",
    ):
        assert part in text
    assert "the gap of every task" not in text
    assert "not resolved" not in text
    small = study.model_copy(
        update={"summary": tuple(study_row(n, resolved=False) for n in methods)}
    )
    text = " ".join(printed(*study_tables(small)).split())
    assert "ceiling is not resolved: read ΔAUC, not PGR (gap +0.100, SE 0.020" in text


def test_the_baseline_of_a_probe_study_has_both_pgrs() -> None:
    own = {"own_ceiling": "x_on_truth", "own_pgr": 0.5, "own_pgr_interval": (0.4, 0.6)}
    rows = (
        study_row("weak", auc=0.8),
        study_row(),
        study_row("x", pgr=0.3, own_resolved=True, **own),
    )
    rows += tuple(study_row(name, task="u") for name in ("weak", "ceiling"))
    study = StudyResults(
        name="n",
        experiments=("a",),
        summary=rows,
        failures=(),
        config={"analysis": {"against": "x"}},
        versions={},
    )
    text = printed(*study_tables(study))
    for part in ("x, ΔAUC", "PGR, own ceiling", "+0.30 [+0.90, +1.10]", "+0.50 [+0.40, +0.60]"):
        assert part in text
    plain = study.model_copy(update={"config": {}})  # the student, which was not run
    text = printed(*study_tables(plain))
    assert "student, ΔAUC" in text
    assert "own ceiling" not in text


def test_methods_with_fewer_runs_have_a_column_of_runs() -> None:
    found = [
        one
        for task in ("a", "b")
        for one in (
            *rows(0.85, task=task, n_seeds=3, n_supervisor_seeds=3),
            made_up("knn_probe", 0.86, task=task),
        )
    ]
    table = scores_table(found)
    assert [column.title for column in table.columns[:3]] == ["task", "method", "runs"]
    assert [line.cells[2].text for line in table.rows] == [*["1 cut x 3 x 1"] * 3, "1"] * 2
    assert "do not compare their AUC here" in table.note
    assert "runs" not in {column.title for column in scores_table(rows(0.85)).columns}


def test_runs_that_all_rows_have_are_said_once() -> None:
    levels = {"n_seeds": 3, "n_cuts": 1, "n_supervisor_seeds": 3, "n_learner_seeds": 1}
    table = scores_table(rows(0.85, **levels))
    assert "runs" not in {column.title for column in table.columns}
    assert "Means over runs: 1 cut x 3 x 1 (cuts of the rows x " in table.note


def test_layers_are_named_where_probes_were_fitted() -> None:
    assert "Probes" not in shown(results())
    assert "Probes: layer 3." in shown(results().model_copy(update={"store": "4f"}))
