"""`w2sprobe report`; the page itself is tested in tests/reporting/report."""

import json
from pathlib import Path

import pytest

from tests.cli.cases import invoke, run
from tests.reporting.cases import save_run
from w2sprobe.errors import W2SProbeError


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("demo").mkdir()
    save_run(Path("demo"), records=False)
    return "demo"


def test_the_page_is_written_beside_the_results_or_where_told(results: str) -> None:
    assert run("report", results).strip() == "written: demo/report/report.html"
    assert "<html" in Path("demo/report/report.html").read_text()
    record = json.loads(run("report", results, "--out", "page", "--json"))
    assert record == {"report": "page/report.html", "figures": "page/figures"}
    assert list(Path("page/figures").glob("*.png"))


def test_a_folder_without_results_is_named(results: str) -> None:
    done = invoke("report", "absent")
    assert isinstance(done.exception, W2SProbeError)
    assert done.exception.exit_code == 2
    assert "absent" in str(done.exception)
