"""`w2sprobe run` of real models that is killed: the next run ends as one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from tests.experiments.cases import save_study, study
from tests.forks import FORKS, command_line

METHODS = ["student", "knn_probe", "logistic_relabel", "strong_to_strong_1"]


def environment(place: Path, cache: str) -> dict[str, str]:
    return {**os.environ, "W2SPROBE_CACHE": str(place / cache)}


def arguments(cache: str) -> list[str]:
    return ["run", "study.yaml", "--out", cache]


def start(place: Path, cache: str) -> BaseProcess:
    process = FORKS.Process(
        target=command_line, args=(place, arguments(cache), environment(place, cache))
    )
    process.start()
    return process


def done(place: Path, cache: str) -> dict[str, int]:
    """Stages that are done, and when."""
    # not rglob, which fails where the run removes a folder that it is about to enter
    walked = os.walk(place / cache)
    records = [Path(folder, "stage.json") for folder, _, files in walked if "stage.json" in files]
    return {
        str(file.parent.relative_to(place / cache)): file.stat().st_mtime_ns for file in records
    }


def test_a_killed_run_goes_on_to_the_same_results(tmp_path: Path) -> None:
    save_study(tmp_path)
    values = study(tmp_path, methods=METHODS, seeds=[0, 1])
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(values))
    whole = start(tmp_path, "whole")
    whole.join()
    assert whole.exitcode == 0
    n_stages = len(done(tmp_path, "whole"))
    kept: dict[str, int] = {}
    for wanted in (3, n_stages - 3):
        running = start(tmp_path, "killed")
        give_up = time.monotonic() + 120
        while len(done(tmp_path, "killed")) < wanted and time.monotonic() < give_up:
            assert running.is_alive()
            time.sleep(0.01)
        running.kill()
        running.join()
        assert running.exitcode == -signal.SIGKILL
        now = done(tmp_path, "killed")
        assert kept.items() <= now.items(), "something was done twice"
        kept = now
        assert wanted <= len(kept) < n_stages
    # forks hash strings alike: one that is none shows that no address hangs on that
    last = subprocess.run(
        [sys.executable, "-m", "w2sprobe", *arguments("killed"), "--json"],
        cwd=tmp_path,
        env=environment(tmp_path, "killed"),
        check=True,
        capture_output=True,
    )
    assert f"{len(kept)} of {n_stages} stages done before".encode() in last.stderr
    assert kept.items() <= done(tmp_path, "killed").items()
    found = json.loads(last.stdout)
    assert found == json.loads((tmp_path / "whole/study.json").read_text())
    for name in found["experiments"]:
        one, two = (
            tmp_path / cache / name / "predictions.parquet" for cache in ("whole", "killed")
        )
        assert pq.read_table(one).equals(pq.read_table(two))
