from pathlib import Path

import pytest
from rich.console import Console

from w2sprobe.errors import InputError
from w2sprobe.reporting.figures import results_figure
from w2sprobe.reporting.scores import results_table
from w2sprobe.results import Finding, ResultRow, Results


def row(method: str, auc: float, **changes: object) -> ResultRow:
    fields = {
        "method": method,
        "auc": auc,
        "auc_interval": (auc - 0.02, auc + 0.02),
        "delta_auc": auc - 0.8,
        "delta_auc_interval": (auc - 0.83, auc - 0.77),
        "pgr": (auc - 0.8) / 0.1,
        "pgr_interval": (-0.2, 0.6),
        "resolved": True,
        "rows_offered": 100,
        "rows_kept": 90,
        "seconds": 12.34,
    }
    return ResultRow(**{**fields, **changes})


def results(**changes: object) -> Results:
    rows = [
        row(name, auc, **changes)
        for name, auc in (("weak", 0.8), ("ceiling", 0.9), ("student", 0.83))
    ]
    return Results(
        name="n", task="t", weak_model="w", strong_model="s", layer=3, splits={"test": 500},
        gap=0.1, gap_se=0.0153, rows_needed=1880,
        dropped={}, truncated={}, rows=tuple(rows), stages={}, config={}, versions={},
    )  # fmt: skip


def printed(results: Results, width: int = 130) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(results_table(results))
    return capture.get()


def test_the_table_shows_values_and_intervals() -> None:
    text = printed(results())
    for part in ("0.830 [0.810, 0.850]", "+0.030 [+0.000, +0.060]", "+0.30 [-0.20, +0.60]"):
        assert part in text
    assert "90 of 100" in text
    assert "not resolved" not in text


def test_pgr_by_the_own_ceiling_has_a_column_where_there_is_any() -> None:
    assert "own ceiling" not in printed(results())
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
    text = printed(given.model_copy(update={"rows": (*given.rows, *more)}), width=160)
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "PGR, own ceiling" in lines["method"]
    assert "+0.62 [+0.10, +0.90] " in lines["x"]
    assert "+0.71 [unbounded] unresolved" in lines["y"]
    assert "unresolved" not in lines["student"]
    assert "the same learner fitted on the truth" in " ".join(text.split())


def test_an_unresolved_gap_is_said() -> None:
    text = " ".join(printed(results(resolved=False, pgr_interval=None)).split())
    assert "not resolved" in text
    assert "about 1,880 test rows would resolve it" in text
    assert "[unbounded]" in text
    small = results(resolved=False).model_copy(update={"gap": 0.01, "rows_needed": None})
    assert "too small, whatever the number of test rows" in " ".join(printed(small).split())


def test_a_method_without_results_is_said() -> None:
    missing = {"topofilter": "topofilter labels"}
    text = printed(results().model_copy(update={"missing": missing}))
    assert "No result for topofilter: topofilter labels failed." in text


def test_warnings_of_trainings_are_said() -> None:
    text = printed(results().model_copy(update={"warnings": ("student: [bold] undefined",)}))
    assert "Warning: student: [bold] undefined" in text


def test_what_the_audit_found_is_said() -> None:
    findings = [
        Finding(kind="baseline", level="flag", message="words alone [bold] solve it"),
        Finding(kind="balance", level="note", message="a third"),
    ]
    text = printed(results().model_copy(update={"audit": tuple(findings)}))
    assert "Audit, flag: words alone [bold] solve it" in text
    assert "a third" not in text


@pytest.mark.parametrize("changes", [{}, {"pgr": None, "pgr_interval": None, "resolved": False}])
def test_the_figure_is_written(changes: dict, tmp_path: Path) -> None:
    results_figure(results(**changes), tmp_path / "f.png")
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 1


def test_results_round_trip(tmp_path: Path) -> None:
    results().write(tmp_path / "r.json")
    assert Results.read(tmp_path / "r.json") == results()
    (tmp_path / "r.json").write_text("{}")
    with pytest.raises(InputError, match=r"r\.json"):
        Results.read(tmp_path / "r.json")
