"""Parse layer specs: `all`, `mid`, `16`, `8,12,16`, `8:24:2`, `0.5`, `-1`."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from w2sprobe.errors import InputError

Layers = str | int | float | Sequence[Any] | np.ndarray


def parse_layers(spec: Layers, available: Sequence[int]) -> tuple[int, ...]:
    """Turn a layer spec into layer numbers.

    Layers are indices into the model's `hidden_states`: 0 is the embedding output, the highest one
    follows the final norm.

    Parameters
    ----------
    spec : str, int, float or sequence of these
        One of, or several separated by commas:
        `all`; `mid`, half of the highest layer, rounded down;
        a layer, where `-1` is the highest, `-2` the one below;
        a range `start:stop:step` as in Python slices;
        a depth with a decimal point, from `0.0` (lowest layer) to `1.0` (highest), rounded.
        Numbers mean the same as their text, but the floats 0.0 and 1.0 are refused: they could be
        layers or depths.
    available : sequence of int
        Available layers, ascending. A range takes those that it covers.

    Returns
    -------
    tuple of int
        Ascending, unique.

    Raises
    ------
    InputError
        No layer spec, or an unavailable layer.

    Examples
    --------
    >>> parse_layers("mid", range(31))
    (15,)
    >>> parse_layers("8,2,-1", range(13))
    (2, 8, 12)
    >>> parse_layers("8:24:4", range(31))
    (8, 12, 16, 20)
    >>> parse_layers("0.5", range(17))
    (8,)
    """
    highest = available[-1]
    consecutive = list(available) == list(range(available[0], highest + 1))
    allowed = "all, mid, or numbers, ranges like 8:24:2 and depths like 0.5 of " + (
        f"{available[0]} to {highest}" if consecutive else ", ".join(map(str, available))
    )
    layers = []
    for part in _parts(spec):
        try:
            layers += _numbers(part, available)
        except (ValueError, OverflowError):  # OverflowError: an infinite depth
            raise InputError(f"unknown layer spec {spec!r}", allowed=allowed) from None
    # negative numbers count from the end, as everywhere in Python
    layers = [layer + highest + 1 if layer < 0 else layer for layer in layers]
    absent = [layer for layer in layers if layer not in available]
    if absent or not layers:
        raise InputError(f"no layer {absent[0] if absent else spec!r}", allowed=allowed)
    return tuple(sorted(set(layers)))


def _parts(spec: object) -> list[object]:
    """Split a spec of any type into its parts."""
    if isinstance(spec, np.ndarray | np.generic):
        spec = spec.tolist()
    if isinstance(spec, str):
        return [*spec.split(",")]
    return [*spec] if isinstance(spec, Sequence | range) and not isinstance(spec, bytes) else [spec]


def _numbers(part: object, available: Sequence[int]) -> list[int]:
    """Layers of one part; ValueError if it is invalid."""
    highest = available[-1]
    if isinstance(part, Integral) and not isinstance(part, bool):
        return [int(part)]
    if isinstance(part, Real) and not isinstance(part, Integral) and part not in (0, 1):
        part = repr(float(part))
    if not isinstance(part, str):
        raise ValueError(part)
    part = part.strip()
    if part == "all":
        return list(available)
    if part == "mid":
        return [highest // 2]
    if ":" in part:
        ends = [int(end) if end else None for end in part.split(":")]
        covered = range(highest + 1)[slice(*ends)]
        return [layer for layer in available if layer in covered]
    if "." in part:
        depth = float(part)
        if not 0 <= depth <= 1:
            raise ValueError(part)
        return [round(depth * highest)]
    return [int(part)]


def layers_text(layers: Sequence[int]) -> str:
    """Write layers in short, with ranges.

    Examples
    --------
    >>> layers_text((0, 1, 2, 3, 8, 12, 13))
    '0-3, 8, 12, 13'
    """
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    shown = [[f"{run[0]}-{run[-1]}"] if len(run) > 2 else map(str, run) for run in runs]
    return ", ".join(part for parts in shown for part in parts)
