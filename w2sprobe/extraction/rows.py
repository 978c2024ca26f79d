"""Ids and texts of the rows that an extraction is given."""

from functools import partial

from w2sprobe.cells import all_filled, all_names, as_name, converted, filled
from w2sprobe.data.columns import TEXTS
from w2sprobe.data.rows import Rows, check_unique
from w2sprobe.data.tables import read_table
from w2sprobe.errors import InputError

WHERE = "the dataset"


def read_rows(dataset: object) -> tuple[list[str], list[str]]:
    """Ids and texts of a data set, checked.

    Parameters
    ----------
    dataset : object
        `Rows`, rows with id and text, or a table that has these columns, as in `extract`.

    Returns
    -------
    list of str
        Ids; integers as their digits.
    list of str
        Texts.

    Raises
    ------
    InputError
        No rows, no such columns, or a cell that cannot be used: names its row.
    IdMismatch
        An id occurs twice.
    """
    if isinstance(dataset, Rows):
        return dataset.ids.tolist(), list(dataset.texts)

    def place(row: int) -> str:
        return f"{WHERE}, row {row + 1} (counted from 1)"

    cells = read_table(dataset, TEXTS, WHERE)
    ids = converted(cells["id"], all_names, partial(as_name, "id"), place)
    if not ids:
        raise InputError(f"no rows in {WHERE}")
    check_unique(ids, WHERE)
    return ids, converted(cells["text"], all_filled, partial(filled, "text"), place)
