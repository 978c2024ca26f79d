import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from w2sprobe.cache import locks
from w2sprobe.cache.locks import Locks
from w2sprobe.errors import OutputError


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / ".lock-1"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LEASE_SECONDS", 0.3)


def test_one_owner_at_a_time(lock: Path) -> None:
    first, second = Locks(), Locks()
    assert first.acquire(lock)
    assert not second.acquire(lock)
    second.release(lock)  # not ours
    assert not second.acquire(lock)
    first.release(lock)
    assert second.acquire(lock)
    second.close()
    assert not list(lock.parent.iterdir())


def test_a_dead_process_of_this_machine_is_noticed_at_once(lock: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from w2sprobe.cache.locks import Locks; "
        "Locks().acquire(Path(sys.argv[1])); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(lock)], check=False)
    assert json.loads(lock.read_bytes())["pid"] != os.getpid()
    assert Locks().acquire(lock)


def test_a_zombie_holds_no_lock(lock: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from w2sprobe.cache.locks import Locks; "
        "Locks().acquire(Path(sys.argv[1])); os._exit(9)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code, str(lock)])
    try:
        while psutil.Process(owner.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        assert json.loads(lock.read_bytes())["pid"] == owner.pid
        assert Locks().acquire(lock)
    finally:
        owner.wait()


def test_a_reused_process_number_does_not_own_the_lock(lock: Path) -> None:
    holder = Locks()
    assert holder.acquire(lock)
    record = json.loads(lock.read_bytes())
    lock.write_text(json.dumps({**record, "started": record["started"] - 1000}))
    assert Locks().acquire(lock)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"machine": "elsewhere", "pid": 1}'])
def test_a_lock_that_nobody_refreshes_is_taken_over_after_the_lease(
    content: bytes, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(locks, "time", SimpleNamespace(monotonic=lambda: now))
    lock.write_bytes(content)
    contender = Locks()
    assert not contender.acquire(lock)
    now = locks.LEASE_SECONDS / 2
    os.utime(lock, ns=(1, 1))  # refreshed
    assert not contender.acquire(lock)
    now += locks.LEASE_SECONDS - 1
    assert not contender.acquire(lock)
    now += 1
    assert contender.acquire(lock)
    contender.close()


def test_a_held_lock_is_refreshed(lock: Path, short: None) -> None:
    holder = Locks()
    holder.acquire(lock)
    before = lock.stat().st_mtime_ns
    time.sleep(0.35)
    assert lock.stat().st_mtime_ns > before
    holder.close()


def test_waiting_for_a_lock_ends(lock: Path) -> None:
    holder = Locks()
    holder.acquire(lock)
    assert not Locks().wait(lock, 0.1)
    holder.close()
    assert Locks().wait(lock, 0.1)


def test_locks_work_without_hard_links(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    first = Locks()
    assert first.acquire(lock)
    assert not Locks().acquire(lock)
    first.close()
    assert Locks().acquire(lock)


def test_a_lock_that_changed_hands_is_left_alone(lock: Path) -> None:
    holder = Locks()
    holder.acquire(lock)
    assert not locks._remove(lock, b"somebody else")
    assert lock.exists()
    with pytest.raises(OutputError, match="cannot write"):
        holder.acquire(lock.parent / "nowhere" / "lock")


@pytest.mark.skipif(sys.platform != "linux", reason="reads files of Linux")
def test_all_processes_give_the_machine_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without a network address, where getnode() returns a random number."""
    monkeypatch.setattr("uuid.getnode", lambda: 1)
    here = locks._machine()
    monkeypatch.setattr("uuid.getnode", lambda: 2)
    assert locks._machine() == here
