import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from tests.probes.cases import from_writeable, gradient_norm, objective, problem
from w2sprobe.errors import InputError
from w2sprobe.folds import folds_of
from w2sprobe.probes import (
    LogisticProbe,
    _newton,
    logistic_cross_fit,
    logistic_cross_fit_path,
    logistic_path,
)
from w2sprobe.probes.estimator import linear
from w2sprobe.probes.logistic import FOLDS, L2S
from w2sprobe.probes.preprocess import Preprocessing

PENALTIES = [1e-1, 1e-4, 1e-2]
KINDS = ["plain", "constant columns", "copies", "outlier columns", "equal rows"]


def rows_of(kind: str, n: int, d: int, seed: int) -> np.ndarray:
    X = problem(n, d, seed)[0]
    if kind == "constant columns":
        X[:, ::2] = 3.7
    elif kind == "copies":
        X = X[np.arange(n) // 3]
    elif kind == "outlier columns":
        X[:, 0] = 1e4 + 100 * X[:, 0]
    elif kind == "equal rows":
        X[:] = X[0]
    return X


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    st.sampled_from(KINDS),
    st.sampled_from([(2, 1), (3, 60), (20, 20), (60, 1), (60, 59), (60, 5), (31, 30), (30, 31)]),
    st.booleans(),
    st.integers(0, 10**6),
)
@example("outlier columns", (60, 5), True, 0)
def test_the_gradient_vanishes(kind: str, shape: tuple[int, int], hard: bool, seed: int) -> None:
    X, y = rows_of(kind, *shape, seed), problem(*shape, seed)[1]
    if hard:
        y = (np.arange(shape[0]) % 2).astype(np.float64)
    coef, intercept = logistic_path(X, y, l2s=PENALTIES)
    for l2, w, b in zip(PENALTIES, coef, intercept, strict=True):
        assert gradient_norm(X, y, l2, w, b) < 1e-6
        assert gradient_norm(X, y, l2, w + 0.1, b) > 1e-4


@pytest.mark.parametrize("n_and_d", [(40, 3), (20, 20), (20, 50)])
def test_separable_labels_with_almost_no_penalty(n_and_d: tuple[int, int]) -> None:
    X = problem(*n_and_d, 0)[0]
    y = (X[:, 0] > np.median(X[:, 0])).astype(np.float64)
    probe = LogisticProbe(l2=1e-6).fit(X, y)
    assert probe.converged_
    assert gradient_norm(X, y, 1e-6, probe.coef_, probe.intercept_) < 1e-6
    assert (probe.predict(X) == y).all()


@pytest.mark.parametrize(("n", "d"), [(80, 5), (30, 70), (40, 40)])
def test_agrees_with_scikit_learn(n: int, d: int) -> None:
    X, y = problem(n, d, 1)
    probe = LogisticProbe(l2=1e-2).fit(X, y)
    peer = LogisticRegression(C=1 / (2 * n * 1e-2), tol=1e-10, max_iter=10_000)
    peer.fit(
        np.vstack([X, X]).astype(np.float64),
        np.repeat([1, 0], n),
        sample_weight=np.concatenate([y, 1 - y]),
    )
    np.testing.assert_allclose(probe.coef_, peer.coef_[0], atol=1e-4)
    assert probe.intercept_ == pytest.approx(peer.intercept_[0], abs=1e-3)
    assert probe.converged_
    assert probe.gradient_norm_ <= 1e-6
    theirs = objective(X, y, 1e-2, peer.coef_[0], float(peer.intercept_[0]))
    assert objective(X, y, 1e-2, probe.coef_, probe.intercept_) <= theirs + 1e-9
    assert objective(X, y, 1e-2, probe.coef_ + 0.01, probe.intercept_) > theirs + 1e-9


