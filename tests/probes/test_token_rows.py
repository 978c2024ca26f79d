import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2sprobe.errors import InputError
from w2sprobe.probes.token_rows import TokenRows

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def rows_of(lengths: list[int], width: int = 3) -> TokenRows:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = np.random.default_rng(len(lengths)).normal(5.0, 2.0, (offsets[-1], width))
    return TokenRows.checked(values, offsets)


def parts(rows: TokenRows) -> list[np.ndarray]:
    return np.split(rows.values, rows.offsets[1:-1])


@given(LENGTHS)
def test_pooled_rows_are_those_of_numpy(lengths: list[int]) -> None:
    rows = rows_of(lengths)
    np.testing.assert_allclose(rows.means(), [part.mean(axis=0) for part in parts(rows)], rtol=1e-5)
    np.testing.assert_array_equal(rows.last(), [part[-1] for part in parts(rows)])


@given(LENGTHS)
def test_weighted_sums_are_those_of_every_token(lengths: list[int]) -> None:
    rows = rows_of(lengths)
    centre = np.array([5.0, 4.0, 0.0], dtype=np.float32)
    weights = (np.arange(2 * len(rows)).reshape(2, -1) % 3).astype(np.float32)
    sums, squares = rows.sums(weights, centre)
    each = [(part - centre).sum(axis=0) for part in parts(rows)]
    np.testing.assert_allclose(sums, weights @ np.array(each), rtol=1e-5, atol=1e-4)
    each = [((part - centre) ** 2).sum(axis=0) for part in parts(rows)]
    np.testing.assert_allclose(squares, weights @ np.array(each), rtol=1e-5, atol=1e-4)


@given(LENGTHS, st.integers(1, 20))
def test_blocks_are_all_rows_in_order(lengths: list[int], n_tokens: int) -> None:
    rows = rows_of(lengths)
    blocks = [*rows.blocks(n_tokens)]
    np.testing.assert_array_equal(
        np.concatenate([block.values for _, block in blocks]), rows.values
    )
    assert [row for part, _ in blocks for row in range(part.start, part.stop)] == [
        *range(len(rows))
    ]
    assert all(len(block.values) <= n_tokens or len(block) == 1 for _, block in blocks)


def test_selected_rows_come_in_the_order_asked_for() -> None:
    rows = rows_of([2, 1, 3, 4])
    selected = rows.select(np.array([3, 0, 3]))
    assert selected.lengths.tolist() == [4, 2, 4]
    for part, row in zip(parts(selected), (3, 0, 3), strict=True):
        np.testing.assert_array_equal(part, parts(rows)[row])


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([0, 2, 2, 5], "row 1 has 0 tokens"),
        ([0, 3, 2, 5], "row 1 has -1 tokens"),
        ([1, 5], "offsets from 1 to 5"),
        ([0, 4], "offsets from 0 to 4"),
        ([0], "offsets of shape"),
        ([0.0, 5.0], "offsets of shape"),
    ],
)
def test_offsets_that_do_not_divide_the_tokens_are_refused(
    offsets: list[float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        TokenRows.checked(np.ones((5, 2)), offsets)


def test_a_value_that_is_not_finite_is_named() -> None:
    values = np.ones((4, 2))
    values[2, 1] = np.nan
    with pytest.raises(InputError, match="values"):
        TokenRows.checked(values, [0, 4])
