import pyarrow as pa
import pytest

from w2sprobe.errors import InputError, UnknownName
from w2sprobe.votes.scores import COLUMNS
from w2sprobe.votes.selection import Selection, ceilings, choose, is_at_edge, select


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


def test_rules_choose_by_weak_labels_and_have_a_regret() -> None:
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


def test_true_labels_choose_if_there_is_a_budget() -> None:
    budget = [
        row(1, "knn", 5, "budget", auc_truth=0.6),
        row(1, "knn", 9, "budget", auc_truth=0.8),
    ]
    found = chosen([*ROWS[:4], *budget])
    assert found["true_labels", "knn"] == (1, "knn", 9.0, 0.8, 0.9, 0.9)
    assert not any(among == "any" for _, among in found), "one probe is all there is"


def test_a_selection_counts_its_folds() -> None:
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


def test_tables_of_old_versions_without_fold_counts() -> None:
    old = [name for name in COLUMNS.names if not name.startswith("n_folds")]
    selections = select(pa.Table.from_pylist(ROWS, schema=COLUMNS).select(old))
    assert {s.n_folds for s in selections} == {None}
    assert [(s.rule, s.value) for s in selections] == [
        (s.rule, s.value) for s in select(pa.Table.from_pylist(ROWS, schema=COLUMNS))
    ]


def test_without_test_rows_the_training_rows_are_scored() -> None:
    assert chosen(ROWS[::2])["weak_log_loss", "any"][-2:] == (0.1, 0.99)


def test_without_a_finite_criterion_nothing_is_selected() -> None:
    rows = [row(1, "knn", 5, "cross_fit", log_loss_weak=float("inf"))]
    assert chosen(rows) == {}


def sweep(*points: tuple[str, float, float], fitted_on: str = "weak") -> pa.Table:
    """Points of one layer: probe, value, and what every rule looks at."""
    rows = [
        row(1, probe, value, evaluation, auc_weak=auc, auc_truth=auc, log_loss_weak=1 - auc)
        for probe, value, auc in points
        for evaluation in ("cross_fit", "test")
    ]
    return pa.Table.from_pylist([{**one, "fitted_on": fitted_on} for one in rows], schema=COLUMNS)


@pytest.mark.parametrize(
    ("setting", "value", "tried", "edge"),
    [
        ("k", 5, (5, 10, 20), True),
        ("k", 10, (5, 10, 20), False),
        ("k", 20, (5, 10, 20), True),
        ("k", 1, (1, 10, 20), False),  # there is no smaller number of neighbours
        ("l2", 1, (1, 10, 100), True),
        ("k", 5, (5,), False),
        ("seed", 2, (0, 1, 2), False),
        (None, None, (None,), False),
    ],
)
def test_edges_of_a_grid(
    setting: str | None, value: float | None, tried: tuple, edge: bool
) -> None:
    assert is_at_edge(setting, value, tried) == edge


def test_points_at_an_edge_are_marked() -> None:
    table = sweep(("knn", 5, 0.6), ("knn", 10, 0.7), ("knn", 20, 0.8), ("logistic", 0.1, 0.9))
    marks = {(s.rule, s.among): (s.at_edge, s.best_at_edge) for s in select(table)}
    assert marks["weak_auc", "knn"] == (True, True)
    assert marks["weak_auc", "logistic"] == (False, False), "only one value was tried"
    inside = sweep(("knn", 5, 0.6), ("knn", 10, 0.9), ("knn", 20, 0.8))
    assert not any(s.at_edge or s.best_at_edge for s in select(inside))
    assert choose(table, "knn").at_edge
    assert not choose(inside, "knn").at_edge
    on_truth = sweep(("knn", 5, 0.6), ("knn", 10, 0.9), ("knn", 20, 0.95), fitted_on="truth")
    assert [(one["evaluation"], one["value"], one["at_edge"]) for one in ceilings(on_truth)] == [
        ("cross_fit", 20, True),
        ("test", 20, True),
    ]


def test_selections_of_old_versions_without_edge_marks() -> None:
    (old, *_) = select(sweep(("knn", 5, 0.6)))
    fields = {n: v for n, v in vars(old).items() if n not in ("at_edge", "best_at_edge")}
    assert Selection(**fields) == old


def test_every_probe_has_a_choice() -> None:
    table = sweep(("knn", 5, 0.6), ("knn", 9, 0.7), ("logistic", 0.1, 0.9), ("logistic", 1, 0.8))
    for probe in ("knn", "topofilter"):
        assert (choose(table, probe).setting, choose(table, probe).value) == ("k", 9)
    for probe in ("logistic", "mass-mean", "head-log-confidence"):
        assert (choose(table, probe).setting, choose(table, probe).value) == ("l2", 0.1)
    assert choose(table, "knn", "weak_auc").criterion == 0.7
    assert choose(table, "knn").criterion == pytest.approx(0.3)
    alone = sweep(("knn", 5, 0.6), ("knn", 9, 0.7))
    with pytest.raises(InputError, match="nothing to choose from for mass-mean"):
        choose(alone, "mass-mean")


def test_a_choice_has_not_seen_the_truth() -> None:
    with pytest.raises(UnknownName, match="unknown rule 'true_labels'"):
        choose(sweep(("knn", 5, 0.6)), "knn", "true_labels")
    rows = [row(1, "knn", 5, "cross_fit", log_loss_weak=float("inf"))]
    with pytest.raises(InputError, match="weak_log_loss has no number for any setting of knn"):
        choose(pa.Table.from_pylist(rows, schema=COLUMNS), "knn")
