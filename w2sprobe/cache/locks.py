"""Who works on what: lock files that survive a dead owner, without byte-range locks.

A lock file appears together with its owner's record, by a hard link: a process that is killed at
any moment leaves a lock that names it, or none. (filelock 4's leases create an empty file first;
one left by a kill at that moment blocked its shard for good.) Two owners of one lock are possible
where a machine stops for a minute and goes on; they would write the same bytes twice.
"""

import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from w2sprobe.atomic import PREFIX
from w2sprobe.errors import OutputError

# A dead owner on this machine is noticed at once, one on another machine when its lock has not been
# refreshed for so long; only this process's own clock counts.
LEASE_SECONDS = 60.0
LOCK_PREFIX = ".lock-"
MANIFEST_LOCK = f"{LOCK_PREFIX}manifest"
POLL_SECONDS = 0.2


def is_working_file(name: str) -> bool:
    """Whether a file is a lock or a temporary one: of a process at work, or of one that died."""
    return name.startswith((PREFIX, LOCK_PREFIX))


class Locks:
    """Lock files that this process holds; a thread refreshes them until they are given back."""

    def __init__(self) -> None:
        self._record = json.dumps({**_owner(os.getpid()), "token": uuid.uuid4().hex}).encode()
        self._held: set[Path] = set()
        self._seen: dict[Path, tuple[object, float]] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, path: Path) -> bool:
        """Try to take a lock: False where a process that may be alive holds it.

        Raises
        ------
        OutputError
            The folder cannot be written to.
        """
        try:
            if not _create(path, self._record):
                record = self._abandoned(path)
                if record is None or not _remove(path, record) or not _create(path, self._record):
                    return False
        except OSError as error:
            raise OutputError(f"cannot write {str(path)!r}: {error.strerror}") from error
        self._held.add(path)
        if self._thread is None:
            self._thread = threading.Thread(target=self._refresh, daemon=True)
            self._thread.start()
        return True

    def wait(self, path: Path, seconds: float) -> bool:
        """Take a lock, waiting for it if need be."""
        end = time.monotonic() + seconds
        while not self.take(path):
            if time.monotonic() > end:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def give_back(self, path: Path) -> None:
        """Give a lock back, if it is held and still ours."""
        if path in self._held:
            self._held.discard(path)
            _remove(path, self._record)

    def close(self) -> None:
        """Give all locks back."""
        for path in list(self._held):
            self.give_back(path)
        self._stop.set()

    def _refresh(self) -> None:
        while not self._stop.wait(LEASE_SECONDS / 3):
            for path in list(self._held):
                # gone, or another's: what we write is the same as what its owner writes
                with suppress(OSError):  # a network disk that fails once; the next time may do
                    if _read(path) == self._record:
                        os.utime(path)

    def _abandoned(self, path: Path) -> bytes | None:
        """Record of a lock whose owner is dead, or has not refreshed it for too long."""
        record = _read(path)
        if record is None:
            return None
        try:
            owner: dict[str, Any] = json.loads(record)
            here = owner["machine"] == _machine()
            pid, started = int(owner["pid"]), owner["started"]
        except (ValueError, KeyError, TypeError):
            here, pid, started = False, 0, None
        if here:
            return record if _started(pid) != started else None
        state = (record, path.stat().st_mtime_ns if path.exists() else 0)
        if self._seen.get(path, (None, 0.0))[0] != state:
            self._seen[path] = (state, time.monotonic())
        return record if time.monotonic() - self._seen[path][1] >= LEASE_SECONDS else None


def _create(path: Path, record: bytes) -> bool:
    """Make the lock, with its record in it; False where it exists."""
    draft = path.with_name(f"{PREFIX}{uuid.uuid4().hex}")
    draft.write_bytes(record)
    try:
        os.link(draft, path)
    except FileExistsError:
        # some network disks report a failure for a link that they have made
        return draft.stat().st_nlink == 2
    except OSError:
        return _create_without_links(path, record)
    finally:
        draft.unlink(missing_ok=True)
    return True


def _create_without_links(path: Path, record: bytes) -> bool:
    """As `_create`, where the file system has no hard links; a kill may leave an empty lock."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return False
    with os.fdopen(handle, "wb") as file:
        file.write(record)
    return True


def _remove(path: Path, record: bytes) -> bool:
    """Remove a lock that has this record, and no other."""
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False
    found = _read(aside)
    if found is not None and found != record and not path.exists():
        # somebody took it between the look and the rename; gone if the store was just finished
        with suppress(FileNotFoundError):
            aside.rename(path)
    aside.unlink(missing_ok=True)
    return found == record


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _owner(pid: int) -> dict[str, Any]:
    return {"machine": _machine(), "pid": pid, "started": _started(pid)}


def _started(pid: int) -> float | None:
    """When a process began; None where there is none, so that a reused number is noticed."""
    try:
        process = psutil.Process(pid)
        # one that is over and that nobody has asked after holds nothing
        dead = process.status() == psutil.STATUS_ZOMBIE
        return None if dead else float(process.create_time())
    except psutil.NoSuchProcess:
        return None


def _machine() -> str:
    """Name the machine and its process numbers: containers of one host count apart."""
    namespace = Path("/proc/self/ns/pid")
    numbers = namespace.stat().st_ino if namespace.exists() else 0
    # getnode() is random in each process where nothing tells a network address, as in a slim
    # container; the boot's own id would do everywhere, but a lock may have to outlive a reboot
    files = (Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id"))
    found = [file.read_text(encoding="utf-8").strip() for file in files if file.is_file()]
    host = next(filter(None, found), f"{uuid.getnode():x}")
    return f"{socket.gethostname()} {host} {numbers}"
