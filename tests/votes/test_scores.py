import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.probing.cases import GROUPS, IDS, TRAIN
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import auc_inside_folds
from w2sprobe.probes import knn_cross_fit, knn_path, logistic_cross_fit_path
from w2sprobe.votes.scores import ScoredRows, draw_budget, score_votes
from w2sprobe.votes.table import FittedProbe, LayerVotes

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
        logistic, _, _ = logistic_cross_fit_path(X, y, l2s=L2S)
        by_folds, one_out = knn_cross_fit(X, y, ks=KS), knn_path(X, y, ks=KS)
        for vector, soft in enumerate(y):
            together = ScoredRows(soft, None)
            inside = together.inside(folds)
            for probe, values, rule, rows, scores in (
                ("logistic", L2S, "inside folds", inside, logistic[vector]),
                ("logistic", L2S, "together", together, logistic[vector]),
                ("knn", KS, "inside folds", inside, by_folds[vector]),
                ("knn", KS, "together", together, one_out[vector]),
            ):
                for value, one in zip(values, rows.score(scores), strict=True):
                    found.setdefault((probe, value, rule), []).append(one["auc_weak"])
    return {place: np.array(values) for place, values in found.items()}


def errors_off(values: np.ndarray) -> float:
    return float((values.mean() - 0.5) / (values.std(ddof=1) / len(values) ** 0.5))


@pytest.mark.parametrize(
    ("probe", "value"), [("logistic", 1e-3), ("logistic", 10.0), ("knn", 10), ("knn", 60)]
)
def test_the_auc_of_noise_is_one_half_inside_folds(
    aucs: dict[tuple[str, float, str], np.ndarray], probe: str, value: float
) -> None:
    assert abs(errors_off(aucs[probe, value, "inside folds"])) < 4


@pytest.mark.parametrize(("probe", "value"), [("logistic", 10.0), ("knn", 60)])
def test_the_auc_of_noise_is_lower_if_all_rows_are_ranked_together(
    aucs: dict[tuple[str, float, str], np.ndarray], probe: str, value: float
) -> None:
    """So that the test above can fail; what `leave_one_out` is said to do."""
    assert errors_off(aucs[probe, value, "together"]) < -8


A, B = FittedProbe("knn", "k", 5.0, "weak"), FittedProbe("logistic", "l2", 0.1, "weak")
OTHER, MASK = FittedProbe("knn", "k", 5.0, "someone's"), FittedProbe("topofilter", "k", 5.0, "weak")
NAMES = np.array([f"r{row}" for row in range(40)])
RANDOM = np.random.default_rng(3)
SOFT, TRUE = RANDOM.random(40), np.arange(40) % 2


def votes(**changes: object) -> LayerVotes:
    """Predictions at random: kNN left out single rows, logistic regression folds."""
    rows = {"train": NAMES[:20], "leave_one_out": NAMES[:20], "in_sample": NAMES[:20]}
    rows |= {"filtered_out": NAMES[20:22], "test": NAMES[22:30], "unlabelled": NAMES[30:]}
    kept = {"train": (B,), "leave_one_out": (A, OTHER, MASK), "in_sample": (A, B)}
    p = {
        (vote, split): np.random.default_rng(len(split)).random(len(ids)).round(1)
        for split, ids in rows.items()
        for vote in kept.get(split, (A, B))
    }
    return LayerVotes(3, rows, folds_of(20, 2), p | changes)


def test_rows_with_labels_are_scored() -> None:
    weak, truth = LabelTable(NAMES[:20], SOFT[:20]), LabelTable(NAMES[:30], TRUE[:30])
    table = score_votes([votes()], weak, truth, fitted_on={"weak": "weak"})
    found = {(row["probe"], row["evaluation"]): row for row in table.to_pylist()}
    scored = ("cross_fit", "in_sample", "test")
    assert set(found) == {(probe, rows) for probe in ("knn", "logistic") for rows in scored}
    for (probe, rows), row in found.items():
        split = {"test": "test", "in_sample": "in_sample"}.get(
            rows, "leave_one_out" if probe == "knn" else "train"
        )
        ids, p = votes().rows[split], votes().of(A if probe == "knn" else B, split)
        inside = votes().fold if split == "train" else None
        expected = auc_inside_folds(truth.align(ids).hard_label, p, inside)
        assert (row["layer"], row["n_rows"], row["n_distinct"]) == (3, len(p), len(set(p)))
        assert row["auc_truth"] == expected.auc
        assert row["n_folds_truth"] == (expected.n_folds if split == "train" else None)
        assert (row["log_loss_weak"] is None) == (row["auc_weak"] is None) == (rows == "test")


def test_filtered_rows_are_not_scored_and_the_budget_is_scored_apart() -> None:
    keep = np.arange(20) != 4
    weak, truth = LabelTable(NAMES[:20], SOFT[:20], keep), LabelTable(NAMES, TRUE)
    table = score_votes(
        [votes(), votes()], weak, truth, fitted_on={"weak": "weak"}, budget=NAMES[:6]
    )
    counts = {row["evaluation"]: row["n_rows"] for row in table.to_pylist()}
    assert counts == {"cross_fit": 14, "budget": 5, "in_sample": 19, "test": 8, "unlabelled": 10}
    first, second = table.slice(0, len(table) // 2), table.slice(len(table) // 2)
    assert first.equals(second)


def test_layers_may_have_rows_in_another_order() -> None:
    weak, truth = LabelTable(NAMES, SOFT), LabelTable(NAMES, TRUE)
    turned = votes()
    rows = {split: ids[::-1] for split, ids in turned.rows.items()}
    other = LayerVotes(4, rows, turned.fold[::-1], turned.p)
    together = score_votes([votes(), other], weak, truth, fitted_on={"weak": "weak"})
    alone = score_votes([other], weak, truth, fitted_on={"weak": "weak"})
    assert together.slice(len(alone)).equals(alone)
    assert (
        not together.slice(0, len(alone)).drop_columns("layer").equals(alone.drop_columns("layer"))
    )


def budget_of(n: int, order: np.ndarray, groups: np.ndarray | None) -> set[str]:
    grouped = None if groups is None else groups[order]
    return set(draw_budget(IDS[:TRAIN][order], grouped, n).tolist())


@given(st.integers(8, 40), st.permutations(range(TRAIN)), st.booleans())
def test_a_budget_depends_on_ids_alone_and_splits_no_group(
    n: int, order: list[int], grouped: bool
) -> None:
    groups = GROUPS if grouped else None
    chosen = budget_of(n, np.array(order), groups)
    assert chosen == budget_of(n, np.arange(TRAIN), groups)
    assert len(chosen) == (n - n % 2 if grouped else n)
    if grouped:
        of = dict(zip(IDS.tolist(), GROUPS.tolist(), strict=False))
        inside = {of[name] for name in chosen}
        assert chosen == {name for name, group in of.items() if group in inside}


def test_larger_budgets_contain_smaller_ones() -> None:
    order = np.arange(TRAIN)
    assert budget_of(10, order, None) < budget_of(20, order, None)
