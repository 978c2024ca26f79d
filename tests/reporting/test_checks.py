from w2sprobe.metrics import Rate, RateChange
from w2sprobe.probing.check import ProbeCheck, RowChanges
from w2sprobe.reporting.checks import check_lines, check_table

RATE = RateChange(Rate(0.8, (0.7, 0.9), 50), Rate(0.6, (0.5, 0.7), 50), -0.2, (-0.3, -0.1))
CHECK = ProbeCheck(
    verdict="threshold stale",
    reasons=("AUC fine", "recall 0.600 left 0.700 to 0.900"),
    tolerance=0.02,
    differences={"computed_in": ("float32", None)},
    n_rows=100,
    n_ones=50,
    left_out={"not in the store": 3},
    auc_saved=0.9,
    auc_saved_interval=(0.85, 0.94),
    auc_new=0.89,
    auc_new_interval=None,
    auc_change=-0.01,
    auc_change_interval=(-0.015, -0.005),
    threshold=0.625,
    recall=RATE,
    fpr=RATE,
    rows=RowChanges(0.01, 0.2, "row-7", 1),
)


def test_the_table_has_saved_and_new_numbers() -> None:
    table = check_table(CHECK.to_dict())
    shown = [[cell.text for cell in row.cells] for row in table.rows]
    assert shown[0] == ["AUC", "0.900 [0.850, 0.940]", "0.890", "-0.010 [-0.015, -0.005]"]
    assert shown[1][:3] == ["recall at p > 0.625", "0.800 [0.700, 0.900]", "0.600 [0.500, 0.700]"]
    assert [row[0] for row in shown[2:]] == ["false-positive rate at p > 0.625"]
    assert "the same rows" in table.note


def test_without_threshold_and_of_other_rows() -> None:
    bare = {**CHECK.to_dict(), "recall": None, "fpr": None, "threshold": None, "rows": None}
    table = check_table(bare)
    assert len(table.rows) == 1
    assert "of other rows" in table.note
    assert not [line for line in check_lines(bare) if "moved" in line]


def test_the_sentences() -> None:
    lines = [*check_lines(CHECK.to_dict())]
    assert lines[0] == "100 rows, 50 of class 1; left out: 3 not in the store"
    assert "at most by 0.2 (row row-7); 1 row crossed the threshold" in lines[1]
    assert lines[2] == "differs: computed_in float32 -> unknown"
    assert lines[3].startswith("threshold stale: AUC fine; recall 0.600 left")
    same = [*check_lines({**CHECK.to_dict(), "differences": {}, "left_out": {}})]
    assert same[0] == "100 rows, 50 of class 1"
    assert "as far as the stores record" in same[2]
