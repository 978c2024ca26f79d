import threading
import time
from pathlib import Path

import pytest

from w2sprobe.experiments.stages import Outcome, Stage


def stage(home: Path, params: dict, inputs: dict | None = None, fails: bool = False) -> Stage:
    def run(folder: Path) -> None:
        (folder / "out.txt").write_text("half")
        if fails:
            raise RuntimeError("power cut")
        (folder / "out.txt").write_text("whole")

    return Stage("train", "a title", params, run, home, inputs or {})


def test_the_address_follows_params_and_inputs_not_titles(tmp_path: Path) -> None:
    one = stage(tmp_path, {"a": 1})
    assert one.address == stage(tmp_path / "elsewhere", {"a": 1}).address
    assert one.address != stage(tmp_path, {"a": 2}).address
    above = stage(tmp_path, {}, {"labels": one})
    assert above.address != stage(tmp_path, {}, {"labels": stage(tmp_path, {"a": 2})}).address
    assert above.address != stage(tmp_path, {}).address


def test_a_stage_is_run_once(tmp_path: Path) -> None:
    one = stage(tmp_path, {"a": 1})
    one.execute()
    (one.folder / "out.txt").write_text("mine")
    assert stage(tmp_path, {"a": 1}).execute() == 0
    assert (one.folder / "out.txt").read_text() == "mine"


def test_a_failed_stage_is_visibly_unfinished_and_starts_afresh(tmp_path: Path) -> None:
    broken = stage(tmp_path, {"a": 1}, fails=True)
    with pytest.raises(RuntimeError):
        broken.execute()
    assert not broken.done
    (broken.folder / "stray").write_text("")
    again = stage(tmp_path, {"a": 1})
    again.execute()
    assert again.done
    assert {file.name for file in again.folder.iterdir()} == {"out.txt", "stage.json"}


def test_a_failure_is_written_to_a_log_that_goes_with_success(tmp_path: Path) -> None:
    outcome = stage(tmp_path, {"a": 1}, fails=True).attempt()
    assert (outcome.status, outcome.error) == ("failed", "power cut")
    log = Path(outcome.log)
    text = log.read_text()
    assert "a title" in text
    assert 'raise RuntimeError("power cut")' in text
    assert stage(tmp_path, {"a": 1}).attempt().status == "done"
    assert not log.exists()


def test_two_that_want_the_same_compute_it_once(tmp_path: Path) -> None:
    runs = []

    def slow(folder: Path) -> None:
        runs.append(folder)
        time.sleep(0.5)

    def attempt() -> None:
        outcomes.append(Stage("train", "slow", {}, slow, tmp_path).attempt())

    outcomes: list[Outcome] = []
    threads = [threading.Thread(target=attempt) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcome.status for outcome in outcomes] == ["done"] * 3
    assert len(runs) == 1
    assert not list(tmp_path.glob(".lock*"))
