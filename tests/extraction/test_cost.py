from pathlib import Path

import pytest

from tests.extraction.cases import ROWS
from w2sprobe.errors import OutputError
from w2sprobe.extraction import ExtractionRequest, plan_extraction, run_extraction


def test_a_plan_measures_and_writes_nothing(llama: str, tmp_path: Path, monkeypatch) -> None:
    request = ExtractionRequest(llama, ROWS, "1,2")
    plan = plan_extraction(request, tmp_path / "store")
    assert plan.disk_bytes == len(ROWS) * 2 * 32 * 4
    assert plan.rows_per_second > 0 < plan.seconds
    assert not (tmp_path / "store").exists()
    monkeypatch.setattr("w2sprobe.extraction.disk.free_bytes", lambda _: 1000)
    for function in (plan_extraction, run_extraction):
        with pytest.raises(OutputError, match="are free"):
            function(request, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_finished_store_costs_nothing(llama: str, tmp_path: Path, monkeypatch) -> None:
    run_extraction(ExtractionRequest(llama, ROWS, "2"), tmp_path / "store")
    monkeypatch.setattr("w2sprobe.extraction.request.load_base", None)  # calling it would raise
    plan = plan_extraction(ExtractionRequest(llama, ROWS, "2"), tmp_path / "store")
    assert (plan.disk_bytes, plan.seconds) == (0, 0.0)
