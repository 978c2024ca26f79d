"""The page of benchmarks has the GPU's measurements, or says that there are none."""

from pathlib import Path
from types import SimpleNamespace

from docs.hooks.gpu import MARK, NOT_RUN, RECORD, on_page_markdown
from tests.bench.device.cases import CPU, part
from tests.docs.pages import ROOT
from w2sprobe.bench.device import Session


def test_the_mark_becomes_what_was_measured(tmp_path: Path) -> None:
    config = SimpleNamespace(docs_dir=str(tmp_path))
    assert on_page_markdown(f"a\n{MARK}\nb", config) == f"a\n{NOT_RUN}\nb"
    assert on_page_markdown("other", config) == "other"
    Session(tmp_path / RECORD, CPU, "tiny").run([part("matrix product")], budget=100)
    shown = on_page_markdown(MARK, config)
    assert "| matrix product | 2 |" in shown
    assert NOT_RUN not in shown


def test_one_page_has_the_mark() -> None:
    assert (ROOT / "docs/benchmarks.md").read_text().count(MARK) == 1
