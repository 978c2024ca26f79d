import pyarrow as pa
import pytest

from w2sprobe.sweeps import select
from w2sprobe.sweeps.layer import COLUMNS


def row(layer: int, probe: str, value: float, evaluation: str, **scores: object) -> dict:
    return {
        "layer": layer,
        "probe": probe,
        "setting": "k" if probe == "knn" else "l2",
        "value": value,
        "fitted_on": "weak",
        "evaluation": evaluation,
        "n_rows": 10,
        **scores,
    }


ROWS = [
    row(1, "knn", 5, "cross_fit", auc_weak=0.8, log_loss_weak=0.6, auc_truth=0.99),
    row(1, "knn", 5, "test", auc_truth=0.7, delta_auc_truth=-0.1, auc_weak=0.1),
    row(1, "knn", 9, "cross_fit", auc_weak=0.7, log_loss_weak=float("inf"), auc_truth=0.1),
    row(1, "knn", 9, "test", auc_truth=0.9, delta_auc_truth=0.1, auc_weak=0.99),
    row(2, "logistic", 0.1, "cross_fit", auc_weak=0.8, log_loss_weak=0.5, auc_truth=0.1),
    row(2, "logistic", 0.1, "test", auc_truth=0.8, delta_auc_truth=0.0),
    row(2, "logistic", 0.1, "in_sample", auc_weak=1.0, log_loss_weak=0.0, auc_truth=1.0),
    {
        **row(2, "logistic", 0.1, "test", auc_truth=1.0, auc_weak=1.0),
        "fitted_on": "truth",
    },
]


def chosen(rows: list[dict]) -> dict[tuple[str, str], tuple]:
    selections = select(pa.Table.from_pylist(rows, schema=COLUMNS))
    return {
        (s.rule, s.among): (s.layer, s.probe, s.value, s.criterion, s.auc, s.best_auc)
        for s in selections
    }


def test_rules_choose_by_weak_labels_and_are_told_their_regret() -> None:
    assert chosen(ROWS) == {
        ("weak_auc", "knn"): (1, "knn", 5.0, 0.8, 0.7, 0.9),
        ("weak_auc", "logistic"): (2, "logistic", 0.1, 0.8, 0.8, 0.8),
        ("weak_auc", "any"): (1, "knn", 5.0, 0.8, 0.7, 0.9),  # a tie: the first
        ("weak_log_loss", "knn"): (1, "knn", 5.0, 0.6, 0.7, 0.9),
        ("weak_log_loss", "logistic"): (2, "logistic", 0.1, 0.5, 0.8, 0.8),
        ("weak_log_loss", "any"): (2, "logistic", 0.1, 0.5, 0.8, 0.9),
    }
    first, *_ = select(pa.Table.from_pylist(ROWS, schema=COLUMNS))
    assert (first.scored_on, first.delta_auc, first.n_true_labels) == ("test", -0.1, 0)
    assert (first.best_layer, first.best_setting, first.best_value) == (1, "k", 9)
    assert first.regret == pytest.approx(0.2)


def test_true_labels_choose_where_there_are_some() -> None:
    budget = [
        row(1, "knn", 5, "budget", auc_truth=0.6),
        row(1, "knn", 9, "budget", auc_truth=0.8),
    ]
    found = chosen([*ROWS[:4], *budget])
    assert found["true_labels", "knn"] == (1, "knn", 9.0, 0.8, 0.9, 0.9)
    assert not any(among == "any" for _, among in found), "one probe is all there is"


def test_a_choice_says_inside_how_many_folds_it_was_made() -> None:
    rows = [
        row(1, "knn", 5, "cross_fit", auc_weak=0.8, log_loss_weak=0.6, n_folds_weak=4),
        row(1, "knn", 5, "budget", auc_truth=0.9, n_folds_truth=2, n_folds_weak=1),
    ]
    selections = select(pa.Table.from_pylist(rows, schema=COLUMNS))
    assert {s.rule: s.n_folds for s in selections} == {
        "weak_auc": 4,
        "weak_log_loss": None,
        "true_labels": 2,
    }


def test_a_table_from_before_folds_were_counted() -> None:
    old = [name for name in COLUMNS.names if not name.startswith("n_folds")]
    selections = select(pa.Table.from_pylist(ROWS, schema=COLUMNS).select(old))
    assert {s.n_folds for s in selections} == {None}
    assert [(s.rule, s.value) for s in selections] == [
        (s.rule, s.value) for s in select(pa.Table.from_pylist(ROWS, schema=COLUMNS))
    ]


def test_without_test_rows_the_training_rows_are_scored() -> None:
    assert chosen(ROWS[::2])["weak_log_loss", "any"][-2:] == (0.1, 0.99)


def test_no_number_no_choice() -> None:
    rows = [row(1, "knn", 5, "cross_fit", log_loss_weak=float("inf"))]
    assert chosen(rows) == {}
