"""Atomic writes: temporary name, fsync, rename. A reader never sees half a file.

A crash leaves the old file or none, and at most a stray `.tmp-*` beside it.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from w2sprobe.errors import OutputError

PREFIX = ".tmp-"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to `path` when the block succeeds.

    Raises
    ------
    OutputError
        The folder cannot be created or written to.
    """
    make_folder(path.parent)
    try:
        handle, name = tempfile.mkstemp(prefix=PREFIX, suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise OutputError(f"cannot write {str(path)!r}: {error.strerror}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp creates private files; this one gets the mode of any other new file
        temporary.chmod(0o666 & ~_umask())
        _fsync(temporary)
        temporary.replace(path)
        _fsync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; rename it to `path` when the block succeeds.

    Raises
    ------
    OutputError
        The parent cannot be created or written to, or `path` exists already.
    """
    make_folder(path.parent)
    if path.exists():
        raise OutputError(f"{str(path)!r} exists already")
    temporary = Path(tempfile.mkdtemp(prefix=PREFIX, dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        for file in temporary.rglob("*"):
            if file.is_file():
                file.chmod(0o666 & ~_umask())  # some libraries create private files
            _fsync(file)
        _fsync(temporary)
        temporary.rename(path)
        _fsync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN is refused."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def make_folder(path: Path) -> None:
    """Create a folder and its parents.

    Raises
    ------
    OutputError
        A file has that name, or the parent cannot be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create folder {str(path)!r}: {error.strerror}") from error


def check_writable(path: Path) -> None:
    """Check that a folder exists or could be created, and is writable; writes nothing.

    Raises
    ------
    OutputError
        `path` or its nearest existing parent is not a writable folder.
    """
    nearest = path.absolute()
    try:
        while not nearest.exists():
            nearest = nearest.parent
    except OSError as error:  # a name that is too long
        raise OutputError(f"cannot write {str(path)!r}: {error.strerror}") from error
    if not nearest.is_dir():
        raise OutputError(f"cannot write {str(path)!r}: {str(nearest)!r} is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {str(path)!r}: no permission in {str(nearest)!r}")


def check_writable_file(path: Path) -> None:
    """Check that a file could be written; writes nothing.

    Raises
    ------
    OutputError
        `path` is a folder, or its nearest existing parent is not a writable one.
    """
    check_writable(path.parent)
    if path.is_dir():
        raise OutputError(f"cannot write {str(path)!r}: it is a folder")


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
