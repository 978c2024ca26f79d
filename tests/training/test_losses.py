import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from w2sprobe.errors import InputError, UnknownName
from w2sprobe.training import losses

N_ROWS = 40


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(N_ROWS, 2, generator=generator, dtype=torch.float64)
    return logits, torch.rand(N_ROWS, generator=generator, dtype=torch.float64)


def gradient(loss, logits):
    leaf = logits.clone().requires_grad_()
    (result,) = torch.autograd.grad(loss(leaf), leaf)
    return result


def written_cross_entropy(logits, soft):
    p = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    return -((1 - soft) * p[:, 0].log() + soft * p[:, 1].log())


def written_entropy(logits):
    p = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    return -(p[:, 0] * p[:, 0].log() + p[:, 1] * p[:, 1].log())


def published_threshold(p0, window):
    return torch.quantile(torch.as_tensor(p0)[-window:], 0.5)


def test_cross_entropy_by_hand():
    logits = torch.tensor([[0.0, 0.0], [0.0, np.log(3.0)]])
    soft = torch.tensor([0.3, 1.0])
    assert losses.cross_entropy(logits, soft).item() == pytest.approx(
        (np.log(2) - np.log(0.75)) / 2, rel=1e-6
    )


def test_window_counts_only_unsure_rows_but_divides_by_all():
    logits = torch.tensor([[0.0, 0.0], [0.0, np.log(3.0)]])  # max p: 0.5 and 0.75
    soft = torch.tensor([1.0, 1.0])
    assert losses.confidence_window(logits, soft, radius=0.2).item() == pytest.approx(np.log(2) / 2)
    assert losses.confidence_window(logits, soft, radius=0.3) == losses.cross_entropy(logits, soft)
    assert losses.confidence_window(logits, soft, radius=0.0).item() == 0  # max p < 0.5: never


def test_gradients_are_those_of_the_written_formulas(batch):
    logits, soft = batch
    p = logits.softmax(dim=1)
    hardened = (p[:, 0] < published_threshold(p[:, 0], 32)).double()
    unsure = p.amax(dim=1) < 0.65
    assert 0 < unsure.sum() < N_ROWS
    cases = {
        "xent": (
            lambda z: losses.cross_entropy(z, soft),
            lambda z: written_cross_entropy(z, soft),
        ),
        "window": (
            lambda z: losses.confidence_window(z, soft, 0.15),
            lambda z: written_cross_entropy(z, soft) * unsure,
        ),
        "entropy": (
            lambda z: losses.Entropy(0.3)(z, soft),
            lambda z: 0.7 * written_cross_entropy(z, soft) + 0.3 * written_entropy(z),
        ),
        "logconf": (
            lambda z: losses.LogConfidence(0.3)(z, soft),
            lambda z: (
                0.7 * written_cross_entropy(z, soft) + 0.3 * written_cross_entropy(z, hardened)
            ),
        ),
    }
    for name, (loss, written) in cases.items():
        expected = gradient(lambda z, written=written: written(z).mean(), logits)
        torch.testing.assert_close(gradient(loss, logits), expected, msg=name)


def test_entropy_has_a_gradient_of_its_own_and_the_published_variant_has_none(batch):
    logits, soft = batch
    scaled = 0.5 * gradient(lambda z: losses.cross_entropy(z, soft), logits)
    real = gradient(lambda z: losses.Entropy(0.5)(z, soft), logits)
    published = gradient(lambda z: losses.Entropy(0.5, detached=True)(z, soft), logits)
    torch.testing.assert_close(published, scaled)
    assert (real - scaled).abs().max() > 0.1 * scaled.abs().max()
    value = losses.Entropy(0.5)(logits, soft)
    assert value == losses.Entropy(0.5, detached=True)(logits, soft)


def test_entropy_gradient_is_finite_where_the_student_is_certain():
    logits = torch.tensor([[200.0, -200.0]])
    result = gradient(lambda z: losses.Entropy(1.0)(z, torch.tensor([0.0])), logits)
    assert torch.equal(result, torch.zeros(1, 2))


@pytest.mark.parametrize("make", [losses.LogConfidence, losses.Entropy])
def test_ramp_scales_alpha(batch, make):
    logits, soft = batch
    assert make(0.8)(logits, soft, ramp=0.0) == losses.cross_entropy(logits, soft)
    torch.testing.assert_close(make(0.8)(logits, soft, ramp=0.25), make(0.2)(logits, soft))
    assert make(0.8)(logits, soft) != make(0.2)(logits, soft)


def test_threshold_is_the_median_of_the_last_predictions_with_the_newest(batch):
    logits, soft = batch
    loss = losses.LogConfidence(alpha=1.0, window=5)
    p0 = logits.softmax(dim=1)[:, 0]
    for row in range(N_ROWS):
        threshold = published_threshold(p0[: row + 1], 5)
        hardened = (p0[row : row + 1] < threshold).double()
        expected = written_cross_entropy(logits[row : row + 1], hardened).mean()
        got = loss(logits[row : row + 1], soft[row : row + 1])
        torch.testing.assert_close(got, expected, msg=f"row {row}")
    assert loss.state_dict()["recent"] == pytest.approx(p0[-5:].tolist())


