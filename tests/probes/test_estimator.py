"""The probes as scikit-learn estimators."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from tests.probes.cases import problem
from w2sprobe.errors import InputError
from w2sprobe.probes import KNNProbe, LogisticProbe, MassMeanProbe, TopoFilter

PROBES = [
    KNNProbe(3),
    LogisticProbe(),
    LogisticProbe("auto"),
    MassMeanProbe(),
    MassMeanProbe(whiten=True),
]
FILTER = TopoFilter(3, 3)
ids = pytest.mark.parametrize("probe", PROBES, ids=repr)

OTHER_LABELS = "labels are P(label = 1): only numbers in [0, 1]"
TWO_CLASSES_ONLY = {
    "check_estimators_dtypes": OTHER_LABELS,  # five classes
    "check_fit2d_1feature": OTHER_LABELS,  # 1 and 2
}
EXPECTED = {
    **TWO_CLASSES_ONLY,
    "check_classifier_data_not_an_array": OTHER_LABELS,  # 1 and 2
    "check_classifiers_classes": OTHER_LABELS,  # strings
}

X, SOFT = problem(60, 4, 0)
Q = problem(13, 4, 1)[0]
HARD = ((X - X.mean(axis=0)).sum(axis=1) > 0).astype(np.int64)


@pytest.mark.parametrize("probe", [*PROBES, FILTER], ids=repr)
def test_scikit_learns_checks(probe) -> None:
    expected = TWO_CLASSES_ONLY if probe is FILTER else EXPECTED
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks look for those that they want
        results = check_estimator(
            clone(probe), expected_failed_checks=expected, on_skip=None, on_fail=None
        )
    found: dict[str, set[str]] = {}
    for result in results:
        found.setdefault(result["status"], set()).add(result["check_name"])
    assert found.get("failed", set()) == set()
    assert found["xfail"] == set(expected)
    assert len(found["passed"]) > 30
    errors = [result["exception"] for result in results if result["status"] == "xfail"]
    assert all("Allowed: 0 to 1" in str(error) for error in errors)  # for the reason that is given


@pytest.mark.parametrize("probe", [*PROBES, FILTER], ids=repr)
def test_a_clone_has_the_settings_and_not_the_fit(probe) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        fitted = clone(probe).fit(X, SOFT)
    other = clone(fitted)
    assert repr(other) == repr(probe)
    assert not [name for name in vars(other) if name.endswith("_")]


@ids
def test_fitting_changes_neither_rows_nor_settings(probe) -> None:
    rows, labels, own = X.copy(), SOFT.copy(), clone(probe)
    before = own.get_params()
    own.fit(rows, labels).predict_proba(Q)
    np.testing.assert_array_equal(rows, X)
    np.testing.assert_array_equal(labels, SOFT)
    assert own.get_params() == before


@ids
def test_labels_may_be_hard_or_soft(probe) -> None:
    expected = clone(probe).fit(X, HARD).predict_proba(Q)
    for labels in (HARD.astype(bool), HARD.astype(np.float32), HARD.tolist()):
        np.testing.assert_array_equal(clone(probe).fit(X, labels).predict_proba(Q), expected)
    both = clone(probe).fit(X, SOFT).predict_proba(Q)
    np.testing.assert_allclose(both.sum(axis=1), 1)
    assert both.dtype == np.float64
    assert ((both >= 0) & (both <= 1)).all()
    assert np.abs(both - expected).max() > 1e-3


@ids
def test_a_pipeline_may_scale_first(probe) -> None:
    pipe = make_pipeline(StandardScaler(), clone(probe)).fit(X, SOFT)
    inside = clone(probe).set_params(preprocess="standardize").fit(X, SOFT)
    np.testing.assert_allclose(pipe.predict_proba(Q), inside.predict_proba(Q), atol=1e-4)


@ids
def test_cross_val_predict(probe) -> None:
    out_of_fold = cross_val_predict(clone(probe), X, HARD, cv=3, method="predict_proba")
    assert out_of_fold.shape == (60, 2)
    assert ((out_of_fold[:, 1] > 0.5) == HARD).mean() > 0.75  # chance: 0.5
    assert cross_val_score(clone(probe), X, HARD, cv=3, scoring="roc_auc").mean() > 0.75


GRIDS = [
    (KNNProbe(), {"n_neighbors": [1, 5], "preprocess": ["none", "standardize"]}),
    (LogisticProbe(), {"l2": [1e-3, 1e-1, "auto"]}),
    (MassMeanProbe(), {"whiten": [False, True]}),
]


@pytest.mark.parametrize(("probe", "grid"), GRIDS, ids=["knn", "logistic", "mass-mean"])
def test_a_grid_search(probe, grid: dict) -> None:
    hard = GridSearchCV(probe, grid, scoring="roc_auc", cv=3, error_score="raise").fit(X, HARD)
    assert hard.best_score_ > 0.75
    soft = GridSearchCV(probe, grid, cv=3, error_score="raise").fit(X, SOFT)
    assert 0 <= soft.best_score_ <= 1
    assert hasattr(soft.best_estimator_, "classes_")


@ids
def test_score_is_accuracy_on_hard_labels(probe) -> None:
    own = clone(probe).fit(X, SOFT)
    agree = own.predict(X) == (SOFT > 0.5)
    assert own.score(X, SOFT) == pytest.approx(agree.mean())
    assert own.score(X, 1 - SOFT) == pytest.approx(1 - agree.mean())
    weight = np.arange(60)
    assert own.score(X, SOFT, weight) == pytest.approx(np.average(agree, weights=weight))


@ids
def test_a_fit_that_fails_leaves_no_fit(probe) -> None:
    own = clone(probe)
    bad = {"n_neighbors": 1000} if isinstance(probe, KNNProbe) else {"preprocess": "whiten"}
    own.set_params(**bad)
    with pytest.raises(InputError):
        own.fit(X, SOFT)
    with pytest.raises(InputError, match="not fitted"):
        own.predict_proba(X)


@ids
def test_a_fit_that_fails_is_not_mixed_with_the_one_before(probe) -> None:
    own = clone(probe).fit(X, SOFT)
    with pytest.raises(InputError):
        own.fit(X[:, :2], SOFT + 1)
    with pytest.raises(InputError):  # of the width of neither a fit nor a forgotten one
        own.predict_proba(Q[:, :2])


@ids
def test_a_column_of_labels_is_taken_with_a_warning(probe) -> None:
    from sklearn.exceptions import DataConversionWarning

    with pytest.warns(DataConversionWarning):
        column = clone(probe).fit(X, SOFT[:, None])
    expected = clone(probe).fit(X, SOFT).predict_proba(Q)
    np.testing.assert_array_equal(column.predict_proba(Q), expected)
