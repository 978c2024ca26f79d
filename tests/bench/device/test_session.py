import json
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.bench.device.cases import CPU, doing, part, session
from tests.forks import call_forked
from w2sprobe.bench.device import Session
from w2sprobe.errors import InputError


def stored(folder: Path) -> dict:
    return json.loads((folder / "gpu.json").read_text())


def test_every_part_is_stored_with_its_memory_commit_and_versions(tmp_path: Path) -> None:
    held = []

    def hold() -> None:
        held.append(torch.ones(30_000_000))  # 120 MB
        time.sleep(0.1)

    one = session(tmp_path)
    one.run([part("a", flops=3.0), doing("b", hold)], budget=100)
    record = stored(tmp_path)
    assert record == one.record
    assert list(record["parts"]) == ["a", "b"]
    a, b = record["parts"].values()
    assert a["rows"][0]["name"] == "a"
    assert a["rows"][0]["flops"] == 3.0
    assert a["commit"]
    assert a["versions"]["torch"] == torch.__version__
    assert 0.1 < b["peak_memory_gb"] < 1
    assert record["device"]["machine"]["processor"]


def test_a_killed_session_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    done = call_forked(killed_in_the_second_part, tmp_path)
    assert done.returncode == -signal.SIGKILL
    assert list(stored(tmp_path)["parts"]) == ["first"]
    measured = []
    parts = [doing(name, lambda name=name: measured.append(name)) for name in ("first", "second")]
    session(tmp_path).run(parts, budget=100)
    assert measured == ["second"]
    assert list(stored(tmp_path)["parts"]) == ["first", "second"]


def killed_in_the_second_part(folder: Path) -> None:
    kill = doing("second", lambda: os.kill(os.getpid(), signal.SIGKILL))
    session(folder).run([part("first"), kill], budget=100)


def test_parts_that_no_longer_fit_are_skipped_and_named(tmp_path: Path) -> None:
    now = iter([0.0, 1.0, 60.0, 70.0]).__next__
    said: list[str] = []
    parts = [part("short", 5), part("long", 50), part("last", 30)]
    session(tmp_path).run(parts, budget=100, clock=now, say=said.append)
    record = stored(tmp_path)
    assert list(record["parts"]) == ["short", "last"]
    reason = "expected to take 50 s, 40 s were left"
    assert record["skipped"] == {"long": reason}
    assert said == ["short ...", f"long: skipped, {reason}", "last ..."]
    session(tmp_path).run(parts, budget=100, say=said.append)
    assert said[3:] == ["short: measured before", "long ...", "last: measured before"]
    assert stored(tmp_path)["skipped"] == {}


def test_a_part_that_fails_does_not_stop_the_others_and_runs_again(tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore lines")

    one = session(tmp_path)
    one.run([doing("a", fail), part("b")], budget=100)
    failed = stored(tmp_path)["failed"]
    assert failed["a"].startswith("RuntimeError: CUDA error: an illegal memory access")
    assert one.problems() == ["a"]
    again = session(tmp_path)
    again.run([part("a"), part("b")], budget=100)
    assert stored(tmp_path)["failed"] == {}
    assert again.problems() == []


def test_rows_that_disagree_are_problems_and_are_measured_again(tmp_path: Path) -> None:
    one = session(tmp_path)
    one.run([part("a", agrees=False)], budget=100)
    assert one.problems() == ["a"]
    again = session(tmp_path)
    again.run([part("a")], budget=100)
    assert again.problems() == []


def test_a_part_is_stopped_when_the_time_is_over(tmp_path: Path) -> None:
    endless = doing("endless", lambda: time.sleep(600))
    one = session(tmp_path)
    one.run([endless, part("next", 0.0)], budget=1.5)
    assert "stopped after 1 s" in one.record["failed"]["endless"] or (
        "stopped after 2 s" in one.record["failed"]["endless"]
    )
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_file_of_another_device_or_other_sizes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session(tmp_path).run([part("a")], budget=100)
    before = (tmp_path / "gpu.json").read_bytes()
    with pytest.raises(InputError, match=r"of CPU, tiny sizes; .* full sizes"):
        session(tmp_path, sizes="full")
    card = SimpleNamespace(name="NVIDIA H200", total_memory=150e9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    with pytest.raises(InputError, match="these are of NVIDIA H200"):
        Session(tmp_path / "gpu.json", torch.device("cuda"), "tiny")
    assert (tmp_path / "gpu.json").read_bytes() == before
    other = Session(tmp_path / "new.json", torch.device("cuda"), "tiny").record["device"]
    assert (other["memory_gb"], other["peak_tflops"]["bfloat16"]) == (150.0, 989)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"device": "x", "sizes": "tiny"}'])
def test_another_file_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    file.write_text(text)
    with pytest.raises(InputError, match="not the record of a benchmark"):
        Session(file, CPU, "tiny")
    assert file.read_text() == text
