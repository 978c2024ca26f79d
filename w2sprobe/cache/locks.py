"""Who works on what: lock files that survive a dead owner, without byte-range locks."""

import filelock

# A dead owner on this machine is noticed at once, one on another machine when its lock has not been
# refreshed for so long. Losing a lock costs a shard computed twice, with the same bytes.
LEASE_SECONDS = 60.0
LOCK_PREFIX = ".lock-"
MANIFEST_LOCK = f"{LOCK_PREFIX}manifest"


def lease(path: str, timeout: float) -> filelock.SoftFileLease | None:
    """Take a lock file, waiting up to `timeout` seconds; None where another process holds it."""
    lock = filelock.SoftFileLease(
        path, lease_duration=LEASE_SECONDS, timeout=timeout, thread_local=False
    )
    try:
        lock.acquire()
    except filelock.Timeout:
        return None
    return lock
