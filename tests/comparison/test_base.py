"""Results of a comparison are read-only and refuse fields that they do not have."""

import pytest
from pydantic import ValidationError

from w2sprobe.comparison._base import FrozenModel


class Example(FrozenModel):
    value: int


def test_a_result_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Example(value=1).value = 2


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="other"):
        Example(value=1, other=2)
