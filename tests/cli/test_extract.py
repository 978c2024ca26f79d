"""`w2sprobe extract` on a small random model and a local file."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.cache.cases import open_elsewhere, read_only
from tests.cli.cases import STORE, invoke, run
from w2sprobe.cache import ActivationStore
from w2sprobe.errors import StoreUnavailable
from w2sprobe.labels import LabelTable

# one process for all of it: each loads torch
IN_A_READ_ONLY_PLACE = """
import os
from click.testing import CliRunner
from w2sprobe.cli import root

assert not os.access("shared/store", os.W_OK)
for command in {commands}:
    done = CliRunner().invoke(root, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    print(done.stdout, end="")
"""


def test_a_finished_store_in_a_read_only_place_is_opened_and_read(inputs: Path) -> None:
    run("extract", *STORE)
    ids = ActivationStore.open("shared/store").ids
    LabelTable(ids, np.linspace(0, 1, len(ids))).write("labels.parquet")
    before = sorted(Path("shared").rglob("*"))
    reading = ("shared/store", "--task", "task.csv", "--labels", "labels.parquet")
    commands = [
        ("extract", *STORE, "--json"),
        ("extract", *STORE, "--dry-run"),
        ("store", "verify", "shared/store"),
        ("store", "ls", "shared"),
        ("probe", "knn", "--store", *reading, "--ks", "1", "--layers", "1", "--out", "p.parquet"),
    ]
    with read_only(inputs / "shared") as python:
        done = subprocess.run(
            [*python, "-c", IN_A_READ_ONLY_PLACE.format(commands=commands)],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    assert "nothing to do, finished store shared/store" in done.stdout
    assert sorted(Path("shared").rglob("*")) == before


def test_a_store_that_cannot_be_made_is_refused_before_the_model_is_loaded(
    inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inputs / "shared").mkdir()
    (inputs / "shared/store").write_text("a file")
    monkeypatch.setattr("w2sprobe.extraction.request.load_base", None)  # calling it would raise
    for more in ((), ("--dry-run",)):
        done = invoke("extract", *STORE, *more)
        assert "is not a folder" in str(done.exception)
        assert done.exception.exit_code == 2


def test_a_dry_run_before_and_after(inputs: Path) -> None:
    before = run("extract", *STORE, "--dry-run")
    assert before.startswith("would write shared/store\n")
    assert not Path("shared").exists()
    run("extract", *STORE, "--layers", "1")
    more = json.loads(run("extract", *STORE, "--dry-run", "--json"))
    assert more["bytes"] > 0
    again = json.loads(run("extract", *STORE, "--layers", "1", "--dry-run", "--json"))
    assert (again["bytes"], again["seconds"]) == (0, 0.0)


def test_a_shard_that_is_open_elsewhere(inputs: Path) -> None:
    run("extract", *STORE, "--layers", "1")
    shard = Path("shared/store/shards/00000.h5")
    with open_elsewhere(shard):
        done = invoke("store", "verify", "shared/store")
        assert done.exit_code == 1
        assert "open for writing by another process" in done.stdout
        assert "repair" not in done.stdout
        assert "finished" in run("store", "ls", "shared")
        with pytest.raises(StoreUnavailable, match="open for writing by another process"):
            run("store", "repair", "shared/store", "--task", "task.csv")
        with pytest.raises(StoreUnavailable, match="open for writing by another process"):
            run("extract", *STORE, "--layers", "1,2")
        assert shard.exists()
    assert "sound" in run("store", "verify", "shared/store")
