"""Explorers beside a report: one per task and pair of models whose activations are there."""

from pathlib import Path

import numpy as np
import pytest

from tests.reporting.cases import METHODS, N_TRAIN, save_run, save_study
from w2sprobe.labels import LabelTable
from w2sprobe.reporting.explorer import ExplorerData, LayerView
from w2sprobe.reporting.report import write_report
from w2sprobe.reporting.report.explorers import SPLITS, write_explorers
from w2sprobe.reporting.report.sources import ResultsFolder
from w2sprobe.results import RESULTS, Results

FEW = METHODS[:3]


def explored(store: Path, weak: LabelTable, splits: Path) -> ExplorerData:
    """An explorer of the weak labels, with all rows at one point."""
    assert (store / "manifest.json").is_file()
    assert splits.is_file()
    n = len(weak.ids)
    names, folds = np.array(["strong_train"] * n), np.full(n, -1)
    points, votes = np.zeros((n, 2), dtype=np.float32), np.zeros((1, n))
    layer = LayerView(2, points, None, np.zeros((n, 1), dtype=np.int64), votes, votes, votes[0])
    return ExplorerData(weak, weak.ids, None, names, None, folds, (1,), 0.1, "umap", (layer,))


@pytest.fixture
def stores(tmp_path: Path) -> Path:
    """Folder with one activation store."""
    (tmp_path / "stores/here").mkdir(parents=True)
    (tmp_path / "stores/here/manifest.json").write_text("{}")
    return tmp_path / "stores"


def study(folder: Path, **tasks: str) -> ResultsFolder:
    """A study of two seeds; by task the name of its store."""
    save_study(folder, tuple(tasks), ("0", "1"), methods=dict.fromkeys(tasks, FEW))
    for file in folder.rglob(RESULTS):
        results = Results.read(file)
        results.model_copy(update={"store": tasks[results.task]}).write(file)
        (file.parent / SPLITS).write_bytes(b"")
    return ResultsFolder.read(folder)


def test_the_first_run_of_each_task_with_a_store_gets_a_page(tmp_path: Path, stores: Path) -> None:
    source = study(tmp_path / "study", one="here", two="gone", three="")
    out = tmp_path / "out"
    out.mkdir()
    ((found, link),) = write_explorers([source], stores, out, explored)
    assert found is source
    assert link == ("large on one, seed 0, labelled by small", "explorer-1.html")
    assert [file.name for file in out.iterdir()] == ["explorer-1.html"]
    assert (out / link.file).read_text().count('"split_names"') == 1


def test_labels_are_those_of_the_weak_model(tmp_path: Path, stores: Path) -> None:
    source = study(tmp_path / "study", one="here")
    seen = []
    (tmp_path / "out").mkdir()

    def explore(store: Path, weak: LabelTable, splits: Path) -> ExplorerData:
        seen.append(weak)
        return explored(store, weak, splits)

    list(write_explorers([source], stores, tmp_path / "out", explore))
    (weak,) = seen
    assert len(weak.ids) == N_TRAIN


@pytest.mark.parametrize("gone", [SPLITS, "training_labels.parquet"])
def test_without_rows_or_labels_there_is_no_page(gone: str, tmp_path: Path, stores: Path) -> None:
    study(tmp_path / "study", one="here")
    for file in (tmp_path / "study").rglob(gone):
        file.unlink()
    source = ResultsFolder.read(tmp_path / "study")
    assert list(write_explorers([source], stores, tmp_path, explored)) == []


def test_explorers_stay_when_their_activations_are_gone(tmp_path: Path) -> None:
    save_run(tmp_path, records=False, methods=FEW)
    (tmp_path / "report").mkdir()
    page = tmp_path / "report/explorer-1.html"
    page.write_text("an explorer")
    write_report([tmp_path], stores=tmp_path / "stores")
    assert page.read_text() == "an explorer"
