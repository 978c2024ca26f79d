import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from w2sprobe.errors import InputError, UnknownName
from w2sprobe.training import losses
from w2sprobe.training.settings import LOSSES, TrainSettings

N_ROWS = 40
WITH_MEMORY = ("logconf", "logconf_balanced", "logconf_published")
WITHOUT_MEMORY = tuple(name for name in LOSSES if name not in WITH_MEMORY)
FIGURE = Path(__file__).parents[2] / "docs" / "figures" / "losses.py"


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(N_ROWS, 2, generator=generator, dtype=torch.float64)
    return logits, torch.rand(N_ROWS, generator=generator, dtype=torch.float64)


def default_loss(name):
    """The loss of a config that names it and nothing else; a fixed radius needs no labels."""
    return losses.make_loss(TrainSettings(loss=name, window_radius=losses.DEFAULT_RADIUS))


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


def written_reverse(logits, soft, log_zero):
    p = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    label = torch.stack([1 - soft, soft], dim=1).clamp(min=float(np.exp(log_zero)))
    return -(p * label.log()).sum(dim=1)


def written_generalised(logits, soft, q):
    p = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    return (1 - soft) * (1 - p[:, 0] ** q) / q + soft * (1 - p[:, 1] ** q) / q


def published_threshold(p0, window, share=0.5):
    return torch.quantile(torch.as_tensor(p0)[-window:], share)


def share_of_class_1(loss, logits, soft):
    """Share of predictions hardened to class 1: with alpha 1 the loss's gradient is p - h."""
    p1 = logits.softmax(dim=1)[:, 1]
    hardened = p1 - len(logits) * gradient(lambda z: loss(z, soft), logits)[:, 1]
    assert set(hardened.round(decimals=6).abs().tolist()) <= {0.0, 1.0}
    return hardened.mean().item()


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


def test_automatic_radius_is_the_median_confidence_of_the_labels():
    labels = [0.1, 0.45, 0.5, 0.6, 0.95]  # |label - 0.5|: 0.4, 0.05, 0, 0.1, 0.45
    assert losses.auto_radius(labels) == pytest.approx(0.1)
    assert losses.auto_radius(np.array(labels[:4], dtype=np.float32)) == pytest.approx(0.075)
    assert losses.auto_radius([0.0, 1.0, 1.0]) == 0.5


def test_window_of_hard_labels_is_cross_entropy(batch):
    hard = batch[1].round()
    loss = losses.make_loss(TrainSettings(loss="window"), hard)
    assert loss(batch[0], hard, 1.0) == losses.cross_entropy(batch[0], hard)


def test_reverse_cross_entropy_by_hand():
    logits = torch.tensor([[0.0, np.log(3.0)]])  # p = 1/4, 3/4
    unsure, hard = torch.tensor([0.2]), torch.tensor([0.0])
    value = losses.reverse_cross_entropy(logits, unsure).item()
    assert value == pytest.approx(-0.25 * np.log(0.8) - 0.75 * np.log(0.2), rel=1e-6)
    assert losses.reverse_cross_entropy(logits, hard).item() == pytest.approx(0.75 * 4, rel=1e-6)
    cut = losses.reverse_cross_entropy(logits, unsure, log_zero=-1.0).item()
    assert cut == pytest.approx(-0.25 * np.log(0.8) + 0.75, rel=1e-6)


def test_reverse_cross_entropy_has_no_gradient_at_one_half(batch):
    soft = torch.full((N_ROWS,), 0.5, dtype=torch.float64)
    zero = gradient(lambda z: losses.reverse_cross_entropy(z, soft), batch[0])
    assert zero.abs().max() < 1e-15
    assert gradient(lambda z: losses.cross_entropy(z, soft), batch[0]).abs().max() > 1e-3


def test_generalised_cross_entropy_lies_between_cross_entropy_and_absolute_error(batch):
    logits, soft = batch
    nearly = losses.generalised_cross_entropy(logits, soft, q=1e-7)
    torch.testing.assert_close(nearly, losses.cross_entropy(logits, soft), rtol=1e-5, atol=0)
    p1 = logits.softmax(dim=1)[:, 1]
    absolute = ((1 - soft) * p1 + soft * (1 - p1)).mean()
    torch.testing.assert_close(losses.generalised_cross_entropy(logits, soft, q=1.0), absolute)
    assert absolute < losses.generalised_cross_entropy(logits, soft) < nearly


