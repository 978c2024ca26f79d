import numpy as np
import pytest

from w2sprobe.folds import folds_of
from w2sprobe.probes import knn_cross_fit, knn_path, logistic_cross_fit_path
from w2sprobe.sweeps.scores import ScoredRows

N, MATRICES, VECTORS = 100, 10, 30
KS, L2S = (10, 60), (1e-3, 10.0)


@pytest.fixture(scope="module")
def aucs() -> dict[tuple[str, float, str], np.ndarray]:
    """AUCs of noise by probe, setting and rule: 300 draws, a number that was fixed in advance."""
    random, folds = np.random.default_rng(5), folds_of(N, 5)
    found: dict[tuple[str, float, str], list[float]] = {}
    for _ in range(MATRICES):
        X = random.normal(size=(N, 8)).astype(np.float32)
        y = np.stack([random.permutation(np.arange(N) % 2) for _ in range(VECTORS)]).astype(float)
        cross_fitted, _, _ = logistic_cross_fit_path(X, y, l2s=L2S)
        for soft, p in zip(y, cross_fitted, strict=True):
            together = ScoredRows(soft, None)
            inside = together.inside(folds)
            for probe, values, rule, rows, scores in (
                ("logistic", L2S, "inside folds", inside, p),
                ("logistic", L2S, "together", together, p),
                ("knn", KS, "inside folds", inside, knn_cross_fit(X, soft, ks=KS)),
                ("knn", KS, "together", together, knn_path(X, soft, ks=KS)),
            ):
                for value, one in zip(values, scores, strict=True):
                    auc = rows.score(one)["auc_weak"]
                    found.setdefault((probe, value, rule), []).append(auc)
    return {place: np.array(values) for place, values in found.items()}


def errors_off(values: np.ndarray) -> float:
    return float((values.mean() - 0.5) / (values.std(ddof=1) / len(values) ** 0.5))


@pytest.mark.parametrize(
    ("probe", "value"), [("logistic", 1e-3), ("logistic", 10.0), ("knn", 10), ("knn", 60)]
)
def test_noise_is_worth_one_half_inside_folds(
    aucs: dict[tuple[str, float, str], np.ndarray], probe: str, value: float
) -> None:
    assert abs(errors_off(aucs[probe, value, "inside folds"])) < 4


@pytest.mark.parametrize(("probe", "value"), [("logistic", 10.0), ("knn", 60)])
def test_noise_is_worth_less_where_all_rows_are_ranked_together(
    aucs: dict[tuple[str, float, str], np.ndarray], probe: str, value: float
) -> None:
    """So that the test above can fail; what `leave_one_out` is said to do."""
    assert errors_off(aucs[probe, value, "together"]) < -8
