"""Losses against values of the source experiments' own code."""

from pathlib import Path

import numpy as np
import pytest
import torch

from w2sprobe.training import losses

TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parent / "visible.npz") as arrays:
        return {name: arrays[name] for name in arrays.files if name.startswith("loss_")}


@pytest.fixture(scope="module")
def batch(golden):
    return torch.from_numpy(golden["loss_logits"]), torch.from_numpy(golden["loss_labels"])


def stream(loss, batch):
    """The loss of one row at a time, in order."""
    rows = zip(*(tensor.split(1) for tensor in batch), strict=True)
    return np.array([loss(logits, soft).item() for logits, soft in rows])


def test_cross_entropy(golden, batch):
    assert losses.cross_entropy(*batch).item() == pytest.approx(
        float(golden["loss_xent"]), abs=TOLERANCE
    )


@pytest.mark.parametrize("radius", [0.15, 0.3])
def test_confidence_window(golden, batch, radius):
    assert losses.confidence_window(*batch, radius=radius).item() == pytest.approx(
        float(golden[f"loss_window_{radius}"]), abs=TOLERANCE
    )


def test_log_confidence(golden, batch):
    got = stream(losses.LogConfidence(alpha=0.5, window=32), batch)
    np.testing.assert_allclose(got, golden["loss_logconf_stream_0.5"], rtol=0, atol=TOLERANCE)


def test_log_confidence_would_notice_another_window(golden, batch):
    got = stream(losses.LogConfidence(alpha=0.5, window=8), batch)
    assert np.abs(got - golden["loss_logconf_stream_0.5"]).max() > TOLERANCE


@pytest.mark.parametrize("detached", [False, True])
def test_entropy_value_is_the_published_one_with_and_without_its_gradient(golden, batch, detached):
    got = stream(losses.Entropy(alpha=0.5, detached=detached), batch)
    np.testing.assert_allclose(got, golden["loss_entropy_stream_0.5"], rtol=0, atol=TOLERANCE)
