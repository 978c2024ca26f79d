"""Functions of the user's, module:function, and rows from one called without arguments."""

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

NOT_THE_USERS = (
    Path(__file__).parents[1],
    *(Path(sysconfig.get_path(kind)) for kind in ("stdlib", "purelib", "platlib")),
)


def looks_like_callable(name: str) -> bool:
    """Whether a task's name is that of a function in a module.

    >>> looks_like_callable("my.rows:load"), looks_like_callable("rows.csv")
    (True, False)
    """
    module, colon, function = name.partition(":")
    return bool(colon) and all(
        part.isidentifier() for part in (*module.split("."), *function.split("."))
    )


def read_callable(spec: str) -> SourceRows:
    """Call a function and check the rows that it returns, every cell.

    Parameters
    ----------
    spec : str
        `module:function`, dots allowed in both. The module is looked for in the current folder,
        then in the environment. The function takes no arguments and returns rows as mappings, in
        any iterable, or a table: a `datasets.Dataset`, a data frame, a dict of columns; or a dict
        of tables "train" and "test", such as a `datasets.DatasetDict`. Columns text and label,
        optionally id, group and split ("train" or "test").

    Returns
    -------
    SourceRows
        A group of more than 64 characters is replaced by 32 hex digits of its SHA-256.

    Raises
    ------
    InputError
        No such module or function, one that needs arguments, raises an error or returns something
        else; a column or a cell that cannot be used: names the row, counted from 1.
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
    """Import a function, from the current folder if it is there.

    Parameters
    ----------
    spec : str
        `module:function`, dots allowed in both.

    Returns
    -------
    callable

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
    """Surround a call of the user's function: say which of its lines an error comes from."""
    with _current_folder_first(), _users_errors(spec):
        yield


@contextmanager
def _current_folder_first() -> Iterator[None]:
    """What the user's code prints goes to stderr, and a folder it changes to is left again."""
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
        place = getattr(module, "__file__", None)
        raise InputError(
            f"no function {name!r}",
            where=f"module {module_name!r}" + (f" ({place})" if place else ""),
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
                raise  # the module is there, and imports one that is not
            raise InputError(
                f"no module {error.name!r}",
                where=f"the current folder {str(Path.cwd())!r} or the environment {sys.prefix!r}",
                advice=f"Go to the folder that {name!r} lies in, or install it.",
            ) from error


def _check_needs_no_arguments(function: Callable[..., object], spec: str) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # compiled functions may not tell
        return
    try:
        signature.bind()
    except TypeError as error:
        raise InputError(
            f"{spec!r} takes arguments {signature}",
            allowed="a function that is called without any",
            advice="Give each a default, or wrap the call in a function of its own.",
        ) from error


@contextmanager
def _users_errors(spec: str) -> Iterator[None]:
    """Say which line of the user's code an error comes from; that it came through here is noise."""
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{spec!r} raised {type(error).__name__}: {str(error) or 'no message'}",
            where=_users_line(error),
            advice="Mend it there, then run the same command again.",
        ) from error


def _users_line(error: BaseException) -> str:
    """Innermost line of the user's own; of anyone's, if the function is not the user's either."""
    places = [
        (Path(frame.filename), frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_file() and frame.filename != __file__
    ]
    own = [
        place
        for place in places
        if not any(place[0].is_relative_to(folder) for folder in NOT_THE_USERS)
    ]
    return next((f"{path}:{line}" for path, line in reversed(own or places)), "")
