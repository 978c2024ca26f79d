"""`w2sprobe sweep` on a small store."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests.probing.cases import IDS, SOFT, TRUTH, store_in
from w2sprobe.cli import root
from w2sprobe.folds import folds_of
from w2sprobe.probes import L2S


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    store_in(tmp_path / "store")
    pq.write_table(pa.table({"id": IDS, "soft_label": SOFT, "truth": TRUTH}), "labels.parquet")
    return tmp_path


GRID = ("--ks", "3,40", "--l2s", "0.1")


def run(*options: str, labels: str = "labels.parquet", grid: tuple[str, ...] = GRID) -> str:
    settings = ["--layers", "5", *grid, "--out", f"out{len(options)}"]
    given = ["sweep", "store", "--labels", labels, *settings, *options]
    done = CliRunner().invoke(root, given, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_folds_of_one_class_are_reported(folder: Path) -> None:
    assert "folds" not in run()
    assert json.loads(run("--json"))["n_folds"] == {"cross_fit": 5}
    truth = np.where(folds_of(len(IDS), 5) == 1, 1, TRUTH)
    pq.write_table(pa.table({"id": IDS, "soft_label": SOFT, "truth": truth}), "other.parquet")
    shown = run("--device", "cpu", labels="other.parquet")
    assert (
        "cross_fit: AUCs are means over 4 of 5 folds; in the others all rows are of one class"
        in shown
    )


def test_knn_may_leave_out_single_rows(folder: Path) -> None:
    by_folds = pq.read_table(folder / "out0/sweep.parquet") if run() else None
    run("--leave-one-out")
    one_out = pq.read_table(folder / "out1/sweep.parquet")
    assert by_folds is not None
    for probe, same in (("logistic", True), ("knn", False)):
        one, other = (
            [r for r in t.to_pylist() if r["probe"] == probe] for t in (by_folds, one_out)
        )
        assert (one == other) == same
    assert {r["n_folds_weak"] for r in one_out.to_pylist()} == {None, 5}


def test_points_at_the_edge_of_a_grid_are_marked(folder: Path) -> None:
    shown = run("--device", "cpu")
    assert "k=40 (edge)" in shown or "k=3 (edge)" in shown
    assert "a better one may lie beyond" in shown
    assert "l2=0.1 (edge)" not in shown, "one value has no edge"
    summary = json.loads(run("--json"))
    marks = {(one["among"], one["at_edge"]) for one in summary["selections"]}
    assert ("knn", True) in marks
    assert ("logistic", False) in marks
    note = json.loads((folder / "out1/sweep.json").read_text())
    assert note["selections"] == summary["selections"]


def test_default_grids(folder: Path) -> None:
    run("--json", grid=())
    table = pq.read_table(folder / "out1/sweep.parquet")
    values = {(row["probe"], row["value"]) for row in table.to_pylist()}
    assert {value for probe, value in values if probe == "knn"} == {5, 10, 20, 50}
    assert {value for probe, value in values if probe == "logistic"} == set(L2S)


def test_the_chosen_points_are_shown_as_monitors(folder: Path) -> None:
    rows = [
        {"id": row, "text": f"text of {row}", "label": int(label), "split": split}
        for row, label, split in zip(IDS, TRUTH, ["train"] * 50 + ["test"] * 40, strict=True)
    ]
    (folder / "task.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = ("--task", "task.jsonl", "--sizes", ".1,.8,.1,1.0", "--keep-prior")
    grid = ("--ks", "3,30", "--l2s", "0.1")
    shown = run(*task, grid=grid)
    assert "As a monitor" in shown
    assert "recall at FPR 0.05" in shown
    result = json.loads(run(*task, "--json", grid=grid))
    chosen = {(one["probe"], one["layer"], one["value"]) for one in result["selections"]}
    monitors = {
        (one["probe"], one["layer"], one.get("k", one.get("l2"))) for one in result["monitors"]
    }
    assert monitors == chosen
    for one in result["monitors"]:
        assert one["monitoring"][3]["recall"] is not None
        assert one["flops"]["probe"] > 0
    assert json.loads(run("--json"))["monitors"] == [], "no test rows"