@pytest.mark.parametrize("preprocess", ["none", "standardize"])
@pytest.mark.parametrize("n_and_d", [(120, 20), (40, 60)])
def test_the_whole_grid_is_accurate(preprocess: Any, n_and_d: tuple[int, int]) -> None:
    X, y = rows_of("outlier columns", *n_and_d, 2), problem(*n_and_d, 3)[1]
    rows = Preprocessing.fit(X, preprocess).apply(X).astype(np.float64)
    rows -= rows.mean(axis=0)
    ones, penalty = np.column_stack([rows, np.ones(len(X))]), np.append(np.ones(n_and_d[1]), 0)
    coef, intercept = logistic_path(X, y, l2s=L2S, preprocess=preprocess)
    for l2, w, b in zip(L2S, coef, intercept, strict=True):
        point = np.zeros(n_and_d[1] + 1)
        for _ in range(30):  # Newton's method with the whole Hessian
            p = expit(ones @ point)
            gradient = ones.T @ (p - y) / len(y) + 2 * l2 * penalty * point
            hessian = (ones.T * (p * (1 - p) / len(y))) @ ones + 2 * l2 * np.diag(penalty)
            point -= np.linalg.solve(hessian, gradient)
        expected = ones @ point
        margin = X.astype(np.float64) @ w + b
        # a gradient of at most 1e-6 leaves so much where the penalty alone holds the weights
        bound = 1e-6 / (2 * l2) * np.linalg.norm(ones, axis=1).max() + 1e-5
        np.testing.assert_allclose(margin, expected, atol=min(bound, 1e-2))
        if l2 >= 1:  # a direction counts, however short
            spread = expected.std()
            np.testing.assert_allclose(
                (margin - margin.mean()) / spread, (expected - expected.mean()) / spread, atol=1e-3
            )


@pytest.mark.parametrize("preprocess", ["none", "center", "standardize"])
def test_a_path_equals_a_loop_of_single_fits(preprocess: str) -> None:
    X, y = problem(60, 8, 2)
    coef, intercept = logistic_path(X, y, l2s=PENALTIES, preprocess=preprocess)
    assert (coef.shape, intercept.shape) == ((3, 8), (3,))
    for row, l2 in enumerate(PENALTIES):
        probe = LogisticProbe(l2, preprocess).fit(X, y)
        np.testing.assert_allclose(coef[row], probe.coef_, atol=1e-4)
        assert intercept[row] == pytest.approx(probe.intercept_, abs=1e-4)


@pytest.mark.parametrize("n_and_d", [(60, 8), (20, 30)])
def test_several_label_vectors_equal_a_loop_of_single_ones(n_and_d: tuple[int, int]) -> None:
    X = problem(*n_and_d, 2)[0]
    labels = np.random.default_rng(0).random((4, len(X)))
    labels[1] = labels[1] > 0.5
    coef, intercept = logistic_path(X, labels, l2s=PENALTIES)
    assert (coef.shape, intercept.shape) == ((4, 3, n_and_d[1]), (4, 3))
    for number, y in enumerate(labels):
        w, b = logistic_path(X, y, l2s=PENALTIES)
        np.testing.assert_allclose(coef[number], w, atol=1e-3)
        np.testing.assert_allclose(intercept[number], b, atol=1e-2)
        for place, l2 in enumerate(PENALTIES):
            found = coef[number, place], float(intercept[number, place])
            assert gradient_norm(X, y, l2, *found) < 1e-6
    assert np.abs(coef[0] - coef[1]).max() > 1e-3


@pytest.mark.parametrize("kind", ["copies", "plain"])
@pytest.mark.parametrize("preprocess", ["none", "center", "standardize"])
@pytest.mark.parametrize("grouped", [False, True])
def test_a_cross_fit_equals_a_loop_of_fits(preprocess: str, kind: str, grouped: bool) -> None:
    X, y = rows_of(kind, 60, 8, 3), problem(60, 8, 3)[1]
    groups = np.arange(60) // 3 if grouped else None
    folds = folds_of(60, 4, groups)
    expected = np.empty(60)
    for fold in range(4):
        out = folds == fold
        own = LogisticProbe(1e-2, preprocess).fit(X[~out], y[~out])
        expected[out] = own.predict_proba(X[out])[:, 1]
    probe = LogisticProbe(1e-2, preprocess)
    found = probe.cross_fit(X, y, 4, groups)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    again = probe.fit(X, y, groups).predict_train_proba(cv=4)[:, 1]
    np.testing.assert_allclose(again, found, atol=1e-12)
    inside = probe.predict_train_proba(cv=None)[:, 1]
    np.testing.assert_allclose(inside, probe.predict_proba(X)[:, 1], atol=1e-12)
    assert np.abs(inside - expected).max() > 1e-2
    if grouped:
        assert all(len(set(folds[groups == group])) == 1 for group in range(20))
        assert np.abs(probe.cross_fit(X, y, 4) - expected).max() > 1e-3


