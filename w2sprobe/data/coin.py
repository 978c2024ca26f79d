"""Pseudo-random decisions that depend on a row's content only, not on its position or a seed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Choice = TypeVar("Choice")


@dataclass(frozen=True)
class Coin:
    """Two independent decisions about one row, from the SHA-256 of its content."""

    digest: bytes

    @classmethod
    def of(cls, *content: str) -> "Coin":
        """Hash the content; ("ab", "c") and ("a", "bc") give different coins."""
        lengths = ",".join(str(len(part)) for part in content)
        return cls(hashlib.sha256("\0".join([lengths, *content]).encode()).digest())

    @property
    def heads(self) -> bool:
        """True for half of the rows, on average."""
        return self.digest[0] < 128

    def pick(self, choices: Sequence[Choice]) -> Choice:
        """Choose uniformly; independent of `heads`, which reads other bytes of the hash."""
        return choices[int.from_bytes(self.digest[8:16], "big") % len(choices)]
