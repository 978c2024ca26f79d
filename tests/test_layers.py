import numpy as np
import pytest

from w2sprobe.errors import InputError
from w2sprobe.layers import parse_layers


@pytest.mark.parametrize(
    ("spec", "layers"),
    [
        ("all", (0, 1, 2, 3, 4)),
        ("mid", (2,)),
        ("3", (3,)),
        (3, (3,)),
        ("4,1,4", (1, 4)),
        ([2, 0], (0, 2)),
        ("-1", (4,)),
        (-2, (3,)),
        ("1:4", (1, 2, 3)),
        ("::2", (0, 2, 4)),
        ("0.5", (2,)),
        ("0.0,1.0", (0, 4)),
        ("mid, 4", (2, 4)),
        (0.5, (2,)),
        ([0.25, 0.75], (1, 3)),
        (np.int64(3), (3,)),
        (np.float32(0.5), (2,)),
        (np.array([3, -1]), (3, 4)),
        (np.array(3), (3,)),
        (range(1, 3), (1, 2)),
        ((1, "mid", "-1"), (1, 2, 4)),
    ],
)
def test_specs(spec: object, layers: tuple[int, ...]) -> None:
    assert parse_layers(spec, range(5)) == layers


BAD = ["", "5", "-6", "1,", "1.5", "-0.5", "top", "a:b", "3:3", "1:2:0", [], [9]]
BAD += [True, [True], None, 1.5, 1.0, [0.0, 1.0], float("nan"), float("inf"), 5, -6, b"1", {1: 2}]
BAD += [
    np.array([]),
    np.array([[1, 2]]),
    np.array([1.0, 2.0]),
    np.bool_(True),
    range(0),
    [None],
    1j,
]


@pytest.mark.parametrize("spec", BAD)
def test_bad_specs_name_what_is_allowed(spec: object) -> None:
    with pytest.raises(InputError, match=r"ranges like 8:24:2 and depths like 0.5 of 0 to 4"):
        parse_layers(spec, range(5))


def test_layers_of_a_partial_store() -> None:
    assert parse_layers("all", (3, 15)) == (3, 15)
    assert parse_layers("0:16", (3, 15)) == (3, 15)
    assert parse_layers("-1", (3, 15)) == (15,)
    with pytest.raises(InputError, match=r"of 3, 15"):
        parse_layers("4", (3, 15))
