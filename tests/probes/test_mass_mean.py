from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from tests.probes.cases import from_writeable, problem
from w2sprobe.errors import InputError
from w2sprobe.folds import folds_of
from w2sprobe.probes import MassMeanProbe, mass_mean, mass_mean_cross_fit_path
from w2sprobe.probes.preprocess import Preprocessing

RANDOM = np.random.default_rng(0)
Y = np.repeat([0, 1], 50)
X = RANDOM.normal(size=(100, 4)) * [1, 2, 3, 4] + Y[:, None] * [1, 1, 0, 0]


def test_the_direction_is_the_difference_of_means() -> None:
    probe = MassMeanProbe().fit(X, Y)
    np.testing.assert_allclose(probe.coef_, X[50:].mean(0) - X[:50].mean(0), rtol=1e-5)
    middle = (X[50:].mean(0) + X[:50].mean(0)) / 2
    np.testing.assert_allclose(probe.predict_proba(middle[None]), 0.5, atol=1e-6)


def test_whitening_gives_linear_discriminant_analysis() -> None:
    probe = MassMeanProbe(whiten=True).fit(X, Y)
    peer = LinearDiscriminantAnalysis(solver="lsqr").fit(X, Y)
    np.testing.assert_allclose(probe.coef_, peer.coef_[0], rtol=1e-4)
    assert probe.intercept_ == pytest.approx(peer.intercept_[0], rel=1e-3)


def test_soft_labels_weight_the_means_and_flipping_them_flips_the_direction() -> None:
    soft = RANDOM.random(100)
    one, other = MassMeanProbe().fit(X, soft), MassMeanProbe().fit(X, 1 - soft)
    np.testing.assert_allclose(one.coef_, -other.coef_, atol=1e-12)
    by_hand = soft @ X / soft.sum() - (1 - soft) @ X / (1 - soft).sum()
    np.testing.assert_allclose(one.coef_, by_hand, atol=1e-5)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(2, 60), st.integers(1, 12), st.integers(0, 10**6), st.booleans())
def test_soft_labels_are_rows_of_both_classes(n: int, d: int, seed: int, whiten: bool) -> None:
    # a row of soft label q is one of label 1 with weight q and one of label 0 with weight 1 - q
    rows, _ = problem(n, d, seed)
    quarters = np.random.default_rng(seed).integers(0, 5, n)
    if quarters.max() == quarters.min():
        return
    soft = MassMeanProbe(whiten=whiten).fit(rows, quarters / 4)
    hard = np.concatenate([np.repeat([1, 0], [q, 4 - q]) for q in quarters])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mass_mean, "BLOCK_ROWS", 7)
        repeated = MassMeanProbe(whiten=whiten).fit(np.repeat(rows, 4, axis=0), hard)
    ours, theirs = soft.decision_function(rows), repeated.decision_function(rows)
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(1, np.abs(ours).max()))


@pytest.mark.parametrize("whiten", [False, True])
def test_shifting_rows_moves_only_the_intercept(whiten: bool) -> None:
    base = MassMeanProbe(whiten=whiten).fit(X, Y)
    moved = MassMeanProbe(whiten=whiten).fit(X + 100, Y)
    np.testing.assert_allclose(moved.coef_, base.coef_, atol=1e-4)
    margin = moved.decision_function(X + 100)
    np.testing.assert_allclose(margin, base.decision_function(X), atol=1e-3)
    assert abs(moved.intercept_ - base.intercept_) > 1


def test_only_whitening_ignores_the_scale_of_columns() -> None:
    scale = np.array([1, 10, 0.1, 5])
    for whiten in (True, False):
        base = MassMeanProbe(whiten=whiten).fit(X, Y).decision_function(X)
        scaled = MassMeanProbe(whiten=whiten).fit(X * scale, Y).decision_function(X * scale)
        assert np.allclose(base, scaled, atol=1e-3) == whiten


@pytest.mark.parametrize("preprocess", ["none", "standardize"])
@pytest.mark.parametrize("kind", ["constant column", "doubled column", "fewer rows than columns"])
def test_a_singular_covariance_is_inverted_where_it_varies(kind: str, preprocess: str) -> None:
    rows = X.copy()
    labels = Y
    if kind == "constant column":
        rows = np.column_stack([rows, np.full(100, 7.5)])
    elif kind == "doubled column":
        rows = np.column_stack([rows, rows[:, 0]])
    else:
        rows, labels = np.random.default_rng(1).normal(size=(12, 30)), np.arange(12) % 2
    probe = MassMeanProbe(whiten=True, preprocess=preprocess).fit(rows, labels)
    margin = probe.decision_function(rows)
    assert np.isfinite(margin).all()
    assert np.abs(probe.coef_).max() < 1e3
    if kind != "fewer rows than columns":
        plain = MassMeanProbe(whiten=True).fit(X, Y)
        np.testing.assert_allclose(margin, plain.decision_function(X), atol=1e-3)


