from dataclasses import replace

import pytest

from tests.votes.test_selection import sweep
from w2sprobe.reporting.sweeps import EDGE, account_table, selection_table, sweep_notes
from w2sprobe.reporting.table import Table
from w2sprobe.votes.selection import select


def cells(table: Table) -> list[list[str]]:
    return [[cell.text for cell in one.cells] for one in table.rows]


def test_what_is_chosen_and_what_it_costs() -> None:
    (one, *_) = select(sweep(("knn", 5, 0.6), ("knn", 10, 0.7), ("knn", 20, 0.65)))
    table = selection_table([one], {"fitted": 20, "filtered_out": 1})
    point = "knn, layer 1, k=10"
    scores = ("0.700", "0.700 @test", "-")
    assert cells(table) == [["weak auc", "knn", point, *scores, point, "0.700", "0.000"]]
    assert "Rows: fitted 20, filtered out 1." in table.note
    assert EDGE.capitalize() not in table.note
    edge = selection_table([replace(one, at_edge=True)], {})
    assert cells(edge)[0][2] == "knn, layer 1, k=10 (edge)"
    assert EDGE.capitalize() in edge.note
    unknown = replace(one, auc=None, best_probe=None, best_value=None, best_auc=None, regret=None)
    assert cells(selection_table([unknown], {}))[0][4:] == ["-", "-", "-", "-", "-"]


def test_what_else_is_said() -> None:
    on_truth = sweep(("knn", 5, 0.6), ("knn", 10, 0.9999), fitted_on="truth")
    rows = [
        {**one, "saturated": one["auc_truth"] > 0.999, "n_folds_truth": 3}
        for one in on_truth.to_pylist()
    ]
    notes = list(sweep_notes(on_truth.from_pylist(rows, schema=on_truth.schema), cv=5))
    assert notes[0] == "fitted on truth, best on cross_fit: 1.000, knn, layer 1, k=10 (edge)"
    assert (
        "cross_fit: AUCs are means over 3 of 5 folds; in the others all rows are of one class"
        in notes
    )
    assert notes[-1] == "2 held-out AUCs are .999 or more: is the label in the text?"


@pytest.mark.parametrize("auc", [0.5, None])
def test_nested_scores_are_columns(auc: float | None) -> None:
    results = [
        {"layer": 3, "k": 5.0, "auc": {"test": {"truth": auc}}, "overlap": {"1": 0.5}},
        {"layer": 3, "k": 9.0, "auc": {}, "at_edge": True},
    ]
    table = account_table("knn predict", results)
    assert [column.title for column in table.columns] == ["layer", "k", "auc test truth", "at edge"]
    shown = "-" if auc is None else "0.500"
    assert cells(table) == [["3", "5", shown, "-"], ["3", "9", "-", "yes"]]
