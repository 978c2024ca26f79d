"""The figure beside results.json."""

from pathlib import Path

import pytest

from tests.reporting.cases import results
from w2sprobe.reporting.figures import results_figure


@pytest.mark.parametrize("changes", [{}, {"pgr": None, "pgr_interval": None, "resolved": False}])
def test_the_figure_is_written(changes: dict, tmp_path: Path) -> None:
    results_figure(results(**changes), tmp_path / "f.png")
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 1
