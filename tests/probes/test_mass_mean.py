import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from w2sprobe.errors import InputError
from w2sprobe.probes import MassMeanProbe

RANDOM = np.random.default_rng(0)
Y = np.repeat([0, 1], 50)
X = RANDOM.normal(size=(100, 4)) * [1, 2, 3, 4] + Y[:, None] * [1, 1, 0, 0]


def test_the_direction_is_the_difference_of_means() -> None:
    probe = MassMeanProbe().fit(X, Y)
    np.testing.assert_allclose(probe.coef_, X[50:].mean(0) - X[:50].mean(0), rtol=1e-5)
    middle = (X[50:].mean(0) + X[:50].mean(0)) / 2
    np.testing.assert_allclose(probe.predict_proba(middle[None]), 0.5, atol=1e-6)


def test_whitened_is_linear_discriminant_analysis() -> None:
    probe = MassMeanProbe(whiten=True).fit(X, Y)
    peer = LinearDiscriminantAnalysis(solver="lsqr").fit(X, Y)
    np.testing.assert_allclose(probe.coef_, peer.coef_[0], rtol=1e-4)
    assert probe.intercept_ == pytest.approx(peer.intercept_[0], rel=1e-3)


def test_soft_labels_weigh_the_means_and_turn_around() -> None:
    soft = RANDOM.random(100)
    one, other = MassMeanProbe().fit(X, soft), MassMeanProbe().fit(X, 1 - soft)
    np.testing.assert_allclose(one.coef_, -other.coef_, atol=1e-12)
    by_hand = soft @ X / soft.sum() - (1 - soft) @ X / (1 - soft).sum()
    np.testing.assert_allclose(one.coef_, by_hand, atol=1e-5)


def test_one_class_is_refused() -> None:
    with pytest.raises(InputError, match="all labels are 0"):
        MassMeanProbe().fit(X, np.zeros(100))
