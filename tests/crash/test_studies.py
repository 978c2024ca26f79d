"""A study on Ray whose driver is killed: its tasks die with it, and nothing is done twice."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.experiments.calls import Call
from w2sprobe.experiments.engines import run_local
from w2sprobe.experiments.stages import Stage

pytest.importorskip("ray")

SECONDS = 0.4  # of each stage
DRIVER = """
import sys
from pathlib import Path
from tests.crash.test_studies import study
from w2sprobe.experiments.ray_engine import run_ray
run_ray(study(Path(sys.argv[1])))
"""


def note_run(folder: Path, *, name: str, notes: Path) -> None:
    """Say when a stage begins and ends; each line is written in one piece."""
    for event in ("begin", "end"):
        with notes.open("a") as file:
            file.write(f"{event} {name}\n")
        if event == "begin":
            time.sleep(SECONDS)
    (folder / "name").write_text(name)


def study(home: Path) -> list[Stage]:
    """Three stages a task, one after the other, and one on all of them."""
    stages: list[Stage] = []
    for task in range(5):
        before: dict[str, Stage] = {}
        for kind in ("weak", "labels", "student"):
            run = partial(note_run, name=f"{kind}{task}", notes=home / "notes")
            stages.append(Stage(Call(f"{kind}{task}", before, run), kind, home))
            before = {"before": stages[-1]}
    run = partial(note_run, name="all", notes=home / "notes")
    ends = {str(number): stages[number] for number in range(2, 15, 3)}
    return [*stages, Stage(Call("all", ends, run), "all", home)]


def events(home: Path, event: str) -> list[str]:
    notes = home / "notes"
    lines = notes.read_text().splitlines() if notes.exists() else []
    return [line.split()[1] for line in lines if line.startswith(event)]


def test_a_study_whose_driver_is_killed_goes_on_and_does_nothing_twice(tmp_path: Path) -> None:
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)])
    try:
        give_up = time.monotonic() + 120
        while len(events(tmp_path, "end")) < 4:
            assert driver.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.05)
        cluster = psutil.Process(driver.pid).children(recursive=True)
        # Ray's agents run no stages, and take a minute to notice
        workers = [one for one in cluster if not one.name().endswith("Agent")]
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    stages = study(tmp_path)
    assert not all(one.done for one in stages), "killed too late to show anything"
    outcomes = run_local(stages)  # at once, while the tasks may still be dying
    assert {outcome.status for outcome in outcomes.values()} == {"done"}
    ended = events(tmp_path, "end")
    names = [f"{kind}{task}" for task in range(5) for kind in ("weak", "labels", "student")]
    assert sorted(ended) == sorted([*names, "all"])
    cut = len(events(tmp_path, "begin")) - len(ended)
    assert cut <= os.cpu_count()
    for one in stages:
        assert (one.folder / "name").is_file()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