@pytest.mark.parametrize("preprocess", ["none", "center", "standardize"])
@pytest.mark.parametrize("groups", [None, np.arange(40) // 2])
def test_a_cross_fit_of_several_penalties_equals_a_loop(groups, preprocess: str) -> None:
    X, y = problem(40, 6, 5)
    together = logistic_cross_fit(X, y, l2s=PENALTIES, cv=4, groups=groups, preprocess=preprocess)
    for l2, p in zip(PENALTIES, together, strict=True):
        alone = LogisticProbe(l2, preprocess).cross_fit(X, y, 4, groups)
        np.testing.assert_allclose(p, alone, atol=1e-3)
    assert np.abs(together[0] - together[1]).max() > 1e-2


@pytest.mark.parametrize("preprocess", ["none", "center", "standardize"])
@pytest.mark.parametrize("groups", [None, np.arange(40) // 2])
def test_a_cross_fit_path_equals_a_cross_fit_and_a_path(groups, preprocess: str) -> None:
    X, y = problem(40, 6, 5)
    options = {"l2s": PENALTIES, "preprocess": preprocess}
    cross = {"cv": 4, "groups": groups}
    vectors = np.stack([y, 1 - y**2])
    p, coef, intercept = logistic_cross_fit_path(X, vectors, **options, **cross)
    assert (p.shape, coef.shape, intercept.shape) == ((2, 3, 40), (2, 3, 6), (2, 3))
    assert np.abs(p[0] - p[1]).max() > 1e-2
    for number, vector in enumerate(vectors):
        alone = logistic_cross_fit(X, vector, **options, **cross)
        np.testing.assert_allclose(p[number], alone, atol=1e-3)
        for found, expected in zip(
            (coef[number], intercept[number]), logistic_path(X, vector, **options), strict=True
        ):
            np.testing.assert_allclose(found, expected, atol=1e-3)
    one = logistic_cross_fit_path(X, y, **options, **cross)
    assert [part.shape for part in one] == [(3, 40), (3, 6), (3,)]
    np.testing.assert_allclose(one[0], p[0], atol=1e-3)


@pytest.mark.parametrize("preprocess", ["none", "standardize"])
@pytest.mark.parametrize("n_and_d", [(40, 6), (40, 60)])
def test_rows_that_are_not_kept_are_predicted_but_not_fitted_on(preprocess: Any, n_and_d) -> None:
    X, y = problem(*n_and_d, 5)
    vectors, keep = np.stack([y, 1 - y**2]), np.random.default_rng(0).random((2, 40)) < 0.7
    l2s = [1e-1, 1e-3, 1e-2]
    options: dict[str, Any] = {"l2s": l2s, "preprocess": preprocess, "cv": 4}
    found = logistic_cross_fit_path(X, vectors, keep=keep, **options)
    assert found[0].shape == (2, 3, 40)
    turned = np.where(keep, vectors, 1 - vectors)
    for one, other in zip(
        found, logistic_cross_fit_path(X, turned, keep=keep, **options), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    folds = np.append(folds_of(40, 4), -np.ones(40)).reshape(2, 40)
    moved = Preprocessing.fit(X[folds[0] != 0], preprocess)  # of all rows outside the fold
    rows = keep[0] & (folds[0] != 0)
    coef, intercept = logistic_path(moved.apply(X[rows]), y[rows], l2s=l2s)
    alone = expit(linear(moved.apply(X[folds[0] == 0]), coef, intercept))
    np.testing.assert_allclose(found[0][0][:, folds[0] == 0], alone, atol=1e-3)
    everything = logistic_cross_fit_path(X, vectors, **options)
    assert np.abs(everything[0] - found[0]).max() > 1e-2
    full = logistic_cross_fit_path(X, y, keep=keep[0], **options)
    np.testing.assert_allclose(full[1], found[1][0], atol=1e-3)


@pytest.mark.parametrize("preprocess", ["none", "standardize"])
def test_a_fit_needs_kept_rows_of_both_classes(preprocess: Any) -> None:
    X, y = problem(40, 6, 5)
    options: dict[str, Any] = {"l2s": [1.0], "preprocess": preprocess}
    hard = (y > 0.5).astype(float)
    with pytest.raises(InputError, match="one class"):
        logistic_cross_fit_path(X, hard, keep=hard > 0, **options)
    with pytest.raises(InputError, match="keep leaves a fit no rows"):
        logistic_cross_fit_path(X, hard, keep=np.zeros(40, dtype=bool), **options)
    with pytest.raises(InputError, match=r"keep of shape \(39,\)"):
        logistic_cross_fit_path(X, hard, keep=hard[1:] > 0, **options)


@pytest.mark.parametrize("preprocess", ["none", "standardize"])
@pytest.mark.parametrize("grouped", [False, True])
def test_auto_takes_the_least_out_of_fold_loss(preprocess: str, grouped: bool) -> None:
    X = problem(60, 20, 4)[0]
    y = (X[:, 0] + X[:, 1] + np.random.default_rng(1).normal(size=60) > 1).astype(np.float64)
    groups = np.arange(60) // 2 if grouped else None
    probe = LogisticProbe("auto", preprocess).fit(X, y, groups)
    folds, losses = folds_of(60, FOLDS, groups), []
    for l2 in L2S:
        margin = np.empty(60)
        for fold in range(FOLDS):
            out = folds == fold
            own = LogisticProbe(l2, preprocess).fit(X[~out], y[~out])
            margin[out] = own.decision_function(X[out])
        losses.append(np.mean(np.logaddexp(0, margin) - y * margin))
    np.testing.assert_allclose(probe.oof_loss_, losses, atol=1e-3)
    assert probe.l2_ == L2S[int(np.argmin(losses))]
    assert probe.l2_ not in (L2S[0], L2S[-1])
    fixed = LogisticProbe(probe.l2_, preprocess).fit(X, y)
    np.testing.assert_allclose(probe.coef_, fixed.coef_, atol=1e-6)
    assert probe.l2 == "auto"


def test_a_confident_mistake_has_a_finite_loss() -> None:
    # one row far out on the wrong side: its probability rounds to 1, its loss is its margin
    X = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
    y = (X[:, 0] > 0).astype(np.float64)
    X[0] = 1e4
    probe = LogisticProbe("auto").fit(X, y)
    assert np.isfinite(probe.oof_loss_).all()
    assert (probe.oof_loss_ > 40 / 40).any()


def test_auto_in_a_cross_fit_sees_only_the_other_folds() -> None:
    X, y = problem(40, 6, 5)
    groups = np.arange(40) // 2
    found = LogisticProbe("auto").cross_fit(X, y, 3, groups)
    folds = folds_of(40, 3, groups)
    out = folds == 0
    own = LogisticProbe("auto").fit(X[~out], y[~out], groups[~out])
    np.testing.assert_allclose(found[out], own.predict_proba(X[out])[:, 1], atol=1e-12)
    turned = np.where(out, 1 - y, y)  # labels of fold 0 do not reach its own predictions
    again = LogisticProbe("auto").cross_fit(X, turned, 3, groups)
    np.testing.assert_allclose(again[out], found[out], atol=1e-12)
    assert np.abs(again - found)[~out].max() > 1e-3


def test_laws() -> None:
    X, y = problem(50, 6, 3)
    base = LogisticProbe().fit(X, y)
    twice = LogisticProbe().fit(np.vstack([X, X]), np.concatenate([y, y]))
    np.testing.assert_allclose(twice.coef_, base.coef_, atol=1e-5)
    mirrored = LogisticProbe().fit(X, 1 - y)
    np.testing.assert_allclose(mirrored.predict_proba(X), base.predict_proba(X)[:, ::-1], atol=1e-5)
    moved = LogisticProbe().fit(X + 8, y)
    np.testing.assert_allclose(moved.predict_proba(X + 8), base.predict_proba(X), atol=1e-4)
    order = np.random.default_rng(0).permutation(50)
    np.testing.assert_allclose(LogisticProbe().fit(X[order], y[order]).coef_, base.coef_, atol=1e-5)
    small = LogisticProbe(1e-2 / 16).fit(X / 4, y)  # a penalty has the unit of the rows, squared
    np.testing.assert_allclose(small.predict_proba(X / 4), base.predict_proba(X), atol=1e-4)
    narrow = LogisticProbe().fit(X / 4, y)
    assert np.abs(narrow.predict_proba(X / 4) - base.predict_proba(X)).max() > 1e-3


def test_separable_labels_and_constant_features() -> None:
    X = np.ones((40, 3), dtype=np.float32)
    X[:20, 0] = -1
    y = np.repeat([0.0, 1.0], 20)
    probe = LogisticProbe(l2=1e-4).fit(X, y)
    assert (probe.predict(X) == y).all()
    assert probe.converged_
    np.testing.assert_allclose(probe.coef_[1:], 0, atol=1e-6)


def test_rows_may_be_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = problem(30, 4, 0)  # as those of a mapped file are
    expected = LogisticProbe().fit(X, y)
    X.flags.writeable = y.flags.writeable = False
    monkeypatch.setattr(torch, "from_numpy", from_writeable)
    probe = LogisticProbe().fit(X, y)
    np.testing.assert_array_equal(probe.coef_, expected.coef_)
    np.testing.assert_array_equal(logistic_path(X, y, l2s=[1e-2])[0][0], expected.coef_)
    probe.predict_train_proba()


def test_too_few_steps_warn(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = problem(60, 5, 0)
    hard = (y > 0.5).astype(np.float64)
    assert LogisticProbe(1e-5).fit(X, hard).converged_
    monkeypatch.setattr(_newton, "MAX_NEWTON_STEPS", 1)
    with pytest.warns(ConvergenceWarning, match=r"l2=1e-05: gradient norm .* after 1 steps"):
        probe = LogisticProbe(1e-5).fit(X, hard)
    assert not probe.converged_
    assert probe.n_iter_ == 1
    with pytest.warns(ConvergenceWarning):
        logistic_path(X, hard, l2s=[1e-5])


@pytest.mark.parametrize("scale", [1e-20, 1e-6, 1e4, 1e8, 1e20])
def test_rows_of_any_scale_are_fitted_or_refused(scale: float) -> None:
    X, y = problem(40, 4, 0)
    X *= np.float32(scale)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            probe = LogisticProbe().fit(X, y)
        except InputError:
            return
    assert np.isfinite(probe.coef_).all()
    assert probe.converged_ or [one for one in caught if one.category is ConvergenceWarning]
    assert LogisticProbe(preprocess="standardize").fit(X, y).converged_


def test_a_gradient_of_nan_has_not_converged() -> None:
    X, y = problem(40, 4, 0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        probe = LogisticProbe(l2=1e300).fit(X, y)  # beyond float32
    assert np.isfinite(probe.gradient_norm_) or caught


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda X, y: LogisticProbe(l2=0).fit(X, y), "l2 is"),
        (lambda X, y: LogisticProbe(l2=-1.0).fit(X, y), "l2 is"),
        (lambda X, y: LogisticProbe(l2=float("nan")).fit(X, y), "l2 is"),
        (lambda X, y: LogisticProbe(l2="best").fit(X, y), "l2 is 'best'"),
        (lambda X, y: LogisticProbe(l2="best").cross_fit(X, y), "l2 is"),
        (lambda X, y: LogisticProbe(l2=0).cross_fit(X, y), "l2 is"),
        (lambda X, y: logistic_path(X, y, l2s=[]), "l2 is"),
        (lambda X, y: logistic_path(X, y, l2s="auto"), "l2 is"),
        (lambda X, y: logistic_path(X, y[:-1], l2s=[1]), r"labels of shape \(19,\)"),
        (lambda X, y: logistic_path(X, np.empty((0, 20)), l2s=[1]), "no label vectors"),
        (lambda X, y: logistic_path(X, [y, y + 1], l2s=[1]), "0 to 1"),
        (lambda X, y: logistic_path(X, [y, y * 0], l2s=[1]), "all labels are 0"),
        (lambda X, y: logistic_cross_fit_path(X, [y, y + 1], l2s=[1]), "0 to 1"),
        (lambda X, y: logistic_cross_fit_path(X, y, l2s=[1], cv=21), "2 to 20, the rows"),
        (lambda X, y: LogisticProbe().fit(X, np.ones(20)), "all labels are 1"),
        (lambda X, y: LogisticProbe().fit(X, y - 1), "0 to 1"),
        (lambda X, y: LogisticProbe().fit(X, y).predict_train_proba(cv=1), "cv is 1"),
        (lambda X, y: LogisticProbe().fit(X, y).predict_train_proba(cv=21), "2 to 20, the rows"),
        (lambda X, y: LogisticProbe().cross_fit(X, y, 2.5), "cv is 2.5"),
        (lambda X, y: LogisticProbe().cross_fit(X, y, 5, [0, 1] * 10), "2 to 2, the groups"),
        (lambda X, y: LogisticProbe().cross_fit(X, y, 5, [0, 1]), r"groups of shape \(2,\)"),
        (lambda X, y: LogisticProbe().cross_fit(X, np.eye(20)[0], 5), "one class"),
        (lambda X, y: LogisticProbe(device="tpu").fit(X, y), "no device 'tpu'"),
        (lambda X, y: LogisticProbe().predict(X), "not fitted"),
        (lambda X, y: LogisticProbe().predict_train_proba(), "not fitted"),
        (lambda X, y: LogisticProbe().decision_function(X), "not fitted"),
    ],
)
def test_bad_input(call, part: str) -> None:
    with pytest.raises(InputError, match=part):
        call(*problem(20, 3, 0))
