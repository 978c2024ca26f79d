"""LEACE: against the authors' package, and its guarantees."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from w2sprobe.errors import InputError
from w2sprobe.probes import Erasure

GOLDEN = Path(__file__).parents[1] / "golden/leace.npz"


def test_without_shrinkage_it_is_the_authors_eraser() -> None:
    golden = np.load(GOLDEN)
    erasure = Erasure.fit(golden["X"], golden["Z"], shrink=False)
    np.testing.assert_allclose(erasure(golden["X"]), golden["erased"], atol=1e-12)
    assert erasure.rank == 2, "three classes"


@st.composite
def concepts(draw):
    """Activations of any shape in which a concept can be read, and the concept."""
    n, d, k = draw(st.integers(6, 60)), draw(st.integers(1, 12)), draw(st.integers(2, 4))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    classes = random.permutation(np.arange(n) % k)
    Z = np.eye(k)[classes]
    X = random.normal(size=(n, d)) @ random.normal(size=(d, d)) + Z @ random.normal(size=(k, d))
    scale = draw(st.sampled_from([1e-3, 1.0, 1e4]))  # one coordinate may hold all the variance
    X[:, 0] *= scale
    return X + draw(st.sampled_from([0.0, 100.0])), Z


@settings(deadline=None, max_examples=60, derandomize=True)
@given(concepts(), st.booleans())
def test_nothing_linear_is_left_on_the_rows_that_it_was_fitted_on(case, shrink) -> None:
    X, Z = case
    erasure = Erasure.fit(X, Z, shrink=shrink)
    erased = erasure(X)
    scale = X.std(axis=0)
    covariance = (erased - erased.mean(axis=0)).T @ (Z - Z.mean(axis=0)) / len(X)
    assert np.abs(covariance / scale[:, np.newaxis]).max() < 1e-9
    np.testing.assert_allclose(erased.mean(axis=0), X.mean(axis=0), atol=1e-9 * np.abs(X).max())
    assert erasure.rank <= min(X.shape[1], Z.shape[1] - 1)
    # a second erasure has nothing to do
    np.testing.assert_allclose(erasure(erased), erased, atol=1e-8 * np.abs(X).max())


@settings(deadline=None, max_examples=20, derandomize=True)
@given(concepts())
def test_a_probe_reads_the_concept_before_and_not_after(case) -> None:
    X, Z = case
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    erased = Erasure.fit(scaled, Z)(scaled)
    target = Z[:, 0]
    aucs = []
    for states in (scaled, erased):
        scores = LogisticRegression().fit(states, target).decision_function(states)
        aucs.append(roc_auc_score(target, np.round(scores, 6)))
    before, after = aucs
    assert before > 0.5
    assert after == 0.5


def test_numbers_are_erased_as_well_as_classes() -> None:
    random = np.random.default_rng(0)
    lengths = random.lognormal(size=200)
    X = random.normal(size=(200, 5)) + np.log(lengths)[:, np.newaxis]
    erased = Erasure.fit(X, np.log(lengths))(X)
    assert abs(np.corrcoef(erased[:, 0], np.log(lengths))[0, 1]) < 1e-12
    assert abs(np.corrcoef(X[:, 0], np.log(lengths))[0, 1]) > 0.5


def test_what_is_not_the_concept_is_kept() -> None:
    random = np.random.default_rng(0)
    label, cue = random.integers(0, 2, (2, 4000))
    X = random.normal(size=(4000, 8))
    X[:, 0] += 2 * label
    X[:, 1] += 2 * cue
    erased = Erasure.fit(X[:2000], cue[:2000])(X)
    assert np.corrcoef(erased[:, 0], X[:, 0])[0, 1] > 0.99
    assert roc_auc_score(cue[2000:], erased[2000:, 1]) < 0.55
    assert roc_auc_score(cue[2000:], X[2000:, 1]) > 0.85


def test_shrinkage_keeps_more_with_few_rows() -> None:
    random = np.random.default_rng(0)
    X, Z = random.normal(size=(2, 80, 60)), random.integers(0, 2, 80)
    moved = [
        np.linalg.norm(Erasure.fit(X[0], Z, shrink=shrink)(X[1]) - X[1]) for shrink in (True, False)
    ]
    assert moved[0] < 0.5 * moved[1]


def test_constant_concepts_erase_nothing_and_types_are_kept() -> None:
    X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    erasure = Erasure.fit(X, np.ones((20, 2)))
    assert erasure.rank == 0
    np.testing.assert_array_equal(erasure(X), X)
    assert erasure(X).dtype == np.float32


@pytest.mark.parametrize(
    ("X", "Z", "part"),
    [
        (np.ones(3), np.ones(3), "X has shape"),
        (np.ones((1, 2)), np.ones(1), "at least 2 rows"),
        (np.ones((3, 2)), np.ones(2), "Z has shape"),
        (np.full((3, 2), np.nan), np.ones(3), "X is not finite in row 0 \\(and 2 more\\)"),
        (np.ones((3, 2)), [0, np.inf, 1], "Z is not finite in row 1"),
    ],
)
def test_what_is_refused(X, Z, part) -> None:
    with pytest.raises(InputError, match=part):
        Erasure.fit(X, Z)
    with pytest.raises(InputError, match="X has shape"):
        Erasure.fit(np.eye(3), [0, 1, 1])(np.ones((3, 2)))
