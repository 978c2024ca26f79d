"""Ids and texts of the rows of an extraction."""

from functools import partial

from w2sprobe.cells import all_names, as_name, converted
from w2sprobe.data.columns import MESSAGES, TEXTS, checked_texts
from w2sprobe.data.rows import Rows, check_unique
from w2sprobe.data.tables import read_table
from w2sprobe.errors import InputError

WHERE = "the dataset"


def read_rows(dataset: object) -> tuple[list[str], list[str], bool]:
    """Read and validate the ids and texts of a data set.

    Parameters
    ----------
    dataset : object
        `Rows`, rows with `id` and `text` (or `messages`), or a table with these columns, as in
        `extract`.

    Returns
    -------
    list of str
        Ids; integers become their digits.
    list of str
        Texts, or conversations as canonical JSON.
    bool
        Whether they are conversations.

    Raises
    ------
    InputError
        No rows, no such columns, or a cell that cannot be used; names its row.
    IdMismatch
        An id occurs twice.
    """
    if isinstance(dataset, Rows):
        if not len(dataset):
            raise InputError(f"no rows in {WHERE}")
        # validated when they were made
        return dataset.ids.tolist(), list(dataset.texts), dataset.chats

    def where(row: int) -> str:
        return f"{WHERE}, row {row + 1} (counted from 1)"

    cells = read_table(dataset, TEXTS, WHERE)
    ids = converted(cells["id"], all_names, partial(as_name, "id"), where)
    if not ids:
        raise InputError(f"no rows in {WHERE}")
    check_unique(ids, WHERE)
    chats = MESSAGES in cells
    return ids, checked_texts(cells, WHERE, where), chats


def as_table(dataset: object) -> dict[str, list[str]]:
    """Columns id and text (or messages) of a data set, to be read more than once.

    Raises
    ------
    InputError
        As in `read_rows`.
    """
    ids, texts, chats = read_rows(dataset)
    return {"id": ids, MESSAGES if chats else "text": texts}
