"""Stages on a Ray cluster of two cores, which all tests here share."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from tests.experiments.calls import call_stage as stage
from tests.experiments.test_engines import by_title, diamond
from w2sprobe.errors import InputError
from w2sprobe.experiments.engines import run_local
from w2sprobe.experiments.functions import CurationFunction
from w2sprobe.experiments.ray_engine import LIBRARIES_BYTES, RETRIES, _connect, _requests, run_ray
from w2sprobe.experiments.stages import RECORD, Cost, Outcome, Stage, Work

ray = pytest.importorskip("ray")
SECONDS = 60.0  # far more than anything takes; a test that hangs is one that fails


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    assert ray.is_initialized(), "a cluster of somebody else's was stopped"
    ray.shutdown()


def statuses(stages: list[Stage], outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {name: one.status for name, one in by_title(stages, outcomes).items()}


@pytest.mark.parametrize("broken", ["", "first", "left"])
def test_outcomes_and_folders_are_those_of_the_local_engine(tmp_path: Path, broken: str) -> None:
    here, there = diamond(tmp_path / "local", broken), diamond(tmp_path / "ray", broken)
    local, found = by_title(here, run_local(here)), by_title(there, run_ray(there))
    for name, outcome in local.items():
        assert (found[name].status, found[name].error) == (outcome.status, outcome.error)
        assert Path(found[name].log).name == Path(outcome.log).name
    for one, other in zip(here, there, strict=True):
        assert one.done == other.done
        assert one.folder.name == other.folder.name


def test_each_stage_is_reported_before_and_after_but_not_if_done(tmp_path: Path) -> None:
    stages = diamond(tmp_path, broken="left")
    assert stages[0].execute() > 0
    seen: dict[str, list[str]] = {}

    def report(one: Stage, outcome: Outcome | None) -> None:
        seen.setdefault(one.title, []).append(outcome.status if outcome else "begun")

    run_ray(stages, report)
    assert seen == {
        "left": ["begun", "failed"],
        "right": ["begun", "done"],
        "last": ["blocked"],
        "alone": ["begun", "done"],
    }


def test_a_rerun_retries_only_what_failed(tmp_path: Path) -> None:
    run_ray(diamond(tmp_path, broken="left"))
    stages, begun = diamond(tmp_path), []
    run_ray(stages, lambda one, outcome: outcome or begun.append(one.title))
    assert begun == ["left", "last"]
    assert all(one.done for one in stages)


def test_a_stage_whose_process_is_killed_runs_again_and_no_other(tmp_path: Path) -> None:
    runs = tmp_path / "runs"

    def die_once(folder: Path) -> None:
        with runs.open("a") as file:
            file.write("died\n")
        if runs.read_text().count("died") == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def live(folder: Path) -> None:
        with runs.open("a") as file:
            file.write("lived\n")

    before = stage(tmp_path, "before", live)
    killed = stage(tmp_path, "killed", die_once, before)
    stages = [before, killed, stage(tmp_path, "after", live, killed)]
    assert set(statuses(stages, run_ray(stages)).values()) == {"done"}
    assert runs.read_text().split() == ["lived", "died", "died", "lived"]


def test_a_stage_that_dies_every_time_has_failed(tmp_path: Path) -> None:
    runs = tmp_path / "runs"

    def die(folder: Path) -> None:
        with runs.open("a") as file:
            file.write("died\n")
        os.kill(os.getpid(), signal.SIGKILL)

    killed = stage(tmp_path, "killed", die)
    stages = [killed, stage(tmp_path, "after", die, killed), *diamond(tmp_path)]
    found = by_title(stages, run_ray(stages))
    assert len(runs.read_text().split()) == RETRIES + 1
    assert "WorkerCrashedError" in found["killed"].error
    assert "The worker died unexpectedly" in Path(found["killed"].log).read_text()
    assert (found["after"].status, found["after"].error) == ("blocked", "killed")
    assert found["last"].status == "done"


def test_a_stage_for_which_there_is_not_enough_memory_is_tried(tmp_path: Path) -> None:
    large = stage(tmp_path, "large", write_name, cost=Cost(memory_bytes=1 << 50, model=True))
    outcomes: list[dict[str, Outcome]] = []
    thread = threading.Thread(target=lambda: outcomes.append(run_ray([large])), daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert statuses([large], outcomes[0]) == {"large": "done"}


def write_name(folder: Path) -> None:
    (folder / "name").write_text(folder.name)


CPU_NODE = {"CPU": 8.0, "memory": 100e9}
GPU_NODE = {"CPU": 4.0, "GPU": 2.0, "memory": 20e9}
HEAD_NODE = {"CPU": 0.0, "memory": 900e9}
MODEL = Cost(memory_bytes=10**10, model=True)


@pytest.mark.parametrize(
    ("cost", "nodes", "threads", "cpus", "gpus", "memory"),
    [
        (MODEL, [CPU_NODE], "", 1, 0, LIBRARIES_BYTES + 10**10),
        (MODEL, [CPU_NODE, GPU_NODE], "", 1, 1, LIBRARIES_BYTES),
        (Cost(memory_bytes=10**10), [GPU_NODE], "", 1, 0, LIBRARIES_BYTES + 10**10),
        (Cost(memory_bytes=10**12), [GPU_NODE, CPU_NODE, HEAD_NODE], "", 1, 0, 100 * 10**9),
        (MODEL, [CPU_NODE, GPU_NODE], "6", 4, 1, LIBRARIES_BYTES),
        (Cost(memory_bytes=10**12), [GPU_NODE, CPU_NODE], "6", 6, 0, 100 * 10**9),
    ],
)
def test_a_task_asks_for_no_more_than_one_node_has(
    cost: Cost,
    nodes: list[dict[str, float]],
    threads: str,
    cpus: int,
    gpus: int,
    memory: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    asked = _requests(cost, nodes)
    assert (asked["num_cpus"], asked["num_gpus"], asked["memory"]) == (cpus, gpus, memory)
    environment = asked["runtime_env"]["env_vars"]
    assert environment["OMP_NUM_THREADS"] == str(cpus)
    assert ("CUDA_VISIBLE_DEVICES" in environment) == (not gpus)


def test_a_cluster_of_nothing_but_a_head_is_refused() -> None:
    with pytest.raises(InputError, match="without CPUs"):
        _requests(Cost(), [HEAD_NODE])


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_an_address_where_no_cluster_is(address: str) -> None:
    with pytest.raises(InputError, match=r"no Ray cluster at .* Allowed: auto"):
        _connect(address)


def write_environment(folder: Path) -> None:
    names = ("OMP_NUM_THREADS", "W2SPROBE_CACHE")
    (folder / "it").write_text(" ".join(os.environ.get(name, "") for name in names))


def test_workers_have_the_threads_and_settings_of_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("W2SPROBE_CACHE", "/somewhere")
    one = stage(tmp_path, "one", write_environment)
    run_ray([one])
    assert (one.folder / "it").read_text() == "2 /somewhere"


PICKLED: list[str] = []


class Big:
    """A value that tells when it is sent."""

    def __init__(self, name: str) -> None:
        self.identity = name

    def __reduce__(self) -> tuple[type["Big"], tuple[str]]:
        PICKLED.append(self.identity)
        return Big, (self.identity,)


@dataclass(frozen=True)
class WriteBig(Work):
    """Writes what it was given."""

    KIND: ClassVar[str] = "train"

    big: Big
    times: int
    before: dict[str, Stage]

    def run(self, folder: Path) -> None:
        (folder / "it").write_text(self.big.identity * self.times)


def test_what_stages_share_is_sent_once(tmp_path: Path) -> None:
    PICKLED.clear()
    mine, other = Big("mine"), Big("other")
    stages: list[Stage] = []
    for times in range(6):
        before = {one.title: one for one in stages}  # on all before it
        work = WriteBig(mine if times < 4 else other, times, before)
        stages.append(Stage(work, f"stage {times}", tmp_path))
    run_ray(stages)
    assert (stages[3].folder / "it").read_text() == "mine" * 3
    assert sorted(PICKLED) == ["mine", "other"]


def test_a_record_is_that_of_the_stage_that_was_planned(tmp_path: Path) -> None:
    """What travels is lighter than the stage, but it writes what a local one writes."""
    written = []
    for home, engine in ((tmp_path / "local", run_local), (tmp_path / "ray", run_ray)):
        first = Stage(WriteBig(Big("mine"), 2, {}), "first", home)
        stages = [first, Stage(WriteBig(Big("mine"), 3, {"first": first}), "second", home)]
        engine(stages)
        written.append([json.loads((one.folder / RECORD).read_text()) for one in stages])
    for here, there in zip(*written, strict=True):
        assert {**here, "seconds": 0} == {**there, "seconds": 0}
        assert here["params"]["big"] == "mine"


def test_inputs_are_not_sent_with_what_they_ran(tmp_path: Path) -> None:
    lock = threading.Lock()  # cannot be sent

    def hold(folder: Path) -> None:
        with lock:
            write_name(folder)

    first = stage(tmp_path, "first", hold)
    first.execute()
    second = stage(tmp_path, "second", write_name, first)
    assert statuses([first, second], run_ray([first, second])) == {
        "first": "done",
        "second": "done",
    }
    assert (second.folder / "stage.json").read_text().count(first.address) == 1


RULES = """
import numpy as np
from w2sprobe.labels import LabelTable

