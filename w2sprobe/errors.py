"""Exceptions of this package: one class per condition, one format for all messages.

A message says what is wrong, with the value; where; what is allowed; and what to do.
"""

import difflib
from collections.abc import Collection, Iterable, Sequence
from typing import Any


class W2SProbeError(Exception):
    """Base class of all exceptions that this package raises on purpose.

    Parameters
    ----------
    what : str
        What is wrong, with the offending value.
    where : str, optional
        File, row, field or layer.
    allowed : str, optional
        What would have been accepted.
    advice : str, optional
        What to do, as a sentence.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", allowed: str = "", advice: str = "") -> None:
        self.what, self.where, self.allowed, self.advice = what, where, allowed, advice
        super().__init__(what, where, allowed, advice)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by fields, for other processes: subclasses take other arguments."""
        return _restored, (type(self), self.what, self.where, self.allowed, self.advice)

    def __str__(self) -> str:
        parts = [f"{self.what} in {self.where}." if self.where else f"{self.what}."]
        if self.allowed:
            parts.append(f"Allowed: {self.allowed}.")
        if self.advice:
            parts.append(self.advice)
        return " ".join(parts)


def _restored(
    kind: type[W2SProbeError], what: str, where: str, allowed: str, advice: str
) -> W2SProbeError:
    error = kind.__new__(kind)
    W2SProbeError.__init__(error, what, where=where, allowed=allowed, advice=advice)
    return error


class InputError(W2SProbeError, ValueError):
    """Invalid input."""

    exit_code = 2


class UnknownName(InputError):
    """A name that is not in a closed list; suggests the closest one."""

    def __init__(
        self, kind: str, value: str, allowed: Collection[str], *, advice: str = ""
    ) -> None:
        near = difflib.get_close_matches(value, list(allowed), n=1)
        hint = f"Did you mean {near[0]!r}?" if near else ""
        super().__init__(
            f"unknown {kind} {value!r}",
            allowed=", ".join(sorted(allowed)),
            advice=" ".join(part for part in (hint, advice) if part),
        )


class IdMismatch(InputError):
    """Row ids that do not match: missing, duplicate or unknown."""


class MissingDependency(InputError, ImportError):
    """An optional package that is needed is not installed."""


class OutputError(InputError):
    """The output file or folder cannot be written."""


class StoreDamaged(W2SProbeError):
    """The files of a store contradict its manifest or checksums."""


class StoreUnavailable(W2SProbeError):
    """A file of a store cannot be read at the moment; it may be intact."""

    exit_code = 2


class StoreMismatch(InputError):
    """A store holds something other than was requested."""


def first_few(values: Iterable[object], limit: int = 3) -> str:
    """Show the first values and count the rest.

    >>> first_few(["a", "b", "c", "d", "e"])
    "'a', 'b', 'c' (and 2 more)"
    """
    items: Sequence[object] = list(values)
    shown = ", ".join(repr(item) for item in items[:limit])
    return f"{shown} (and {len(items) - limit} more)" if len(items) > limit else shown


def summary_of(error: Exception) -> str:
    """First two lines of another library's message, or the error's type if it has no message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]).rstrip(".") or type(error).__name__
