"""Content addresses: SHA-256 of canonical JSON, of strings or of files."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ADDRESS_LENGTH = 16  # hex digits: 64 bits; P(collision among a million addresses) is 3e-8


def fingerprint(value: Any) -> str:
    """Address of a JSON value; the order of keys does not matter.

    Parameters
    ----------
    value : JSON-serialisable
        Without NaN and infinity; tuples count as lists.

    Returns
    -------
    str
        16 hex digits of the SHA-256 of the canonical JSON.

    Examples
    --------
    >>> fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": (2,), "a": 1})
    True
    """
    return sha256_json(value)[:ADDRESS_LENGTH]


def sha256_json(value: Any) -> str:
    """SHA-256 of the canonical JSON of a value, 64 hex digits."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint_strings(*columns: Iterable[str]) -> str:
    """Address of equally long columns of strings, without building one large JSON."""
    digest = hashlib.sha256()
    for row in zip(*columns, strict=True):
        for cell in row:
            data = cell.encode()
            # the length in front, so that moving text between cells changes the hash
            digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:ADDRESS_LENGTH]


def sha256_file(path: Path) -> str:
    """SHA-256 of the bytes of a file, 64 hex digits."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