def rule(X, labels, texts):
    return LabelTable(labels.ids, np.full(len(labels.ids), {value}))
"""


@dataclass(frozen=True)
class CallFunction(Work):
    """Says which function it has got, and where."""

    KIND: ClassVar[str] = "curate"

    name: str
    function: CurationFunction

    def run(self, folder: Path) -> None:
        (folder / "it").write_text(f"{self.function.spec} {Path.cwd()}")


def test_functions_of_the_users_come_from_the_drivers_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules_of_a_test.py").write_text(RULES.format(value=0.1))
    function = CurationFunction.load("rules_of_a_test:rule")
    good = Stage(CallFunction("good", function), "good", Path("stages"))
    run_ray([good])
    assert (good.folder / "it").read_text() == f"rules_of_a_test:rule {tmp_path}"
    # another file than that which is part of the address
    (tmp_path / "rules_of_a_test.py").write_text(RULES.format(value=0.25))
    late = Stage(CallFunction("late", function), "late", Path("stages"))
    outcome = run_ray([late])[late.address]
    assert "has changed since the study was planned" in outcome.error
    assert Path(outcome.log).is_file()


def test_a_folder_that_is_not_shared_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(Path, "cwd", lambda: tmp_path / "elsewhere")
    outcome = run_ray([one := stage(tmp_path, "one", write_name)])[one.address]
    assert f"no folder '{tmp_path}/elsewhere'" in outcome.error


def test_an_interrupt_of_the_driver_ends_the_tasks(tmp_path: Path) -> None:
    numbers = tmp_path / "numbers"

    def last(folder: Path) -> None:
        numbers.write_text(str(os.getpid()))
        time.sleep(SECONDS)

    def interrupt(one: Stage, outcome: Outcome | None) -> None:
        raise KeyboardInterrupt

    one = stage(tmp_path, "one", last)
    with pytest.raises(KeyboardInterrupt):
        run_ray([one, stage(tmp_path, "two", write_name, one)], interrupt)
    gone_by = time.monotonic() + 20
    while psutil.pid_exists(int(numbers.read_text())):
        assert time.monotonic() < gone_by
        time.sleep(0.1)
    assert not one.done
