"""Folders that the datasets library wrote with `save_to_disk`."""

from pathlib import Path

import pyarrow as pa

from w2sprobe.data.columns import TASK, RawColumns, check_columns
from w2sprobe.data.rows import SourceRows
from w2sprobe.data.tables import read_table
from w2sprobe.errors import InputError
from w2sprobe.fingerprint import fingerprint, sha256_file

ONE, SEVERAL = "state.json", "dataset_dict.json"  # which file says that a folder is which


def read_folder(path: Path) -> SourceRows:
    """Read and check a saved data set, every cell of it.

    Parameters
    ----------
    path : Path
        Of a `Dataset`, or of a `DatasetDict` with the splits train and test, or with one. Columns
        as in a file.

    Returns
    -------
    SourceRows
        Rows of the split test are set aside for testing.

    Raises
    ------
    InputError
        Not such a folder, unreadable, other splits; a column or a cell that cannot be used.
    IdMismatch
        An id occurs twice.
    """
    if not any((path / name).is_file() for name in (ONE, SEVERAL)):
        raise InputError(
            f"task {str(path)!r} is a folder without {ONE} or {SEVERAL}",
            allowed="what `save_to_disk` of the datasets library writes",
            advice="Name the file in it that holds the rows.",
        )
    import datasets  # takes a second, and few tasks need it

    try:
        found = datasets.load_from_disk(str(path))
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
        raise InputError(
            f"cannot be read: {error}", where=str(path), advice="Save the data set anew."
        ) from error
    cells = read_table(found, TASK, str(path))
    files = sorted(path.rglob("*.arrow"))
    hashes = {file.relative_to(path).as_posix(): sha256_file(file) for file in files}
    made_of = {"folder": path.name, "files": fingerprint(hashes), "columns": list(cells)}
    raw = RawColumns(cells, str(path), lambda row: f"{path}, row {row + 1} (counted from 1)")
    return check_columns(raw, made_of)
