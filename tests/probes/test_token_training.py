"""Training of token-level probes beside a plain loop of torch on standardised, padded rows."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn.functional import binary_cross_entropy_with_logits

from tests.probes.token_cases import planted
from w2sprobe.errors import InputError
from w2sprobe.probes import token_training
from w2sprobe.probes.pooling import POOLINGS
from w2sprobe.probes.token_rows import TokenRows
from w2sprobe.probes.token_training import Fits, standardisation, train
from w2sprobe.token_settings import TokenSettings

VALUES, OFFSETS, LABELS = planted(60, 12, 6, seed=0)
ROWS = TokenRows.checked(VALUES, OFFSETS)
SOFT = np.stack([np.clip(LABELS, 0.1, 0.8), 1 - np.clip(LABELS, 0.1, 0.8)])
FOLD = np.arange(60) % 3
SETTINGS = TokenSettings(n_heads=2, steps=25, batch_size=16)
CPU = torch.device("cpu")


def fits(soft: np.ndarray = SOFT, l2s: tuple[float, ...] = (1e-3, 0.1), n_folds: int = 4) -> Fits:
    return Fits(soft, FOLD, np.array(l2s), *standardisation(ROWS, FOLD, n_folds))


def plain_loop(pooling: str, soft: np.ndarray, l2: float, fold: int) -> np.ndarray:
    """Logits of all rows by one model, trained on the rows outside a fold."""
    used = fold != FOLD
    tokens = np.repeat(used, np.diff(OFFSETS))
    mean, std = VALUES[tokens].mean(axis=0), VALUES[tokens].std(axis=0)
    longest = int(np.diff(OFFSETS).max())
    padded = np.zeros((60, longest, 6), dtype=np.float32)
    mask = np.arange(longest) < np.diff(OFFSETS)[:, None]
    padded[mask] = (VALUES - mean) / std
    x, exists = torch.from_numpy(padded), torch.from_numpy(mask)
    weights = token_training._initial_weights(POOLINGS[pooling], SETTINGS, 6).requires_grad_()
    bias = torch.logit(torch.tensor(soft[used].mean(), dtype=torch.float32)).requires_grad_()
    adam = torch.optim.Adam([{"params": [weights], "lr": 0.5 / 6}, {"params": [bias], "lr": 0.05}])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, SETTINGS.steps)
    labels = torch.tensor(soft, dtype=torch.float32)
    for members in token_training._batches(60, SETTINGS):
        rows = members[used[members]]
        scores = torch.einsum("btd,kd->kbt", x[rows], weights)
        logits = POOLINGS[pooling].function(scores, exists[rows]) + bias
        loss = binary_cross_entropy_with_logits(logits, labels[rows]) + l2 * (weights**2).sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
    with torch.no_grad():
        scores = torch.einsum("btd,kd->kbt", x, weights)
        return (POOLINGS[pooling].function(scores, exists) + bias).numpy()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_model_is_that_of_a_plain_loop(pooling: str) -> None:
    logits = train(ROWS, fits(), pooling, SETTINGS, CPU).logits(ROWS, CPU).reshape(4, 2, 2, 60)
    for fold, vector, penalty in ((0, 0, 0), (2, 1, 1), (3, 0, 1)):
        expected = plain_loop(pooling, SOFT[vector], (1e-3, 0.1)[penalty], fold)
        assert_allclose(logits[fold, vector, penalty], expected, rtol=2e-3, atol=2e-3)


def test_models_do_not_depend_on_those_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    together = train(ROWS, fits(), "attention", SETTINGS, CPU)
    monkeypatch.setattr(token_training, "MAX_SCORES", 1)  # a model at a time
    alone = train(ROWS, fits(), "attention", SETTINGS, CPU)
    assert_allclose(together.coef, alone.coef, rtol=1e-3, atol=1e-4)
    assert_allclose(together.logits(ROWS, CPU), alone.logits(ROWS, CPU), rtol=1e-3, atol=1e-3)


def test_flipped_labels_flip_attention() -> None:
    logits = train(ROWS, fits(l2s=(1e-3,), n_folds=1), "attention", SETTINGS, CPU).logits(ROWS, CPU)
    assert_allclose(logits[0], -logits[1], rtol=1e-3, atol=1e-3)


def test_tokens_are_standardised_by_those_outside_the_fold() -> None:
    centre, scale = standardisation(ROWS, FOLD, 4)
    for fold in range(4):
        outside = np.repeat(fold != FOLD, np.diff(OFFSETS))
        assert_allclose(centre[fold], VALUES[outside].mean(axis=0, dtype=float), rtol=1e-6)
        assert_allclose(scale[fold], VALUES[outside].std(axis=0, dtype=float), rtol=1e-6)


def test_a_constant_column_is_not_scaled() -> None:
    constant = VALUES.copy()
    constant[:, 2] = 0.1
    _, scale = standardisation(TokenRows(constant, OFFSETS), FOLD, 4)
    assert (scale[:, 2] == 1).all()


def test_weights_that_diverge_are_refused() -> None:
    settings = TokenSettings(learning_rate=1e38, steps=5)
    with pytest.raises(InputError, match=r"learning_rate 1e\+38"):
        train(ROWS, fits(), "softmax-mean", settings, CPU)
