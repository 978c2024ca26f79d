"""A sweep killed for real between two layers, and taken up again."""

import os
import signal
from pathlib import Path
from typing import Any

from tests.forks import FORKS
from tests.probing.cases import LAYERS, labels, rows, spec, store_in
from w2sprobe.cache import ActivationStore
from w2sprobe.probing import fitting
from w2sprobe.probing.sweep import Sweep, sweep


def go(store: Path, out: Path) -> Sweep:
    return sweep(ActivationStore.open(store), spec(), rows(), labels(), out)


def work(store: Path, out: Path, kill: int) -> None:
    whole = fitting.predict_layer

    def killed(task: Any, layer: int, **options: Any) -> Any:
        part = whole(task, layer, **options)
        if layer == kill:  # computed, and not written
            os.kill(os.getpid(), signal.SIGKILL)
        return part

    fitting.predict_layer = killed
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
    for name in ("sweep.parquet", "sweep.json", "votes.json", f"layers/00{LAYERS[1]}.parquet"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "w" / name).read_bytes()
