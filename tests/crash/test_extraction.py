"""Extractions that are killed, that share a store, and that run out of disk: the same bytes."""

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

from tests.cache.cases import contents
from tests.crash.steps import count_steps, die_before_step
from tests.forks import FORKS
from tests.tiny import save_tiny_model, sentences
from w2sprobe.cache import ActivationStore, ActivationWriter
from w2sprobe.errors import OutputError
from w2sprobe.extraction import extract
from w2sprobe.extraction.forward import Extractor

ROWS = [{"id": f"r{number}", "text": text} for number, text in enumerate(sentences(60))]
N_SHARDS = 20
KILLS = 20


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_model("llama", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def whole(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "store"
    assert finished(start(work, model, folder)) == 0
    return folder


def work(model: str, folder: Path) -> None:
    extract(model, ROWS, folder, rows_per_shard=len(ROWS) // N_SHARDS)


def start(function: Callable[..., None], *arguments: object) -> BaseProcess:
    process = FORKS.Process(target=function, args=arguments)
    process.start()
    return process


def finished(process: BaseProcess) -> int | None:
    process.join(120)
    return process.exitcode


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def work_and_count(model: str, folder: Path, result: Path) -> None:
    count_steps(folder, result)
    work(model, folder)


def work_and_die(model: str, folder: Path, step: int) -> None:
    die_before_step(folder, step)
    work(model, folder)


def test_kills_lose_nothing_and_change_nothing(model: str, whole: Path, tmp_path: Path) -> None:
    """Every step of a writer alone is tried by test_store.py; here model and threads take part."""
    counted = start(work_and_count, model, tmp_path / "counted", tmp_path / "steps")
    assert finished(counted) == 0
    # steps of the two threads are in no fixed order, so that the last ones may not be reached
    n_steps = len((tmp_path / "steps").read_bytes()) * 0.9
    halfway = 0
    for kill in range(KILLS):
        folder = tmp_path / f"cut{kill}"
        step = 1 + int(n_steps * kill / KILLS)
        assert finished(start(work_and_die, model, folder, step)) == -signal.SIGKILL
        before = {f: f.stat().st_mtime_ns for f in folder.glob("shards/0*.h5")}
        halfway += 0 < len(before) < N_SHARDS
        work(model, folder)
        assert contents(folder) == contents(whole), step
        assert all(file.stat().st_mtime_ns == at for file, at in before.items())
    assert halfway > KILLS / 2


def logged(model: str, folder: Path, rank: int, world: int) -> None:
    if world > 1:
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(world)}
    write, states = ActivationWriter.write_shard, Extractor.states

    def note(self: ActivationWriter, index: int, *rest: object) -> None:
        with (folder.parent / "log").open("a") as log:
            log.write(f"{rank} {index}\n")
        write(self, index, *rest)

    def slowly(self: Extractor, *rest: object) -> dict[int, np.ndarray]:
        time.sleep(0.05)
        return states(self, *rest)

    ActivationWriter.write_shard, Extractor.states = note, slowly
    work(model, folder)


@pytest.mark.parametrize(("n", "world"), [(4, 1), (2, 2)], ids=["four processes", "two ranks"])
def test_processes_share_a_store(
    n: int, world: int, model: str, whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    processes = [start(logged, model, folder, rank, world) for rank in range(n)]
    sound = ActivationStore.open(whole)
    seen = set()
    for store in meanwhile(folder, processes):
        rows = np.flatnonzero(store.available)
        seen.add(len(rows))
        np.testing.assert_array_equal(store.read(2, rows), sound.read(2, rows))
    assert [finished(process) for process in processes] == [0] * n
    assert len(seen) > 2
    log = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert sorted(int(shard) for _, shard in log) == list(range(N_SHARDS))  # none of them twice
    assert len({rank for rank, _ in log}) > 1
    assert contents(folder) == contents(whole)


def meanwhile(folder: Path, processes: list[BaseProcess]) -> Iterator[ActivationStore]:
    while any(process.is_alive() for process in processes):
        if (folder / "manifest.json").exists():
            yield ActivationStore.open(folder, partial=True)
        time.sleep(0.01)


def test_the_shard_of_a_dead_process_is_taken_over(model: str, whole: Path, tmp_path: Path) -> None:
    first = start(logged, model, tmp_path / "store", 0, 1)
    until(lambda: len(list((tmp_path / "store").glob("shards/0*.h5"))) > 2)
    second = start(logged, model, tmp_path / "store", 1, 1)
    time.sleep(0.3)
    first.kill()
    assert finished(second) == 0
    assert contents(tmp_path / "store") == contents(whole)


def on_a_full_disk(model: str, folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
    try:
        work(model, folder)
    except OutputError as error:
        assert "run the same extraction again" in str(error)  # noqa: PT017 - in another process
        os._exit(28)


def test_a_full_disk_loses_nothing(model: str, whole: Path, tmp_path: Path) -> None:
    assert finished(start(on_a_full_disk, model, tmp_path / "store")) == 28
    assert not list((tmp_path / "store").rglob(".tmp-*"))
    assert finished(start(work, model, tmp_path / "store")) == 0
    assert contents(tmp_path / "store") == contents(whole)
