from pathlib import Path

import pytest

from tests.extraction.cases import ROWS
from w2sprobe import extract
from w2sprobe.errors import OutputError
from w2sprobe.extraction import plan_extraction


def test_a_plan_measures_and_writes_nothing(llama: str, tmp_path: Path, monkeypatch) -> None:
    plan = plan_extraction(llama, ROWS, tmp_path / "store", layers="1,2")
    assert plan.disk_bytes == len(ROWS) * 2 * 32 * 4
    assert plan.rows_per_second > 0 < plan.seconds
    assert not (tmp_path / "store").exists()
    monkeypatch.setattr("w2sprobe.extraction.disk.free_bytes", lambda _: 1000)
    for function in (plan_extraction, extract):
        with pytest.raises(OutputError, match="are free"):
            function(llama, ROWS, tmp_path / "store")
    assert not (tmp_path / "store").exists()
