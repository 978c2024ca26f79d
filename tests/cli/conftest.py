from pathlib import Path

import pytest

from tests.cli.cases import save_inputs


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Working directory with task.csv and model."""
    monkeypatch.chdir(tmp_path)
    save_inputs(tmp_path)
    return tmp_path
