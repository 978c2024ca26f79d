"""Tables of scores beside the AUC, of made-up results."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.reporting.cases import METHODS, save_run
from w2sprobe.metrics import performance
from w2sprobe.reporting.report import write_report
from w2sprobe.reporting.report.performance import WORDS, performance_tables
from w2sprobe.reporting.report.sources import ResultsFolder
from w2sprobe.reporting.table import Table
from w2sprobe.results import Results

DECISIONS = "Accuracy of every method"
PROBABILITIES = "Calibration of every method"
MONITORING = "Recall of every method at a fixed rate of false positives"
GROUPS = "Every group of test rows"
IN_WORDS = "What these scores are"
PGR = {"accuracy_pgr": 0.25, "accuracy_pgr_interval": (-0.1, 0.6), "accuracy_resolved": False}


def save(folder: Path, groups: np.ndarray | None = None) -> Results:
    """Write a run whose rows have what a run computes now; the filters' p are 0 and 1."""
    results = save_run(folder, records=False)
    table = pq.read_table(folder / "predictions.parquet")
    truth = table["label"].to_numpy()
    weak = table["weak"].to_numpy()
    rows = []
    for row in results.rows:
        p = table[row.method].to_numpy()
        if row.method.endswith("filter"):
            p = np.round(p)
        found = performance(truth, p, weak, groups)
        delta = found.accuracy - performance(truth, weak).accuracy
        interval = (delta - 0.02, delta + 0.03)
        update = {"performance": found, "delta_accuracy": delta, **PGR}
        rows.append(row.model_copy(update={**update, "delta_accuracy_interval": interval}))
    results = results.model_copy(update={"rows": tuple(rows)})
    results.write(folder / "results.json")
    return results


def tables_of(folder: Path) -> dict[str, Table]:
    return {table.title: table for table in performance_tables(ResultsFolder.read(folder).summary)}


def shown(table: Table) -> dict[str, dict[str, str]]:
    titles = [column.title for column in table.columns]
    rows = [dict(zip(titles, [cell.text for cell in row.cells], strict=True)) for row in table.rows]
    return {row["method"]: row for row in rows}


def test_results_without_performance_have_no_section(tmp_path: Path) -> None:
    save_run(tmp_path, records=False)
    assert tables_of(tmp_path) == {}
    assert "More than AUC" not in write_report([tmp_path]).read_text()


def test_every_method_has_every_score(tmp_path: Path) -> None:
    results = save(tmp_path)
    assert Results.read(tmp_path / "results.json") == results
    tables = tables_of(tmp_path)
    assert set(tables) == {DECISIONS, PROBABILITIES, MONITORING, IN_WORDS}
    rows = shown(tables[DECISIONS])
    for table in (tables[PROBABILITIES], tables[MONITORING]):
        for method, cells in shown(table).items():
            rows[method] |= cells
    assert set(rows) == set(METHODS)
    for row in results.rows:
        found, cells = row.performance, rows[row.method]
        assert found is not None
        assert cells["accuracy"] == f"{found.accuracy:.3f}"
        assert cells["Brier"] == f"{found.brier:.3f}"
        assert cells["calibration error"] == f"{found.calibration_error:.3f}"
        low, high = found.recall_at_fpr_interval[".01"]
        recall = f"{found.recall_at_fpr['.01']:.3f} [{low:.3f}, {high:.3f}]"
        assert cells["recall at FPR .01"] == recall
        assert "recall at FPR .001" not in cells, "200 rows of class 0"
        assert (cells["test rows"], cells["of class 0"]) == ("400", "200")
    assert rows["student"]["PGR (accuracy)"] == "+0.25 [-0.10, +0.60], unresolved"
    assert rows["student"]["Δaccuracy to weak"].startswith("+0.")
    assert rows["weak"]["PGR (accuracy)"] == rows["weak"]["Δaccuracy to weak"] == ""
    assert rows["random_filter"]["log-loss"] == "-", "infinite"
    assert rows["student"]["log-loss"] != "-"
    words = [row.cells[0].text for row in tables[IN_WORDS].rows]
    assert words == [name for name in WORDS if name not in ("worst group", "recall at FPR .001")]


def test_groups_have_a_table_where_they_are_large_enough(tmp_path: Path) -> None:
    groups = np.array(["even", "odd", "few"])[np.minimum(np.arange(400) % 40, 2)]
    results = save(tmp_path, groups)
    tables = tables_of(tmp_path)
    assert GROUPS not in tables, "two of ten rows"
    groups = np.where(np.arange(400) % 3 == 0, "essays", "<b>letters</b>")
    results = save(tmp_path, groups)
    tables = tables_of(tmp_path)
    worst = results.rows[0].performance.worst_group
    cells = shown(tables[DECISIONS])["weak"]
    assert cells["worst group"] == f"{worst.accuracy:.3f}: {worst.name} ({worst.n_rows} rows)"
    assert len(tables[GROUPS].rows) == 2 * len(METHODS)
    assert tables[IN_WORDS].rows[-1].cells[0].text == "worst group"
    text = write_report([tmp_path]).read_text()
    assert "More than AUC" in text
    assert "Every group of test rows" in text
    assert "<b>letters" not in text


def test_scores_that_nobody_has_have_no_column(tmp_path: Path) -> None:
    results = save_run(tmp_path, records=False)
    rows = tuple(
        row.model_copy(update={"performance": performance([0, 1, 1], [0.1, 0.2, 0.9])})
        for row in results.rows
    )
    results.model_copy(update={"rows": rows}).write(tmp_path / "results.json")
    titles = {c.title for table in tables_of(tmp_path).values() for c in table.columns}
    absent = {"PGR (accuracy)", "Δaccuracy to weak", "worst group"}
    absent |= {"at the weak threshold", "recall at FPR .01", "recall at FPR .05"}
    assert not titles & absent
    assert {"accuracy", "PGR (AUC)", "log-loss"} <= titles


@pytest.mark.parametrize("name", WORDS)
def test_words_are_sentences(name: str) -> None:
    assert all(text.endswith(".") for text in WORDS[name])
