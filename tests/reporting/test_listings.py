"""Lists of tasks and splits."""

from tests.reporting.cases import printed
from w2sprobe.reporting.listings import splits_table, tasks_table


def test_tasks_have_the_columns_of_their_records() -> None:
    text = printed(tasks_table([{"task": "reviews", "rows": 46460, "positive class": "good"}]))
    assert ["reviews", "46,460", "good"] in [line.split() for line in text.splitlines()]


def test_splits_have_labels_and_groups_where_there_are_any() -> None:
    counts = {"label_0": 3, "label_1": 4}
    table = splits_table({"splits": {"test": counts, "val": counts}, "groups": {"test": 2}})
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    assert rows == [["test", "3", "4", "2"], ["val", "3", "4", "-"]]
