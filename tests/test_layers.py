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
    ],
)
def test_specs(spec: str | int | list[int], layers: tuple[int, ...]) -> None:
    assert parse_layers(spec, range(5)) == layers


@pytest.mark.parametrize("spec", ["", "5", "-1", "1,", "1.5", "top", [], [9]])
def test_bad_specs_name_what_is_allowed(spec: str | list[int]) -> None:
    with pytest.raises(InputError, match="numbers from 0 to 4"):
        parse_layers(spec, range(5))


def test_layers_of_a_partial_store() -> None:
    assert parse_layers("all", (3, 15)) == (3, 15)
    with pytest.raises(InputError, match="some of 3, 15"):
        parse_layers("4", (3, 15))
