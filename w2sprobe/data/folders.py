"""Tasks from folders that `save_to_disk` of the datasets library wrote."""

from pathlib import Path

import pyarrow as pa

from w2sprobe.data.columns import TASK, RawColumns, check_columns
from w2sprobe.data.rows import SourceRows
from w2sprobe.data.tables import read_table
from w2sprobe.errors import InputError
from w2sprobe.fingerprint import fingerprint, sha256_file

# present in the folder of a Dataset, and of a DatasetDict
DATASET_FILE, DATASET_DICT_FILE = "state.json", "dataset_dict.json"


def read_folder(path: Path) -> SourceRows:
    """Read a saved data set and check every cell.

    Parameters
    ----------
    path : Path
        Folder of a `Dataset`, or of a `DatasetDict` with one split or with the splits train and
        test; rows of test are held out. Columns as in `read_file`.

    Raises
    ------
    InputError
        Another folder, an unreadable data set, other splits; a missing column or invalid cell.
    IdMismatch
        An id occurs twice.
    """
    if not any((path / name).is_file() for name in (DATASET_FILE, DATASET_DICT_FILE)):
        raise InputError(
            f"task {str(path)!r} is a folder without {DATASET_FILE} or {DATASET_DICT_FILE}",
            allowed="what `save_to_disk` of the datasets library writes",
            advice="Name the file in it that holds the rows.",
        )
    import datasets  # here, because it takes a second and few tasks need it

    try:
        saved = datasets.load_from_disk(str(path))
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
        raise InputError(
            f"cannot be read: {error}", where=str(path), advice="Save the data set again."
        ) from error
    cells = read_table(saved, TASK, str(path))
    files = sorted(path.rglob("*.arrow"))
    hashes = {file.relative_to(path).as_posix(): sha256_file(file) for file in files}
    made_of = {"folder": path.name, "files": fingerprint(hashes), "columns": list(cells)}
    raw = RawColumns(cells, str(path), lambda row: f"{path}, row {row + 1} (counted from 1)")
    return check_columns(raw, made_of)
