"""The notebook runs from its first cell to its figure."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.docs.pages import ROOT

NOTEBOOK = ROOT / "docs/notebooks/store_to_sweep.ipynb"


def test_the_notebook_runs_on_a_tiny_model(
    tiny_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("W2SPROBE_HOME", str(tiny_home))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) == 10
    assert not any(cell.outputs for cell in code), "outputs are not committed"
    for cell in code:  # the tiny model has 4 layers
        cell.source = cell.source.replace("0:31:5", "all").replace("read(15", "read(2")
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (figure,) = code[-1].outputs
    assert "image/png" in figure.data
    assert (tmp_path / "notebook/sweep/sweep.parquet").is_file()