def test_gradients_are_those_of_the_written_formulas(batch):
    logits, soft = batch
    p = logits.softmax(dim=1)
    hardened = (p[:, 0] < published_threshold(p[:, 0], 32)).double()
    of_prior = (p[:, 0] < published_threshold(p[:, 0], 32, soft[-32:].mean())).double()
    of_batch = (p[:, 0] < published_threshold(p[:, 0], 32, soft.mean())).double()
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
        "logconf, balanced": (
            lambda z: losses.LogConfidence(0.3, threshold="balanced")(z, soft),
            lambda z: written_cross_entropy(z, 0.7 * soft + 0.3 * of_prior),
        ),
        "logconf, batch mean": (
            lambda z: losses.LogConfidence(0.3, threshold="batch_mean")(z, soft),
            lambda z: written_cross_entropy(z, 0.7 * soft + 0.3 * of_batch),
        ),
        "reverse": (
            lambda z: losses.reverse_cross_entropy(z, soft, -1.5),
            lambda z: written_reverse(z, soft, -1.5),
        ),
        "generalised": (
            lambda z: losses.generalised_cross_entropy(z, soft, 0.4),
            lambda z: written_generalised(z, soft, 0.4),
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


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_hard_labels_and_certain_students_give_finite_numbers(name, label):
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    value = default_loss(name)(logits, torch.full((2,), label), 1.0)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


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


def test_thresholds_say_how_many_rows_are_hardened_to_class_1(batch):
    logits, soft = batch[0][:32], 0.5 * batch[1][:32]
    labels_mean = soft.mean().item()
    assert 0.2 < labels_mean < 0.3
    shares = {
        threshold: share_of_class_1(losses.LogConfidence(1.0, 32, threshold), logits, soft)
        for threshold in ("median", "balanced", "batch_mean")
    }
    assert shares["median"] == 0.5
    # a quantile lies between two of 32 rows
    assert shares["balanced"] == pytest.approx(labels_mean, abs=1 / 32)
    assert shares["batch_mean"] == shares["balanced"]
    mirrored = share_of_class_1(losses.LogConfidence(1.0, 32, "balanced"), logits, 1 - soft)
    assert mirrored == pytest.approx(1 - labels_mean, abs=1 / 32)


def test_balanced_threshold_is_of_the_remembered_rows_and_their_labels(batch):
    logits, soft = batch
    loss = losses.LogConfidence(alpha=1.0, window=8, threshold="balanced")
    p0 = logits.softmax(dim=1)[:, 0]
    for row in range(N_ROWS):
        share = soft[: row + 1][-8:].mean()
        hardened = (p0[row] < published_threshold(p0[: row + 1], 8, share)).double().reshape(1)
        expected = written_cross_entropy(logits[row : row + 1], hardened).mean()
        got = loss(logits[row : row + 1], soft[row : row + 1])
        torch.testing.assert_close(got, expected, msg=f"row {row}")


def test_published_threshold_depends_on_the_size_of_the_micro_batch(batch):
    logits, soft = batch[0], 0.3 * batch[1]
    rows, pairs = (
        torch.cat(
            [
                loss(z, s).reshape(1) * len(s)
                for z, s in zip(logits.split(size), soft.split(size), strict=True)
            ]
        ).sum()
        for size, loss in (
            (1, losses.LogConfidence(threshold="batch_mean")),
            (2, losses.LogConfidence(threshold="batch_mean")),
        )
    )
    median = losses.LogConfidence()
    singles = zip(logits.split(1), soft.split(1), strict=True)
    torch.testing.assert_close(rows, sum(median(z, s) for z, s in singles))
    assert abs(rows - pairs) > 1e-3


@pytest.mark.parametrize(
    ("threshold", "forgotten"), [("median", "recent"), ("balanced", "recent_soft")]
)
def test_resumed_log_confidence_equals_the_uninterrupted_one(batch, threshold, forgotten):
    logits, soft = (tensor.float() for tensor in batch)
    whole, resumed, forgetful = (
        losses.LogConfidence(window=16, threshold=threshold) for _ in range(3)
    )
    for start in range(0, 20, 4):
        whole(logits[start : start + 4], soft[start : start + 4])
    resumed.load_state_dict(whole.state_dict())
    forgetful.load_state_dict(whole.state_dict() | {forgotten: [0.0] * 16})

    def rest(loss):
        return [loss(logits[i : i + 1], soft[i : i + 1]).item() for i in range(20, N_ROWS)]

    expected = rest(whole)
    assert rest(resumed) == expected
    assert rest(forgetful) != expected


def test_log_confidence_keeps_no_graph_and_at_most_its_window(batch):
    logits, soft = batch
    loss = losses.LogConfidence(window=7)
    for _ in range(50):
        loss(logits.clone().requires_grad_(), soft).backward()
    for name, kept in (("recent", loss._recent), ("recent_soft", loss._recent_soft)):
        assert len(loss.state_dict()[name]) == 7
        assert not kept.requires_grad
        assert kept.untyped_storage().nbytes() <= (7 + N_ROWS) * 8


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
    for name in WITHOUT_MEMORY:
        loss = default_loss(name)
        value = loss(logits, soft, 1.0)
        assert value >= 0
        torch.testing.assert_close(loss(logits.flip(1), 1 - soft, 1.0), value)


@pytest.mark.parametrize("name", LOSSES)
def test_low_precision_logits_are_computed_in_float32(batch, name):
    logits, soft = batch[0].bfloat16(), batch[1].float()
    got = default_loss(name)(logits, soft, 1.0)
    assert got.dtype == torch.float32
    assert got == default_loss(name)(logits.float(), soft, 1.0)


@pytest.mark.parametrize("name", WITHOUT_MEMORY)
def test_micro_batches_add_up(batch, name):
    logits, soft = batch
    loss = default_loss(name)
    parts = [
        loss(logits[rows], soft[rows], 1.0) * len(rows) / N_ROWS
        for rows in torch.arange(N_ROWS).split([1, 15, 24])
    ]
    torch.testing.assert_close(sum(parts), loss(logits, soft, 1.0))


def test_names_give_the_losses_with_their_defaults(batch):
    batch = batch[0], 0.4 * batch[1].sort().values  # the thresholds differ: labels rise, mean 0.2
    expected = {
        "xent": losses.cross_entropy(*batch),
        "logconf": losses.LogConfidence(alpha=0.5, window=32)(*batch),
        "logconf_balanced": losses.LogConfidence(threshold="balanced")(*batch),
        "logconf_published": losses.LogConfidence(threshold="batch_mean")(*batch),
        "entropy": losses.Entropy(alpha=0.5)(*batch),
        "entropy_published": losses.Entropy(detached=True)(*batch),
        "window": losses.confidence_window(*batch, radius=0.15),
        "reverse": losses.reverse_cross_entropy(*batch, log_zero=-4.0),
        "generalised": losses.generalised_cross_entropy(*batch, q=0.7),
    }
    assert tuple(expected) == LOSSES
    assert expected.pop("entropy_published") == expected["entropy"]  # its gradient is another
    assert len({value.item() for value in expected.values()}) == len(expected)
    for name, value in expected.items():
        assert default_loss(name)(*batch, 1.0) == value


def test_settings_reach_the_losses(batch):
    labels = batch[1].numpy()
    chosen = {
        "loss_alpha": 0.3,
        "window_radius": "0.3",
        "reverse_log_zero": -2.0,
        "generalised_q": 0.4,
    }
    expected = {
        "logconf": losses.LogConfidence(0.3)(*batch),
        "logconf_balanced": losses.LogConfidence(0.3, threshold="balanced")(*batch),
        "entropy": losses.Entropy(0.3)(*batch),
        "entropy_published": losses.Entropy(0.3, detached=True)(*batch),
        "window": losses.confidence_window(*batch, radius=0.3),
        "reverse": losses.reverse_cross_entropy(*batch, log_zero=-2.0),
        "generalised": losses.generalised_cross_entropy(*batch, q=0.4),
    }
    for name, value in expected.items():
        settings = TrainSettings(loss=name, **chosen)
        assert losses.make_loss(settings)(*batch, 1.0) == value
        assert losses.make_loss(TrainSettings(loss=name), labels)(*batch, 1.0) != value
    automatic = losses.make_loss(TrainSettings(loss="window"), labels)(*batch, 1.0)
    assert automatic == losses.confidence_window(*batch, losses.auto_radius(labels))


def test_published_entropy_has_the_gradient_of_cross_entropy(batch):
    logits, soft = batch
    published = default_loss("entropy_published")
    torch.testing.assert_close(
        gradient(lambda z: published(z, soft, 1.0), logits),
        gradient(lambda z: 0.5 * losses.cross_entropy(z, soft), logits),
    )


@pytest.mark.parametrize("name", WITH_MEMORY)
def test_each_made_loss_has_its_own_memory(batch, name):
    first, second = default_loss(name), default_loss(name)
    first(*batch, 1.0)
    assert second.state_dict() == {"recent": [], "recent_soft": []}


def test_figure_of_the_docs_shows_every_loss(tmp_path):
    figure = runpy.run_path(str(FIGURE))
    assert {panel.loss for panel in figure["PANELS"]} >= set(LOSSES) - {"logconf_published"}
    p = np.array([0.25, 0.75])
    targets = {panel.loss: figure["target"](panel, p, 0.7) for panel in figure["PANELS"]}
    np.testing.assert_allclose(targets["xent"], [0.7, 0.7], atol=1e-6)
    np.testing.assert_allclose(targets["logconf"], [0.35, 0.85], atol=1e-6)
    np.testing.assert_allclose(targets["entropy_published"], (p + 0.7) / 2, atol=1e-6)
    figure["draw"](tmp_path / "losses.png", n_points=5)
    assert (tmp_path / "losses.png").stat().st_size > 10_000


def test_unknown_name_says_the_nearest():
    with pytest.raises(UnknownName) as error:
        losses.make_loss(TrainSettings().model_copy(update={"loss": "logcnf"}))
    assert "loss 'logcnf'" in str(error.value)
    assert "logconf" in error.value.advice
    with pytest.raises(UnknownName, match="threshold 'mean'"):
        losses.LogConfidence(threshold="mean")


@pytest.mark.parametrize(
    ("logits", "soft"),
    [((3, 2), (3, 1)), ((3, 2), (1,)), ((3, 1), (3,)), ((0, 2), (0,)), ((2,), ())],
)
@pytest.mark.parametrize("name", LOSSES)
def test_shapes_that_would_broadcast_are_refused(name, logits, soft):
    with pytest.raises(InputError) as error:
        default_loss(name)(torch.zeros(logits), torch.zeros(soft), 1.0)
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
        (lambda: losses.auto_radius([]), r"shape \(0,\)"),
        (lambda: losses.auto_radius([[0.1]]), r"shape \(1, 1\)"),
        (lambda: losses.auto_radius([0.1, 1.2]), "1.2, row 1"),
        (lambda: losses.auto_radius([0.1, float("nan")]), "nan, row 1"),
        (lambda: losses.make_loss(TrainSettings(loss="window")), "'auto' without"),
        (
            lambda: losses.reverse_cross_entropy(torch.zeros(1, 2), torch.zeros(1), 0.0),
            "log_zero",
        ),
        (lambda: losses.generalised_cross_entropy(torch.zeros(1, 2), torch.zeros(1), 0.0), "q "),
        (lambda: losses.generalised_cross_entropy(torch.zeros(1, 2), torch.zeros(1), 1.1), "q "),
        (
            lambda: losses.LogConfidence(window=1).load_state_dict(
                {"recent": [0.1, 0.2], "recent_soft": [0.5, 0.5]}
            ),
            "window",
        ),
        (
            lambda: losses.LogConfidence().load_state_dict({"recent": [0.1], "recent_soft": []}),
            "1 remembered predictions, 0 labels",
        ),
    ],
)
def test_parameters_out_of_range_are_refused(call, part):
    with pytest.raises(InputError, match=part):
        call()
