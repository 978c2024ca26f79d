"""Lock files that name their owner, so that the lock of a dead process can be taken over.

If a machine is suspended for over a minute, another process may take its lock over, and both
then write the same shard; this is harmless, as they write the same bytes.
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

# A dead owner on this machine is noticed at once; one on another machine, when its lock was not
# refreshed for this long by this process's own clock.
LEASE_SECONDS = 60.0
LOCK_PREFIX = ".lock-"
MANIFEST_LOCK = f"{LOCK_PREFIX}manifest"
POLL_SECONDS = 0.2


def is_working_file(name: str) -> bool:
    """Whether a file is a lock or a temporary file, of a running or a dead process."""
    return name.startswith((PREFIX, LOCK_PREFIX))


class Locks:
    """Lock files that this process holds; a thread refreshes them until they are released."""

    def __init__(self) -> None:
        self._record = json.dumps({**_owner(os.getpid()), "token": uuid.uuid4().hex}).encode()
        self._held: set[Path] = set()
        self._seen: dict[Path, tuple[object, float]] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, path: Path) -> bool:
        """Try to take a lock; False where a process that may be alive holds it.

        Raises
        ------
        OutputError
            The folder cannot be written to.
        """
        try:
            if not _create(path, self._record):
                record = self._stale_record(path)
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
        """Wait for a lock and take it; False if the time is over first."""
        end = time.monotonic() + seconds
        while not self.acquire(path):
            if time.monotonic() > end:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def release(self, path: Path) -> None:
        """Release a lock, if this process still owns it."""
        if path in self._held:
            self._held.discard(path)
            _remove(path, self._record)

    def close(self) -> None:
        """Release all locks."""
        for path in list(self._held):
            self.release(path)
        self._stop.set()

    def _refresh(self) -> None:
        while not self._stop.wait(LEASE_SECONDS / 3):
            for path in list(self._held):
                # a network disk may fail once; the lease lasts for three attempts
                with suppress(OSError):
                    if _read(path) == self._record:  # else another process took it over
                        os.utime(path)

    def _stale_record(self, path: Path) -> bytes | None:
        """Record of a lock whose owner is dead or has stopped refreshing it; otherwise None."""
        record = _read(path)
        if record is None:
            return None
        try:
            owner: dict[str, Any] = json.loads(record)
            here = owner["machine"] == _machine()
            pid, started = int(owner["pid"]), owner["started"]
        except (ValueError, KeyError, TypeError):
            here, pid, started = False, 0, None  # no readable record: wait for the lease to end
        if here:
            return record if _started(pid) != started else None
        # the owner's clock may be wrong: count from when this process saw the lock change
        state = (record, path.stat().st_mtime_ns if path.exists() else 0)
        if self._seen.get(path, (None, 0.0))[0] != state:
            self._seen[path] = (state, time.monotonic())
        return record if time.monotonic() - self._seen[path][1] >= LEASE_SECONDS else None


def _create(path: Path, record: bytes) -> bool:
    """Make the lock file with its record in it; False where it exists."""
    # The file appears together with its record, by a hard link: a process that is killed at any
    # moment leaves a lock that names it, or none. (filelock 4's leases create an empty file first;
    # a kill at that moment blocks the shard for good.)
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
    """Variant of `_create` without hard links; a kill may leave an empty lock file."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return False
    with os.fdopen(handle, "wb") as file:
        file.write(record)
    return True


def _remove(path: Path, record: bytes) -> bool:
    """Remove a lock that has this record; False where it has another one or is gone."""
    # renamed before it is read: reading first, then deleting, could delete the lock of a process
    # that took it in between
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False
    actual = _read(aside)
    if actual is not None and actual != record and not path.exists():
        # another process took it just before the rename: put it back, unless that process has
        # meanwhile finished the store and deleted the file
        with suppress(FileNotFoundError):
            aside.rename(path)
    aside.unlink(missing_ok=True)
    return actual == record


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _owner(pid: int) -> dict[str, Any]:
    return {"machine": _machine(), "pid": pid, "started": _started(pid)}


def _started(pid: int) -> float | None:
    """Start time of a process, which tells whether its number was reused; None without one."""
    try:
        process = psutil.Process(pid)
        # a zombie has ended; only its exit status was not collected yet
        dead = process.status() == psutil.STATUS_ZOMBIE
        return None if dead else float(process.create_time())
    except psutil.NoSuchProcess:
        return None


def _machine() -> str:
    """Name of the machine and its process namespace: containers of one host are separate."""
    namespace = Path("/proc/self/ns/pid")
    numbers = namespace.stat().st_ino if namespace.exists() else 0
    # getnode() is random in each process where there is no network address, as in a slim container;
    # the boot id comes second, as a lock may have to be recognised after a reboot
    files = (Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id"))
    names = [file.read_text(encoding="utf-8").strip() for file in files if file.is_file()]
    host = next(filter(None, names), f"{uuid.getnode():x}")
    return f"{socket.gethostname()} {host} {numbers}"
