"""Tests of the methods of one task."""

from scipy import stats

from tests.reporting.report.cases import DF, EARLIER, estimate, row, rows
from w2sprobe.comparison import Analysis
from w2sprobe.reporting.report.tables import method_tests_table
from w2sprobe.reporting.table import Table

OTHERS = [
    row("knn_probe", 0.84),
    row("topofilter", 0.81),
    row("student_logconf", 0.76),
    # p = .04 by itself, after Holm for 4 methods not significant
    row("knn_filter", 0.8 + 0.01 * stats.t.isf(0.02, DF)),
    row("random_filter", 0.70),
    row("logistic_probe_on_truth", 0.95),
    row("zero_shot", 0.6),
]


def results(table: Table) -> dict[tuple[str, str], str]:
    """Result by method and control."""
    return {(line.cells[0].text, line.cells[1].text): line.cells[-1].text for line in table.rows}


def test_methods_are_one_family_and_controls_are_not_tested() -> None:
    table = method_tests_table([*rows(0.85), *OTHERS], Analysis())
    assert results(table) == {
        ("knn_probe", "weak model"): "better",
        ("topofilter", "weak model"): "undecided",
        ("student_logconf", "weak model"): "worse",
        ("knn_filter", "weak model"): "undecided",
    }
    assert table.rows[0].cells[2].text == "+0.040 [+0.020, +0.060]"
    assert table.rows[3].cells[3].text == "0.040 (0.080)"


def test_a_declared_family_and_defined_controls_are_respected() -> None:
    declared = method_tests_table([*rows(0.85), *OTHERS], Analysis(family=("knn_filter",)))
    assert results(declared) == {("knn_filter", "weak model"): "better"}
    own = {"mine": {"labels": "truth"}}
    assert not method_tests_table([*rows(0.85), row("mine", 0.9)], Analysis(), defined=own).rows
    assert not method_tests_table([*rows(0.85), row("x", 0.9, **EARLIER)], Analysis()).rows


def test_filters_are_compared_with_a_random_filter_of_their_size() -> None:
    others = [row(name, 0.81) for name in ("knn_filter", "topofilter", "deep_knn_filter")]
    filters = {"knn_filter": estimate(0.04), "topofilter": estimate(0.01), "deep_knn_filter": None}
    table = method_tests_table([*rows(0.85), *others], Analysis(), filters=filters)
    control = "random filter of the same size"
    assert {key: said for key, said in results(table).items() if key[1] == control} == {
        ("knn_filter", control): "better",
        ("topofilter", control): "undecided",
    }
