"""Distinguish temporarily unreadable files from damaged ones."""

from pathlib import Path
from typing import NoReturn

from w2sprobe.errors import StoreUnavailable

# HDF5's message on a file that is open for writing, or was when its process died
OPEN_FOR_WRITING = "already open for write"
# what h5py raises for a file that is not as it was written
DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError)


def is_unavailable(error: OSError) -> bool:
    """Whether the operating system or another process, and no damage, prevents reading."""
    # errors of the operating system have a number, HDF5's own complaints about content have none
    refused = error.errno is not None and not isinstance(error, FileNotFoundError)
    return refused or OPEN_FOR_WRITING in str(error)


def raise_unavailable(path: Path, error: OSError) -> NoReturn:
    """Say why a file cannot be read now, and what to do; nothing is said of damage."""
    if OPEN_FOR_WRITING in str(error) or isinstance(error, BlockingIOError):
        raise StoreUnavailable(
            "open for writing by another process",
            where=str(path),
            advice="Close it there, then try again. If that process has died, delete this file and "
            "run the same extraction again.",
        ) from error
    if isinstance(error, PermissionError):
        raise StoreUnavailable(
            "no permission to read", where=str(path), advice="Ask its owner for permission."
        ) from error
    raise StoreUnavailable(
        f"cannot be read now: {error}", where=str(path), advice="Fix that, then try again."
    ) from error
