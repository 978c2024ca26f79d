"""Decisions about a row that look random and hang on nothing but its content."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Choice = TypeVar("Choice")


@dataclass(frozen=True)
class Coin:
    """Two independent decisions about one row, the same in every order and on every machine.

    Parameters
    ----------
    digest : bytes, length 32
        SHA-256 of the row's content.
    """

    digest: bytes

    @classmethod
    def of(cls, *content: str) -> "Coin":
        """Coin of a row with this content; how it is cut into strings matters, too."""
        lengths = ",".join(str(len(part)) for part in content)
        return cls(hashlib.sha256("\0".join([lengths, *content]).encode()).digest())

    @property
    def heads(self) -> bool:
        """True for half of all rows."""
        return self.digest[0] < 128

    def pick(self, choices: Sequence[Choice]) -> Choice:
        """One of the choices, each for as many rows; independent of `heads`."""
        return choices[int.from_bytes(self.digest[8:16], "big") % len(choices)]
