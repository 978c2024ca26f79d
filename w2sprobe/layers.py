"""Layer specs as people write them: `all`, `mid`, `16`, `8,12,16`."""

from collections.abc import Sequence

from w2sprobe.errors import InputError


def parse_layers(spec: str | int | Sequence[int], available: Sequence[int]) -> tuple[int, ...]:
    """Turn a layer spec into layer numbers.

    Parameters
    ----------
    spec : str, int or sequence of int
        `"all"`, `"mid"` (half of the highest layer, rounded down), one number, or numbers
        separated by commas. Layer 0 is the embedding output, the highest one follows the final
        norm (index into the model's `hidden_states`).
    available : sequence of int
        Layers there are, ascending.

    Returns
    -------
    tuple of int
        Ascending, unique.

    Raises
    ------
    InputError
        Not a layer spec, or a layer that is not available.

    Examples
    --------
    >>> parse_layers("mid", range(31))
    (15,)
    >>> parse_layers("8,2", range(13))
    (2, 8)
    """
    allowed = (
        f"all, mid, or numbers from {available[0]} to {available[-1]} separated by commas"
        if list(available) == list(range(available[0], available[-1] + 1))
        else f"all, mid, or some of {', '.join(map(str, available))}"
    )
    if spec == "all":
        return tuple(available)
    if spec == "mid":
        layers = [available[-1] // 2]
    elif isinstance(spec, str):
        try:
            layers = [int(part) for part in spec.split(",")]
        except ValueError:
            raise InputError(f"unknown layer spec {spec!r}", allowed=allowed) from None
    else:
        layers = [spec] if isinstance(spec, int) else list(spec)
    absent = [layer for layer in layers if layer not in available]
    if absent or not layers:
        raise InputError(f"no layer {absent[0] if absent else spec!r}", allowed=allowed)
    return tuple(sorted(set(layers)))
