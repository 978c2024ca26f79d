import numpy as np
import pytest

from w2sprobe.cli._scores import scores, shown
from w2sprobe.data import Rows
from w2sprobe.labels import LabelTable


def test_scores_are_joined_by_id_and_shown_on_one_line() -> None:
    rows = Rows(["a", "b", "c", "d"], ["1", "2", "3", "4"], [0, 1, 0, 1])
    table = LabelTable(np.array(["d", "c", "b", "a"]), np.array([0.9, 0.1, 0.4, 0.2]))
    result = scores(rows, table)
    assert result is not None
    assert result["accuracy"] == 0.75  # b is wrong
    assert result["brier"] == pytest.approx((0.01 + 0.01 + 0.36 + 0.04) / 4)
    assert shown(result).startswith("; accuracy 0.750, log-loss 0.338, Brier 0.105, ")


def test_a_certain_error_has_an_infinite_loss() -> None:
    rows = Rows(["a", "b"], ["1", "2"], [0, 1])
    assert "log-loss infinite" in shown(scores(rows, LabelTable(rows.ids, np.array([0.1, 0.0]))))


def test_no_rows_have_no_scores() -> None:
    assert scores(Rows([], [], []), LabelTable(np.array([], "U1"), np.array([]))) is None
    assert shown(None) == ""