def test_rows_may_be_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = X.astype(np.float32)
    expected = MassMeanProbe(whiten=True).fit(rows, Y).coef_
    frozen = rows.copy()
    frozen.flags.writeable = False
    monkeypatch.setattr(torch, "from_numpy", from_writeable)
    np.testing.assert_array_equal(MassMeanProbe(whiten=True).fit(frozen, Y).coef_, expected)


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: MassMeanProbe().fit(X, np.zeros(100)), "all labels are 0"),
        (lambda: MassMeanProbe().fit(X, np.ones(100)), "all labels are 1"),
        (lambda: MassMeanProbe().fit(X, Y * 2), "label 2.0 in row 50"),
        (lambda: MassMeanProbe().fit(X, Y[1:]), r"labels of shape \(99,\)"),
        (lambda: MassMeanProbe().fit(np.where(X[8, 1] == X, np.nan, X), Y), "in rows 8"),
        (lambda: MassMeanProbe().fit(X[:0], Y[:0]), r"0 sample\(s\)"),
        (lambda: MassMeanProbe().predict(X), "not fitted"),
        (lambda: MassMeanProbe(whiten=True, device="tpu").fit(X, Y), "no device 'tpu'"),
    ],
)
def test_bad_input(call, part: str) -> None:
    with pytest.raises(InputError, match=part):
        call()


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("preprocess", ["none", "center", "standardize"])
def test_a_cross_fit_of_several_vectors_is_the_loop_of_probes(
    preprocess: Any, whiten: bool, keep: bool
) -> None:
    rows, soft = problem(90, 7, 3)
    vectors = np.stack([soft, (soft > 0.6).astype(float), 1 - soft])
    mask = np.random.default_rng(0).random((3, 90)) < 0.7 if keep else np.ones((3, 90), dtype=bool)
    groups = np.arange(90) // 3
    options: dict[str, Any] = {"whiten": whiten, "preprocess": preprocess}
    p, coef, intercept = mass_mean_cross_fit_path(
        rows, vectors, cv=4, groups=groups, keep=mask if keep else None, **options
    )
    assert (p.shape, coef.shape, intercept.shape) == ((3, 90), (3, 7), (3,))
    folds = folds_of(90, 4, groups)
    for number, (vector, kept) in enumerate(zip(vectors, mask, strict=True)):
        for fold in (*range(4), -1):
            inside = folds != fold
            moved = Preprocessing.fit(rows[inside], preprocess)  # of all rows, kept or not
            probe = MassMeanProbe(whiten=whiten).fit(
                moved.apply(rows[inside & kept]), vector[inside & kept]
            )
            asked = rows if fold == -1 else rows[~inside]
            expected = probe.predict_proba(moved.apply(asked))[:, 1]
            if fold == -1:
                margin = rows @ coef[number] + intercept[number]
                np.testing.assert_allclose(expit(margin), expected, atol=1e-4)
            else:
                np.testing.assert_allclose(p[number, ~inside], expected, atol=1e-4)
    one = mass_mean_cross_fit_path(rows, soft, cv=4, groups=groups, keep=mask[0], **options)
    np.testing.assert_allclose(one[0], p[0], atol=1e-12)
    np.testing.assert_allclose(one[1], coef[0], rtol=1e-9)
    assert one[2] == pytest.approx(intercept[0])


@pytest.mark.parametrize(
    ("keep", "part"),
    [
        (np.zeros(100, dtype=bool), "keep leaves a fit no rows"),
        (Y > 0, "one class"),
        (np.ones(99, dtype=bool), r"keep of shape \(99,\)"),
    ],
)
def test_a_fit_needs_kept_rows_of_both_classes(keep: np.ndarray, part: str) -> None:
    with pytest.raises(InputError, match=part):
        mass_mean_cross_fit_path(X, Y, keep=keep)


@pytest.mark.parametrize("preprocess", ["none", "standardize"])
def test_whitening_together_where_the_classes_are_separated(preprocess: Any) -> None:
    rows, soft = problem(24, 40, 1)  # fewer rows than columns: hard labels leave nothing within
    vectors = np.stack([(soft > 0.5).astype(float), soft])
    options: dict[str, Any] = {"whiten": True, "preprocess": preprocess}
    _, coef, intercept = mass_mean_cross_fit_path(rows, vectors, cv=4, **options)
    for number, vector in enumerate(vectors):
        probe = MassMeanProbe(**options).fit(rows, vector)
        margin = probe.decision_function(rows)
        np.testing.assert_allclose(
            rows @ coef[number] + intercept[number], margin, atol=1e-3 * np.abs(margin).max()
        )
