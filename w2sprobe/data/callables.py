"""Functions that users name as module:function, and tasks whose rows such a function returns."""

import importlib
import inspect
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import cast

from w2sprobe.data.columns import TASK, RawColumns, check_columns
from w2sprobe.data.rows import SourceRows
from w2sprobe.data.tables import read_table
from w2sprobe.errors import InputError

INSTALLED = (  # folders of code that is not the user's: w2sprobe, Python, site-packages
    Path(__file__).parents[1],
    *(Path(sysconfig.get_path(kind)) for kind in ("stdlib", "purelib", "platlib")),
)


def looks_like_callable(name: str) -> bool:
    """Whether a task's name has the form module:function.

    >>> looks_like_callable("my.rows:load"), looks_like_callable("rows.csv")
    (True, False)
    """
    module, colon, function = name.partition(":")
    return bool(colon) and all(
        part.isidentifier() for part in (*module.split("."), *function.split("."))
    )


def read_callable(spec: str) -> SourceRows:
    """Call a user's function and check every cell of the rows that it returns.

    Parameters
    ----------
    spec : str
        As in `find_function`. The function takes no arguments and returns a table as in
        `read_table`, with columns text and label, optionally id, group and split ("train" or
        "test").

    Raises
    ------
    InputError
        No such module or function; a function that needs arguments, raises an error or returns
        no rows; a missing column or invalid cell. Names the row, counted from 1.
    IdMismatch
        An id occurs twice.
    """
    function = find_function(spec)
    with calling(spec):
        _check_needs_no_arguments(function, spec)
        cells = read_table(function(), TASK, spec)
    raw = RawColumns(cells, spec, lambda row: f"{spec}, row {row + 1} (counted from 1)")
    return check_columns(raw, {"callable": spec})


def find_function(spec: str) -> Callable[..., object]:
    """Import a function from the current folder, else from the environment.

    Parameters
    ----------
    spec : str
        `module:function`, dots allowed in both.

    Raises
    ------
    InputError
        No such module or function, or a module that raises an error.
    """
    if not looks_like_callable(spec):
        raise InputError(f"callable {spec!r}", allowed="module:function, as in my.rows:load")
    with _current_folder_first():
        return _find(spec)


@contextmanager
def calling(spec: str) -> Iterator[None]:
    """Turn errors of the user's function into an `InputError` that names its file and line."""
    with _current_folder_first(), _users_errors(spec):
        yield


@contextmanager
def _current_folder_first() -> Iterator[None]:
    """Import from the current folder first; print to stderr; undo changes of the folder."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    importlib.invalidate_caches()  # a module may have been written a moment ago
    try:
        with redirect_stdout(sys.stderr):  # stdout belongs to results
            yield
    finally:
        os.chdir(folder)
        if folder in sys.path:  # the user's code may have changed the list, too
            sys.path.remove(folder)


def _find(spec: str) -> Callable[..., object]:
    module_name, _, name = spec.partition(":")
    module = _import(module_name, spec)
    try:
        function = attrgetter(name)(module)
    except AttributeError as error:
        file = getattr(module, "__file__", None)
        raise InputError(
            f"no function {name!r}",
            where=f"module {module_name!r}" + (f" ({file})" if file else ""),
            advice="Check the name after the colon.",
        ) from error
    if not callable(function):
        raise InputError(
            f"{spec!r} is a {type(function).__name__}",
            allowed="a function",
        )
    return cast(Callable[..., object], function)


def _import(name: str, spec: str) -> ModuleType:
    with _users_errors(spec):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # the module exists, and imports another one that does not
            raise InputError(
                f"no module {error.name!r}",
                where=f"the current folder {str(Path.cwd())!r} or the environment {sys.prefix!r}",
                advice=f"Change to the folder that holds {name!r}, or install it.",
            ) from error


def _check_needs_no_arguments(function: Callable[..., object], spec: str) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # compiled functions may have no signature
        return
    try:
        signature.bind()
    except TypeError as error:
        raise InputError(
            f"{spec!r} takes arguments {signature}",
            allowed="a function that can be called without arguments",
            advice="Give each a default, or wrap the call in another function.",
        ) from error


@contextmanager
def _users_errors(spec: str) -> Iterator[None]:
    """Re-raise errors as `InputError`, with the line of the user's code they come from."""
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{spec!r} raised {type(error).__name__}: {str(error) or 'no message'}",
            where=_users_line(error),
            advice="Fix it there, then run the same command again.",
        ) from error


def _users_line(error: BaseException) -> str:
    """File and line of the innermost frame in the user's code, else of the innermost frame."""
    frames = [
        (Path(frame.filename), frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_file() and frame.filename != __file__
    ]
    users = [
        (path, line)
        for path, line in frames
        if not any(path.is_relative_to(folder) for folder in INSTALLED)
    ]
    return next((f"{path}:{line}" for path, line in reversed(users or frames)), "")
