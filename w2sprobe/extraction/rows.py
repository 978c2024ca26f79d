"""Ids and texts of the rows of an extraction."""

from functools import partial
from typing import Any

from w2sprobe.cache import ActivationStore
from w2sprobe.cells import all_names, as_name, converted
from w2sprobe.data.columns import MESSAGES, TEXTS, checked_texts
from w2sprobe.data.rows import Rows, check_unique
from w2sprobe.data.splits import Splits
from w2sprobe.data.tables import read_table
from w2sprobe.errors import InputError, StoreMismatch
from w2sprobe.fingerprint import fingerprint_strings

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


def task_columns(store: ActivationStore, splits: Splits) -> dict[str, list[Any]]:
    """Label, split and text of the store's rows, in its order, for `export_store`.

    Raises
    ------
    IdMismatch
        The task lacks a row of the store.
    StoreMismatch
        The store was extracted from other texts.
    """
    ids = store.ids.tolist()
    columns = splits.columns_for(ids)
    texts = columns[MESSAGES if splits.test.chats else "text"]
    # imported stores do not know their texts
    known = store.manifest["identity"].get("rows")
    if known is not None and known != fingerprint_strings(ids, texts):
        raise StoreMismatch(
            "the store was extracted from other texts than the task's",
            where=str(store.path),
            advice="Name the task that it was extracted for.",
        )
    return columns
