"""Tables of a study and of a plan, from results alone."""

import io

import pytest
from rich.console import Console

from w2sprobe.reporting.plans import bytes_text, plan_tables, seconds_text
from w2sprobe.reporting.scores import resolved_text, study_tables
from w2sprobe.reporting.table import Table
from w2sprobe.results import Forecast, PlannedStage, StudyResults, SummaryRow


def row(method: str = "ceiling", **changes: object) -> SummaryRow:
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


def printed(*tables: Table) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=200)
    for table in tables:
        console.print(table)
    return stream.getvalue()


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
    assert resolved_text(row(**changes)).startswith(text)


def test_a_pair_has_a_table_and_a_task_a_row() -> None:
    rows = [row("weak", auc=0.8), row(), row("student", pgr_interval=None)]
    rows += [
        row(name, task="u", weak_model="w2", auc_interval=None, delta_auc_interval=None)
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
    rows = [row("weak", auc=0.8), row(), *(row(name, resolved=False) for name in methods)]
    study = StudyResults(
        name="n", experiments=(), summary=tuple(rows), failures=(), config={}, versions={}
    )
    (table,) = study_tables(study)
    text = printed(table)
    for part in ("t[x]: w supervises s", *methods, "0.800", "+0.100 [+0.050, +0.150]", "Runs: "):
        assert part in text
    assert "the gap of every task" not in text
    assert "not resolved" not in text
    small = study.model_copy(update={"summary": tuple(row(n, resolved=False) for n in methods)})
    assert "The gap is not resolved" in printed(*study_tables(small))


def stage(number: int, *, done: bool, experiment: str = "", **inputs: int) -> PlannedStage:
    return PlannedStage(
        number=number,
        stage=f"stage [{number}]",
        kind="train",
        experiment=experiment,
        inputs=inputs,
        done=done,
        folder=f"cache/{number}",
        disk_bytes=2_000_000,
        seconds=90.0,
    )


def forecast(n_experiments: int, *stages: PlannedStage) -> Forecast:
    return Forecast(
        stages=stages,
        n_experiments=n_experiments,
        store_bytes=0,
        disk_bytes=2_000_000,
        seconds=90.0,
        speed_from="a guess",
        splits={"t": {"test": 5}},
        notes=(),
    )


def test_a_plan_shows_what_reads_what() -> None:
    text = printed(*plan_tables(forecast(1, stage(1, done=True), stage(2, done=False, labels=1))))
    for part in ("stage [2]", "labels 1", "~0:01:30", "2.0 MB", "1 of 2 done", "test 5", "cache/2"):
        assert part in text


def test_a_plan_of_several_counts_kinds_a_task() -> None:
    stages = (
        stage(1, done=True, experiment="a, seed 0"),
        stage(2, done=False, experiment="a, seed 1"),
        stage(3, done=False, experiment="b, seed 0"),
    )
    text = printed(*plan_tables(forecast(3, *stages)))
    assert "1 of 2" in text
    assert "0 of 1" in text
    assert "cache/2" not in text


def test_sizes_and_times_for_people() -> None:
    assert [bytes_text(size) for size in (0, 999, 1e3, 52e9, 3e12)] == [
        *("0 B", "999 B", "1.0 kB", "52.0 GB", "3.0 TB")
    ]
    assert [seconds_text(one) for one in (0.4, 59, 61, 90000)] == [
        *("0 s", "59 s", "0:01:01", "1 day, 1:00:00")
    ]


def test_the_baseline_of_a_probe_study_has_both_pgrs() -> None:
    own = {"own_ceiling": "x_on_truth", "own_pgr": 0.5, "own_pgr_interval": (0.4, 0.6)}
    rows = (row("weak", auc=0.8), row(), row("x", pgr=0.3, own_resolved=True, **own))
    rows += tuple(row(name, task="u") for name in ("weak", "ceiling"))
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
