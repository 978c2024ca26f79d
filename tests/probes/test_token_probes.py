from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from tests.probes.token_cases import planted
from w2sprobe.errors import InputError
from w2sprobe.probes import (
    AttentionProbe,
    LogisticProbe,
    MultiMaxProbe,
    SoftmaxMeanProbe,
    load_probe,
    save_probe,
)
from w2sprobe.probes.estimator import NotFitted
from w2sprobe.probes.token_probes import TokenProbe, token_cross_fit_path
from w2sprobe.probes.token_rows import TokenRows
from w2sprobe.token_settings import TokenSettings

PROBES = (AttentionProbe, MultiMaxProbe, SoftmaxMeanProbe)
VALUES, OFFSETS, LABELS = planted(300, 200, 16, seed=1)
OTHER = planted(200, 200, 16, seed=2)
SETTINGS = TokenSettings(n_heads=2, steps=40, batch_size=32)


def auc(probe: TokenProbe) -> float:
    values, offsets, labels = OTHER
    return float(roc_auc_score(labels, probe.predict_proba(values, offsets=offsets)[:, 1]))


@pytest.mark.parametrize("kind", PROBES)
def test_one_token_that_decides_is_seen_where_the_mean_hides_it(kind: type[TokenProbe]) -> None:
    probe = kind().fit(VALUES, LABELS, offsets=OFFSETS)
    assert auc(probe) > 0.95
    pooled = LogisticProbe().fit(TokenRows(VALUES, OFFSETS).means(), LABELS)
    means = TokenRows(*OTHER[:2]).means()
    assert roc_auc_score(OTHER[2], pooled.predict_proba(means)[:, 1]) < 0.8


def test_logits_probabilities_and_classes_agree() -> None:
    probe = AttentionProbe(steps=20).fit(VALUES, LABELS, offsets=OFFSETS)
    logits = probe.decision_function(VALUES, offsets=OFFSETS)
    p = probe.predict_proba(VALUES, offsets=OFFSETS)
    assert p.shape == (300, 2)
    assert_allclose(p[:, 1], 1 / (1 + np.exp(-logits)))
    assert_array_equal(probe.predict(VALUES, offsets=OFFSETS), logits > 0)


def test_a_row_is_predicted_alike_alone() -> None:
    probe = AttentionProbe(steps=20).fit(VALUES, LABELS, offsets=OFFSETS)
    alone = probe.decision_function(
        VALUES[OFFSETS[7] : OFFSETS[8]], offsets=[0, OFFSETS[8] - OFFSETS[7]]
    )
    assert_allclose(alone, probe.decision_function(VALUES, offsets=OFFSETS)[[7]], rtol=1e-4)


def test_a_fit_is_repeated_exactly_and_depends_on_the_seed() -> None:
    first = AttentionProbe(steps=10).fit(VALUES, LABELS, offsets=OFFSETS)
    again = clone(first).fit(VALUES, LABELS, offsets=OFFSETS)
    assert_array_equal(first.coef_, again.coef_)
    other = AttentionProbe(steps=10, seed=1).fit(VALUES, LABELS, offsets=OFFSETS)
    assert (first.coef_ != other.coef_).any()


def test_out_of_fold_predictions_ignore_their_own_label() -> None:
    flipped = LABELS.copy()
    flipped[5] = 1 - flipped[5]
    soft = np.stack([LABELS, flipped])
    held_out, _ = token_cross_fit_path(
        TokenRows(VALUES, OFFSETS), soft, pooling="attention", l2s=[1e-3], settings=SETTINGS, cv=3
    )
    assert held_out.shape == (2, 1, 300)
    assert held_out[0, 0, 5] == pytest.approx(held_out[1, 0, 5], abs=1e-6)
    assert abs(held_out[0] - held_out[1]).max() > 1e-4


def test_cross_fit_learns_from_the_other_folds() -> None:
    noise = np.random.default_rng(0).integers(0, 2, 150).repeat(2)  # equal in pairs of rows
    values = np.repeat(np.random.default_rng(1).normal(size=(150, 4, 16)), 2, axis=0).reshape(
        -1, 16
    )
    offsets = np.arange(301) * 4
    probe = AttentionProbe(steps=100)
    groups = np.arange(300) // 2
    apart = probe.cross_fit(values, noise, offsets=offsets, groups=groups)
    leaked = probe.cross_fit(values, noise, offsets=offsets)
    assert roc_auc_score(noise, apart) < 0.65 < roc_auc_score(noise, leaked)


def test_label_vectors_with_other_rows_are_fitted_on_theirs() -> None:
    keep = np.ones((2, 300), dtype=bool)
    keep[1, :150] = False
    rows = TokenRows(VALUES, OFFSETS)
    options = {"pooling": "multimax", "l2s": [1e-3, 0.1], "settings": SETTINGS, "cv": 0}
    _, both = token_cross_fit_path(rows, np.stack([LABELS, LABELS]), keep=keep, **options)
    _, alone = token_cross_fit_path(rows, LABELS, keep=keep[1], **options)
    assert both.coef.shape == (4, 2, 16)
    assert_allclose(both.coef[2:], alone.coef, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", PROBES)
def test_a_saved_probe_predicts_alike(kind: type[TokenProbe], tmp_path: Path) -> None:
    probe = kind(steps=10).fit(VALUES, LABELS, offsets=OFFSETS)
    save_probe(probe, tmp_path / "probe")
    loaded = load_probe(tmp_path / "probe")
    assert type(loaded) is kind
    assert_array_equal(
        loaded.predict_proba(VALUES, offsets=OFFSETS), probe.predict_proba(VALUES, offsets=OFFSETS)
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_heads": 0}, "n_heads is 0"),
        ({"steps": 0}, "steps is 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"l2": 0}, "l2 is"),
        ({"device": "abacus"}, "no device"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        AttentionProbe(**settings).fit(VALUES, LABELS, offsets=OFFSETS)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="one class"):
        AttentionProbe().fit(VALUES, np.ones(300), offsets=OFFSETS)
    with pytest.raises(NotFitted):
        AttentionProbe().predict_proba(VALUES, offsets=OFFSETS)
    probe = AttentionProbe(steps=2).fit(VALUES, LABELS, offsets=OFFSETS)
    with pytest.raises(InputError, match="width 3"):
        probe.predict_proba(np.ones((4, 3)), offsets=[0, 4])
