from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import expit

from tests.probes.cases import problem
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.metrics import roc_auc
from w2sprobe.probes import logistic_path
from w2sprobe.probes.estimator import linear
from w2sprobe.probing.heads import fit_heads
from w2sprobe.probing.spec import HeadSettings
from w2sprobe.training.settings import LOSSES, TrainSettings

N, D = 90, 8
QUICK = HeadSettings(epochs=6, learning_rate=0.03)
SEEDS = (0, 3)
X = problem(N, D, 0)[0]
TRUTH = X[:, 0] + X[:, 1] > np.median(X[:, 0] + X[:, 1])
SOFT = np.random.default_rng(0).uniform(0.55, 0.95, N)
SOFT = np.where(TRUTH ^ (np.random.default_rng(1).random(N) < 0.1), SOFT, 1 - SOFT)
VECTORS = np.stack([SOFT, TRUTH.astype(float), SOFT**2])
KEEP = np.random.default_rng(2).random((3, N)) < 0.8


def fit(y: Any, loss: Any = "xent", **options: Any) -> tuple[np.ndarray, np.ndarray]:
    return fit_heads(
        X, y, loss=loss, device="cpu", **{"settings": QUICK, "seeds": SEEDS, **options}
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_learns_and_is_deterministic(loss: str) -> None:
    coef, intercept = fit(VECTORS, loss)
    assert (coef.shape, intercept.shape) == ((3, 2, D), (3, 2))
    again = fit(VECTORS, loss)
    np.testing.assert_array_equal(again[0], coef)
    np.testing.assert_array_equal(again[1], intercept)
    for vector in range(2):
        for margin in linear(X, coef[vector], intercept[vector]):
            assert roc_auc(TRUTH, margin) > 0.75
    assert np.abs(coef[:, 0] - coef[:, 1]).max() > 1e-4, "the order of rows is the seed's"
    if loss not in ("xent", "window"):  # an early window counts every row
        assert np.abs(coef - fit(VECTORS)[0]).max() > 1e-3


@pytest.mark.parametrize("keep", [None, KEEP, KEEP[0]], ids=["all", "own rows", "one mask"])
@pytest.mark.parametrize("loss", ["xent", "logconf", "logconf_balanced", "window"])
def test_heads_trained_together_equal_heads_trained_apart(loss: str, keep: Any) -> None:
    coef, intercept = fit(VECTORS, loss, keep=keep)
    masks = np.broadcast_to(True if keep is None else keep, VECTORS.shape)
    for vector, mask in enumerate(masks):
        for number, seed in enumerate(SEEDS):
            alone = fit(VECTORS[vector], loss, seeds=[seed], keep=mask)
            assert (alone[0].shape, alone[1].shape) == ((1, D), (1,))
            np.testing.assert_allclose(coef[vector, number], alone[0][0], atol=1e-6)
            np.testing.assert_allclose(intercept[vector, number], alone[1][0], atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_rows_that_are_not_kept_are_not_trained_on(loss: str) -> None:
    kept = fit(SOFT, loss, keep=KEEP[0])
    turned = fit(np.where(KEEP[0], SOFT, 1 - SOFT), loss, keep=KEEP[0])
    np.testing.assert_array_equal(kept[0], turned[0])
    how = {"settings": QUICK, "seeds": SEEDS, "preprocess": "none", "device": "cpu"}
    alone = fit_heads(X[KEEP[0]], SOFT[KEEP[0]], loss=loss, **how)
    plain = fit(SOFT, loss, keep=KEEP[0], preprocess="none")
    np.testing.assert_allclose(alone[0], plain[0], atol=1e-9)
    assert np.abs(fit(SOFT, loss)[0] - kept[0]).max() > 1e-3


@pytest.mark.parametrize("preprocess", ["none", "standardize"])
@pytest.mark.parametrize("l2", [1e-2, 0.3])
def test_cross_entropy_ends_at_the_logistic_probe(l2: float, preprocess: Any) -> None:
    whole = HeadSettings(epochs=400, batch_size=N, learning_rate=0.1, l2=l2)
    coef, intercept = fit(VECTORS, settings=whole, seeds=[0], preprocess=preprocess)
    w, b = logistic_path(X, VECTORS, l2s=[l2], preprocess=preprocess)
    np.testing.assert_allclose(coef, w, atol=1e-5)
    np.testing.assert_allclose(intercept, b, atol=1e-5)
    other, _ = logistic_path(X, VECTORS, l2s=[2 * l2], preprocess=preprocess)
    assert np.abs(coef - other).max() > 1e-2


def test_the_defaults_come_close_to_the_logistic_probe() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(600, 200)) * random.uniform(0.1, 50, 200)
    soft = expit((rows / rows.std(axis=0))[:, :20] @ random.normal(size=20) / 2)
    settings = HeadSettings()
    coef, intercept = fit_heads(rows, soft, loss="xent", settings=settings)
    w, b = logistic_path(rows, soft, l2s=[settings.l2], preprocess="standardize")
    margins = linear(rows.astype(np.float32), coef, intercept)
    (expected,) = linear(rows.astype(np.float32), w, b)
    for margin in margins:
        assert np.corrcoef(margin, expected)[0, 1] > 0.99
        assert margin.std() / expected.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("loss", ["xent", "entropy", "window", "reverse", "generalised"])
def test_flipped_labels_flip_the_head(loss: str) -> None:
    coef, intercept = fit(VECTORS, loss)
    turned, last = fit(1 - VECTORS, loss)
    np.testing.assert_allclose(turned, -coef, atol=1e-9)
    np.testing.assert_allclose(last, -intercept, atol=1e-9)
    assert np.abs(coef).max() > 1e-2


def test_settings_of_a_loss_are_read_from_training() -> None:
    named, _ = fit(SOFT, "logconf")
    np.testing.assert_array_equal(fit(SOFT, TrainSettings(loss="logconf"))[0], named)
    plain, _ = fit(SOFT, TrainSettings(loss="logconf", loss_alpha=0))
    np.testing.assert_allclose(plain, fit(SOFT)[0], atol=1e-9)
    assert np.abs(named - plain).max() > 1e-3
    # the published radius is the median confidence of the labels that are trained on
    long = HeadSettings(learning_rate=0.03)
    narrow = fit(VECTORS[:2], "window", settings=long, seeds=[0])[0]
    wide = fit(
        VECTORS[:2], TrainSettings(loss="window", window_radius="0.5"), settings=long, seeds=[0]
    )[0]
    assert np.abs(narrow[0] - wide[0]).max() > 1e-3
    np.testing.assert_allclose(narrow[1], wide[1], atol=1e-9)  # hard labels: every row counts


@pytest.mark.parametrize(
    ("call", "error", "part"),
    [
        (lambda: fit(SOFT, "hinge"), UnknownName, "hinge"),
        (lambda: fit(SOFT[1:]), InputError, r"labels of shape \(89,\)"),
        (lambda: fit(np.ones(N)), InputError, "one class"),
        (lambda: fit(TRUTH, keep=TRUTH), InputError, "one class"),
        (lambda: fit(SOFT, keep=TRUTH & False), InputError, "keep leaves no rows"),
        (lambda: fit(SOFT, keep=KEEP), InputError, r"keep of shape \(3, 90\)"),
        (lambda: fit(SOFT, preprocess="whiten"), UnknownName, "whiten"),
        (
            lambda: fit(SOFT, settings=HeadSettings(learning_rate=1e308, l2=1e300)),
            InputError,
            "weights are not finite",
        ),
        (lambda: HeadSettings(epochs=0), ValidationError, "epochs"),
        (lambda: HeadSettings(momentum=0.9), ValidationError, "momentum"),
    ],
)
def test_bad_input(call, error: type, part: str) -> None:
    with pytest.raises(error, match=part):
        call()
