"""Probes against arrays that the source experiments' code gave (see README.md)."""

from pathlib import Path

import numpy as np
import pytest

from w2sprobe.metrics import roc_auc
from w2sprobe.probes import KNNProbe, LogisticProbe, TopoFilter, knn_path

GOLDEN = dict(np.load(Path(__file__).parent / "visible.npz"))
X, Q, K = GOLDEN["X"], GOLDEN["X_eval"], int(GOLDEN["k"])
SOFT = GOLDEN["soft"].astype(np.float64)
LABELS = {"soft": SOFT, "hard": (SOFT > 0.5).astype(np.float64)}


def topofilter(y: np.ndarray) -> TopoFilter:
    return TopoFilter(k_cc=K, k_zeta=K, contamination=0.1, graph="strong").fit(X, y)


def test_knn_of_new_rows() -> None:
    votes = knn_path(X, SOFT, Q, ks=[K])[0]
    np.testing.assert_allclose(votes, GOLDEN["knn_eval"], atol=1e-6)


def test_knn_of_its_own_rows_self_included() -> None:
    votes = KNNProbe(K).fit(X, SOFT).predict_train_proba(include_self=True)[:, 1]
    np.testing.assert_allclose(votes, GOLDEN["knn_train_self_included"], atol=1e-6)
    alone = KNNProbe(K).fit(X, SOFT).predict_train_proba()[:, 1]
    assert np.abs(alone - GOLDEN["knn_train_self_included"]).max() > 1e-3


def test_the_filter_on_those_votes() -> None:
    votes = knn_path(X, SOFT, ks=[K], include_self=True)[0]
    kept = np.sort(np.argsort(np.abs(votes - SOFT), kind="stable")[:810])
    np.testing.assert_array_equal(kept, np.sort(GOLDEN["knn_filter_keep_10pct"]))


@pytest.mark.parametrize("l2", ["0.001", "0.01", "0.1"])
def test_logistic(l2: str) -> None:
    probe = LogisticProbe(l2=float(l2)).fit(X, SOFT)
    margin = X.astype(np.float64) @ probe.coef_ + probe.intercept_
    loss = np.mean(np.logaddexp(0, margin) - SOFT * margin)
    objective = loss + float(l2) * probe.coef_ @ probe.coef_
    assert objective <= GOLDEN[f"logistic_objective_{l2}"] + 1e-6
    difference = np.abs(probe.predict_proba(Q)[:, 1] - GOLDEN[f"logistic_eval_{l2}"])
    assert np.median(difference) <= 0.03
    assert difference.max() <= 0.1


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_topofilter_component(kind: str) -> None:
    found = topofilter(LABELS[kind]).component_mask_
    np.testing.assert_array_equal(found, GOLDEN[f"topocc_mask_{kind}"])


def test_topofilter_with_soft_labels() -> None:
    kept = np.flatnonzero(topofilter(SOFT).keep_mask_)
    np.testing.assert_array_equal(kept, np.sort(GOLDEN["topofilter_keep_soft"]))


def test_topofilter_with_hard_labels_up_to_ties() -> None:
    ours = topofilter(LABELS["hard"])
    theirs = GOLDEN["topofilter_keep_hard"]
    assert ours.keep_mask_.sum() == len(theirs)
    inside = np.flatnonzero(ours.component_mask_)
    votes = KNNProbe(K).fit(X[inside], LABELS["hard"][inside]).predict_train_proba()[:, 1]
    difference = np.full(len(X), np.nan)
    difference[inside] = np.abs(votes - LABELS["hard"][inside])
    # rows on which the two differ all sit at the cut
    differ = np.setxor1d(np.flatnonzero(ours.keep_mask_), theirs)
    np.testing.assert_allclose(difference[differ], ours.zeta_, atol=1e-6)


def test_auc_differs_only_by_ties() -> None:
    assert roc_auc(GOLDEN["y"], SOFT) == pytest.approx(float(GOLDEN["auc"]), abs=2e-3)
