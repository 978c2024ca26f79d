import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2sprobe.errors import IdMismatch, InputError, UnknownName
from w2sprobe.labels import LabelTable
from w2sprobe.training.ensembles import HOW, ensemble

ONE = LabelTable(["a", "b"], [0.2, 0.9])
TWO = LabelTable(["b", "a"], [0.5, 0.4], [True, False])


def test_members_are_joined_by_id() -> None:
    both = ensemble([ONE, TWO])
    assert both.ids.tolist() == ["a", "b"]
    np.testing.assert_allclose(both.soft_label, [0.3, 0.7])
    np.testing.assert_allclose(both.variance, [0.01, 0.04])
    assert both.keep.tolist() == [False, True], "kept by all members"


def test_logit_mean_is_the_mean_of_log_odds() -> None:
    both = ensemble([ONE, TWO], how="logit_mean")
    odds = np.array([[0.2 / 0.8, 0.9 / 0.1], [0.4 / 0.6, 0.5 / 0.5]])
    middle = np.sqrt(odds.prod(axis=0))
    np.testing.assert_allclose(both.soft_label, middle / (1 + middle))
    np.testing.assert_allclose(both.variance, ensemble([ONE, TWO]).variance)


def test_certain_members_have_finite_and_symmetric_log_odds() -> None:
    sure = [LabelTable(["a"], [p]) for p in (0.0, 1.0)]
    assert ensemble(sure, how="logit_mean").soft_label.tolist() == [0.5]
    for p in (0.0, 1.0):
        (soft,) = ensemble([LabelTable(["a"], [p])] * 3, how="logit_mean").soft_label
        assert soft == pytest.approx(p, abs=1e-15)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(
    st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=4),
    st.sampled_from(HOW),
)
def test_laws(members: list[list[float]], how: str) -> None:
    ids = ["a", "b", "c"]
    tables = [LabelTable(ids, p) for p in members]
    table = ensemble(tables, how=how)
    low, high = np.min(members, axis=0), np.max(members, axis=0)
    assert np.all((low - 1e-12 <= table.soft_label) & (table.soft_label <= high + 1e-12))
    again = ensemble(tables[::-1], how=how)
    np.testing.assert_allclose(again.soft_label, table.soft_label, atol=1e-12)
    flipped = ensemble([LabelTable(ids, 1 - np.array(p)) for p in members], how=how)
    np.testing.assert_allclose(flipped.soft_label, 1 - table.soft_label, atol=1e-12)
    np.testing.assert_allclose(flipped.variance, table.variance, atol=1e-12)


def test_an_ensemble_of_one_changes_nothing() -> None:
    np.testing.assert_array_equal(ensemble([ONE]).soft_label, ONE.soft_label)
    assert ensemble([ONE]).variance.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("ids", "parts"),
    [
        (["a"], ["table 2 lacks ids 'b' of table 1"]),
        (["a", "b", "c"], ["table 1 lacks ids 'c' of table 2"]),
        (["a", "x"], ["table 2 lacks ids 'b'", "table 1 lacks ids 'x'"]),
    ],
)
def test_other_rows_are_refused_in_both_directions(ids: list[str], parts: list[str]) -> None:
    with pytest.raises(IdMismatch) as caught:
        ensemble([ONE, LabelTable(ids, [0.5] * len(ids))])
    for part in parts:
        assert part in str(caught.value)


def test_names_and_numbers_are_checked() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'logit_mean'"):
        ensemble([ONE], how="logitmean")
    with pytest.raises(InputError, match="no tables"):
        ensemble([])
