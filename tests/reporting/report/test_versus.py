"""Two results side by side: their differences are paired by rows, or have no interval."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.reporting.cases import METHODS, save_run
from w2sprobe.metrics import bootstrap_pgr
from w2sprobe.reporting.report.drawing import Drawing
from w2sprobe.reporting.report.sections import Section
from w2sprobe.reporting.report.sources import ResultsFolder
from w2sprobe.reporting.report.versus import versus
from w2sprobe.reporting.table import Table

FEW = METHODS[:3]


def compared(folder: Path) -> Section:
    first, other = (ResultsFolder.read(folder / name) for name in "ab")
    return versus(first, other, "", ("a", "b"))


def data_of(section: Section) -> dict[str, dict[str, float | None]]:
    """Data of the drawing, by method."""
    (drawing,) = [block for block in section.blocks if isinstance(block, Drawing)]
    return {row["method"]: row for row in drawing.data}


def test_two_results_side_by_side(tmp_path: Path) -> None:
    for name, shift in (("a", 0.0), ("b", 1.0)):
        (tmp_path / name).mkdir()
        save_run(tmp_path / name, shift=shift, records=False, methods=FEW)
    section = compared(tmp_path)
    *_, settings = [block for block in section.blocks if isinstance(block, Table)]
    assert "probes.n_neighbors" in {row.cells[0].text for row in settings.rows}
    found = data_of(section)
    assert set(found) == set(FEW)
    tables = [pq.read_table(tmp_path / name / "predictions.parquet") for name in "ab"]
    a, b = (table["student"].to_numpy() for table in tables)
    expected = bootstrap_pgr(tables[0]["label"].to_numpy(), a, b, b)
    student = found["student"]
    assert student["difference"] == pytest.approx(expected.delta_auc)
    order = np.argsort(np.array(tables[0]["id"].to_pylist()))  # rows are joined by id
    by_id = bootstrap_pgr(tables[0]["label"].to_numpy()[order], a[order], b[order], b[order])
    assert (student["low"], student["high"]) == by_id.delta_auc_interval


def test_other_test_rows_have_no_interval(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_run(tmp_path / name, records=False, methods=FEW)
    path = tmp_path / "b/predictions.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    found = data_of(compared(tmp_path)).values()
    assert [(one["difference"], one["low"], one["high"]) for one in found] == [(0, None, None)] * 3
