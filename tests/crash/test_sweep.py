"""A sweep killed for real between two layers, and taken up again."""

import os
import signal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.forks import FORKS
from tests.sweeps.cases import LAYERS, SETTINGS, labels, rows, store_in
from w2sprobe.cache import ActivationStore
from w2sprobe.sweeps import Sweep, run, sweep


def go(store: Path, out: Path) -> Sweep:
    return sweep(
        ActivationStore.open(store), labels(), rows(), out, layers=LAYERS, settings=SETTINGS
    )


def work(store: Path, out: Path, kill: int) -> None:
    whole = run.sweep_layer

    def killed(store: Any, layer: int, *arguments: Any, **options: Any) -> Any:
        part = whole(store, layer, *arguments, **options)
        if layer == kill:  # computed, and not written
            os.kill(os.getpid(), signal.SIGKILL)
        return part

    run.sweep_layer = killed
    go(store, out)


def test_a_killed_sweep_goes_on_with_the_layers_that_are_missing(tmp_path: Path) -> None:
    store_in(tmp_path / "store")
    process = FORKS.Process(target=work, args=(tmp_path / "store", tmp_path / "cut", LAYERS[1]))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    (finished,) = (tmp_path / "cut/layers").glob("0*.parquet")
    before = finished.read_bytes(), finished.stat().st_mtime_ns
    assert not (tmp_path / "cut/sweep.parquet").exists()
    resumed, whole = (
        go(tmp_path / "store", tmp_path / "cut"),
        go(tmp_path / "store", tmp_path / "w"),
    )
    assert (resumed.layers_computed, whole.layers_computed) == (2, 3)
    assert (finished.read_bytes(), finished.stat().st_mtime_ns) == before
    assert resumed.selections == whole.selections
    tables = [pq.read_table(tmp_path / name / "sweep.parquet") for name in ("cut", "w")]
    a, b = (table.drop_columns("seconds") for table in tables)
    assert a.equals(b)
    assert (tmp_path / "cut/sweep.json").read_bytes() == (tmp_path / "w/sweep.json").read_bytes()