def test_resumed_log_confidence_equals_the_uninterrupted_one(batch):
    logits, soft = (tensor.float() for tensor in batch)
    whole = losses.LogConfidence(window=8)
    for start in range(0, 20, 4):
        whole(logits[start : start + 4], soft[start : start + 4])
    resumed, forgetful = losses.LogConfidence(window=8), losses.LogConfidence(window=8)
    resumed.load_state_dict(whole.state_dict())

    def rest(loss):
        return [loss(logits[i : i + 1], soft[i : i + 1]).item() for i in range(20, N_ROWS)]

    expected = rest(whole)
    assert rest(resumed) == expected
    assert rest(forgetful) != expected


def test_log_confidence_remembers_no_graph_and_no_more_than_its_window(batch):
    logits, soft = batch
    loss = losses.LogConfidence(window=7)
    for _ in range(50):
        loss(logits.clone().requires_grad_(), soft).backward()
    assert len(loss.state_dict()["recent"]) == 7
    assert not loss._recent.requires_grad
    assert loss._recent.untyped_storage().nbytes() <= (7 + N_ROWS) * 8


@given(
    st.integers(1, 6).flatmap(
        lambda n: st.tuples(
            st.lists(st.floats(-20, 20), min_size=2 * n, max_size=2 * n),
            st.lists(st.floats(0, 1), min_size=n, max_size=n),
        )
    )
)
@settings(deadline=None, max_examples=50, derandomize=True)
def test_exchanging_the_classes_changes_nothing(rows):
    # LogConfidence is left out: a row at the threshold is always of class 0, as published
    logits = torch.tensor(rows[0], dtype=torch.float64).reshape(-1, 2)
    soft = torch.tensor(rows[1], dtype=torch.float64)
    for name in ("xent", "entropy", "window"):
        loss = losses.make_loss(name)
        value = loss(logits, soft, 1.0)
        assert value >= 0
        torch.testing.assert_close(loss(logits.flip(1), 1 - soft, 1.0), value)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_low_precision_logits_are_raised_and_labels_keep_their_digits(batch, name):
    logits, soft = batch[0].bfloat16(), batch[1].float()
    got = losses.make_loss(name)(logits, soft, 1.0)
    assert got.dtype == torch.float32
    assert got == losses.make_loss(name)(logits.float(), soft, 1.0)


@pytest.mark.parametrize("name", ["xent", "entropy", "window"])
def test_micro_batches_add_up(batch, name):
    logits, soft = batch
    loss = losses.make_loss(name)
    parts = [
        loss(logits[rows], soft[rows], 1.0) * len(rows) / N_ROWS
        for rows in torch.arange(N_ROWS).split([1, 15, 24])
    ]
    torch.testing.assert_close(sum(parts), loss(logits, soft, 1.0))


def test_names_give_the_losses_with_their_defaults(batch):
    assert set(losses.LOSSES) == {"xent", "logconf", "entropy", "window"}
    expected = {
        "xent": losses.cross_entropy(*batch),
        "logconf": losses.LogConfidence(alpha=0.5, window=32)(*batch),
        "entropy": losses.Entropy(alpha=0.5)(*batch),
        "window": losses.confidence_window(*batch, radius=0.15),
    }
    for name, value in expected.items():
        assert losses.make_loss(name)(*batch, 1.0) == value
    assert len({value.item() for value in expected.values()}) == 4


def test_each_made_loss_has_its_own_memory(batch):
    first, second = losses.make_loss("logconf"), losses.make_loss("logconf")
    first(*batch, 1.0)
    assert second.state_dict() == {"recent": []}


def test_unknown_name_says_the_nearest():
    with pytest.raises(UnknownName) as error:
        losses.make_loss("logcnf")
    assert "loss 'logcnf'" in str(error.value)
    assert "logconf" in error.value.advice


@pytest.mark.parametrize(
    ("logits", "soft"),
    [((3, 2), (3, 1)), ((3, 2), (1,)), ((3, 1), (3,)), ((0, 2), (0,)), ((2,), ())],
)
@pytest.mark.parametrize("name", losses.LOSSES)
def test_shapes_that_would_broadcast_are_refused(name, logits, soft):
    with pytest.raises(InputError) as error:
        losses.make_loss(name)(torch.zeros(logits), torch.zeros(soft), 1.0)
    assert str(logits) in error.value.what
    assert str(soft) in error.value.what


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: losses.Entropy(1.5), "alpha"),
        (lambda: losses.LogConfidence(-0.1), "alpha"),
        (lambda: losses.LogConfidence(window=0), "window"),
        (lambda: losses.confidence_window(torch.zeros(1, 2), torch.zeros(1), 0.6), "radius"),
        (lambda: losses.Entropy()(torch.zeros(1, 2), torch.zeros(1), ramp=2.0), "ramp"),
        (lambda: losses.LogConfidence()(torch.zeros(1, 2), torch.zeros(1), ramp=-1.0), "ramp"),
        (lambda: losses.LogConfidence(window=1).load_state_dict({"recent": [0.1, 0.2]}), "window"),
    ],
)
def test_parameters_out_of_range_are_refused(call, part):
    with pytest.raises(InputError, match=part):
        call()
