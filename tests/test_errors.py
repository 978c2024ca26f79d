import copy

import pytest

from w2sprobe.errors import InputError, UnknownName, W2SProbeError


def test_a_message_says_what_where_allowed_and_what_to_do() -> None:
    error = InputError("label is 3", where="a.csv, row 7", allowed="0 or 1", advice="Fix the file.")
    assert str(error) == "label is 3 in a.csv, row 7. Allowed: 0 or 1. Fix the file."
    assert isinstance(error, ValueError)


def test_a_name_close_to_an_allowed_one_is_suggested() -> None:
    assert "Did you mean 'logconf'?" in str(UnknownName("loss", "logcnf", ["xent", "logconf"]))
    assert "Did you mean" not in str(UnknownName("loss", "zzz", ["xent", "logconf"]))


def test_exit_codes() -> None:
    assert (W2SProbeError("").exit_code, InputError("").exit_code) == (1, 2)


@pytest.mark.parametrize(
    "error",
    [
        InputError("label is 3", where="row 7", allowed="0 or 1", advice="Mend it."),
        UnknownName("loss", "logcnf", ["xent", "logconf"]),
    ],
)
def test_an_error_from_another_process_says_the_same(error: W2SProbeError) -> None:
    arrived = copy.copy(error)  # by the same protocol
    assert (type(arrived), str(arrived)) == (type(error), str(error))
