from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2sprobe.training.batches import EpochBatches, Example, micro_batches


def epoch(number: int, *, seed: int = 0, size: int = 32) -> list[list[int]]:
    first_step = number * -(-500 // size)
    return list(EpochBatches(500, size, seed=seed, step=lambda: first_step))


@pytest.mark.parametrize("size", [1, 32, 500, 700])
def test_an_epoch_holds_every_row_once(size: int) -> None:
    batches = epoch(0, size=size)
    assert sorted(row for batch in batches for row in batch) == list(range(500))
    assert len(batches) == len(EpochBatches(500, size, seed=0, step=lambda: 0))
    assert Counter(map(len, batches))[size] == 500 // size


def test_order_depends_on_seed_and_epoch_alone() -> None:
    assert epoch(2) == epoch(2)
    assert epoch(2) != epoch(3)
    assert epoch(2) != epoch(2, seed=1)


def examples(lengths: list[int]) -> list[Example]:
    return [
        {"id": str(at), "position": at, "input_ids": np.full(n, 5), "soft_label": at / 100}
        for at, n in enumerate(lengths)
    ]


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=40),
    world=st.integers(1, 5),
    max_tokens=st.integers(1, 200),
)
def test_processes_share_a_batch_in_step(lengths: list[int], world: int, max_tokens: int) -> None:
    cuts = [
        micro_batches(examples(lengths), 0, max_tokens, rank=rank, world=world)
        for rank in range(world)
    ]
    assert len({len(cut) for cut in cuts}) == 1, "processes that wait for one another hang"
    counted = [
        row for cut in cuts for batch, counts in cut if counts for row in batch["position"].tolist()
    ]
    assert sorted(counted) == list(range(len(lengths)))
    for cut in cuts:
        for batch, _ in cut:
            rows = batch["position"].tolist()
            assert batch["attention_mask"].sum(dim=1).tolist() == [lengths[row] for row in rows]
            assert batch["input_ids"].numel() <= max(max_tokens, max(lengths))
            np.testing.assert_allclose(batch["soft_label"], np.array(rows) / 100, rtol=1e-6)
