"""Input validation for writers: ids, layers, sizes, values of a shard."""

import json
import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from w2sprobe.cache.dtypes import non_finite, stored_type
from w2sprobe.errors import IdMismatch, InputError, first_few


def checked_ids(ids: Sequence[str] | np.ndarray) -> list[str]:
    """Row ids as a list; unique, and such that HDF5 can hold them."""
    names = list(ids.tolist() if isinstance(ids, np.ndarray) else ids)
    if not names:
        raise InputError("a store needs at least one row")
    for row, name in enumerate(names):
        # HDF5 pads strings with NUL, and UTF-8 has no lone surrogates
        if not isinstance(name, str) or not name or "\0" in name or not _encodes(name):
            raise InputError(f"id {name!r}, row {row}", allowed="a non-empty string without NUL")
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise IdMismatch(f"doubled ids {first_few(doubled)}")
    return names


def checked_layers(layers: Sequence[int]) -> tuple[int, ...]:
    """Layers in ascending order, each once."""
    numbers = [checked_integer(layer, "layer", minimum=0) for layer in layers]
    if not numbers or len(set(numbers)) < len(numbers):
        raise InputError(f"layers {numbers}", allowed="at least one, each once")
    return tuple(sorted(numbers))


def checked_integer(value: int, name: str, *, minimum: int) -> int:
    """Value as an int, which may be a numpy integer but not a float."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or number < minimum:
        raise InputError(f"{name} {value!r}", allowed=f"integer, at least {minimum}")
    return number


def as_json(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a mapping as a reader of the JSON file will get it: tuples become lists."""
    try:
        content: dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not JSON: {error}") from error
    return content


def check_offsets(offsets: np.ndarray, n_rows: int, where: str) -> None:
    """Refuse offsets of a ragged shard that do not divide its vectors into `n_rows` rows."""
    if offsets.shape != (n_rows + 1,):
        what = f"offsets of shape {offsets.shape}"
    elif offsets.dtype.kind not in "iu":
        what = f"offsets of type {offsets.dtype}"
    elif offsets[0] != 0:
        what = f"offsets from {offsets[0]} on"
    elif (down := np.flatnonzero(offsets[1:] < offsets[:-1])).size:
        what = f"offset {offsets[down[0] + 1]} after {offsets[down[0]]}"
    else:
        return
    allowed = f"{(n_rows + 1,)}, integers from 0 on, never decreasing"
    raise InputError(f"{what}, {where}", allowed=allowed)


def check_values(
    values: np.ndarray,
    dtype: str,
    hidden_size: int,
    ids: Sequence[str],
    offsets: np.ndarray | None,
    where: str,
) -> None:
    """Refuse values of one layer that have another type or shape, or are not finite."""
    n = len(ids) if offsets is None else int(offsets[-1])
    if values.dtype != stored_type(dtype):
        raise InputError(
            f"values of type {values.dtype}",
            where=where,
            allowed=f"{stored_type(dtype)} for {dtype}; nothing is cast",
        )
    if values.shape != (n, hidden_size):
        raise InputError(
            f"values of shape {values.shape}", where=where, allowed=f"{(n, hidden_size)}"
        )
    bad = np.flatnonzero(non_finite(values, dtype).any(axis=1))
    if bad.size:
        rows = bad if offsets is None else np.searchsorted(offsets, bad, side="right") - 1
        names = [ids[row] for row in np.unique(rows)]
        raise InputError(
            f"non-finite activations for ids {first_few(names)}",
            where=where,
            advice="float16 ends at 65,504; use bfloat16 or float32." if dtype == "float16" else "",
        )


def _encodes(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
