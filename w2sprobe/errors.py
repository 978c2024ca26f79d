"""What can go wrong for a user: one class a condition, one formatter.

A message reads: what was wrong, with the value; where; what is allowed; what to do.
"""

import difflib
from collections.abc import Collection, Iterable, Sequence
from typing import Any


class W2SProbeError(Exception):
    """Anything this package raises on purpose.

    Parameters
    ----------
    what : str
        The fact, with the offending value.
    where : str, optional
        File, row, field or layer.
    allowed : str, optional
        What would have been accepted.
    advice : str, optional
        What to do now, as a sentence.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", allowed: str = "", advice: str = "") -> None:
        self.what, self.where, self.allowed, self.advice = what, where, allowed, advice
        super().__init__(what, where, allowed, advice)

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive the way to another process, whatever arguments a subclass takes."""
        return _as_it_was, (type(self), self.what, self.where, self.allowed, self.advice)

    def __str__(self) -> str:
        parts = [f"{self.what} in {self.where}." if self.where else f"{self.what}."]
        if self.allowed:
            parts.append(f"Allowed: {self.allowed}.")
        if self.advice:
            parts.append(self.advice)
        return " ".join(parts)


def _as_it_was(
    kind: type[W2SProbeError], what: str, where: str, allowed: str, advice: str
) -> W2SProbeError:
    error = kind.__new__(kind)
    W2SProbeError.__init__(error, what, where=where, allowed=allowed, advice=advice)
    return error


class InputError(W2SProbeError, ValueError):
    """The user's input cannot be used as it is."""

    exit_code = 2


class UnknownName(InputError):
    """A name that is not in a closed list."""

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
    """Row ids that should match do not: missing, doubled or unknown."""


class MissingDependency(InputError, ImportError):
    """An optional package is needed and not installed."""


class OutputError(InputError):
    """The place for the output cannot be written to."""


class StoreDamaged(W2SProbeError):
    """A store's files contradict its manifest or its checksums."""


class StoreUnavailable(W2SProbeError):
    """A store's file cannot be read now, and nothing says that it is damaged."""

    exit_code = 2


class StoreMismatch(InputError):
    """A store holds something other than what was asked for."""


def first_few(values: Iterable[object], limit: int = 3) -> str:
    """Show the first offenders and count the rest.

    >>> first_few(["a", "b", "c", "d", "e"])
    "'a', 'b', 'c' (and 2 more)"
    """
    items: Sequence[object] = list(values)
    shown = ", ".join(repr(item) for item in items[:limit])
    return f"{shown} (and {len(items) - limit} more)" if len(items) > limit else shown
