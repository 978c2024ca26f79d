"""Free space on the disk of a store, checked before a model is loaded."""

import shutil
from pathlib import Path

from w2sprobe.errors import OutputError

SPARE_BYTES = 64 << 20  # for ids, HDF5's own tables and other programs


def check_disk(folder: Path, needed: int) -> None:
    """Refuse an extraction that the disk cannot hold.

    Raises
    ------
    OutputError
        Too little space; the message says how much is free and how much is needed.
    """
    free = free_bytes(folder)
    if needed + SPARE_BYTES > free:
        raise OutputError(
            f"the store needs {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free",
            where=str(folder),
            advice="Free space, choose another --store, or take fewer --layers.",
        )


def free_bytes(folder: Path) -> int:
    """Free space of the disk that a folder is on, or will be."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free
