"""Rows of data set repositories: from the Hugging Face hub, its cache, or a mirror folder.

No code of a repository is ever run: its data files are found by name and read as Parquet, CSV or
JSON. `datasets.load_dataset` cannot find them: it refuses repositories with a script, and without
their README, which a mirror and a partial cache lack, it knows neither configs nor splits such as
test_hard. Whether a shard is missing offline, the oldest supported `huggingface_hub` cannot tell.
"""

import csv
import gzip
import heapq
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from w2sprobe.atomic import write_json
from w2sprobe.data.coin import Coin
from w2sprobe.errors import InputError, summary_of

MIRROR = "W2SPROBE_HUB_MIRROR"
NO_HUB = (
    f"Without a network, set {MIRROR} to a folder that `w2sprobe tasks mirror` filled "
    "on a connected machine."
)
RECORD = ".w2sprobe-mirror.json"  # in the folder of a mirrored repository: its commit
SAMPLED_GROUPS = 32  # row groups that a sample is drawn from; all if there are fewer
BUILDERS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json"}
READ_AHEAD = 2**16  # bytes, on the hub; the default, 5 MiB, is many times a row group
SHARD = re.compile(r"-(\d{5})-of-(\d{5})(-[0-9a-f]{16})?$")  # as `datasets` names shards

Row = Mapping[str, Any]


@dataclass(frozen=True)
class HubSource:
    """Splits of a data set repository, or of one of its configs.

    Parameters
    ----------
    repo : str
        `owner/name` on the hub.
    train : tuple of str
        Splits to train on.
    test : tuple of str
        Splits that are held out for testing; may be empty.
    config : str, default ""
        Folder of the files, if the repository has several configs.
    revision : str, default "main"
        Commit, or the branch with the Parquet conversion of a repository that is a script.
    parts : int, default 1
        Minimum number of files per split, for files without shard numbers.
    stream : dict of str to int, optional
        Number of rows to read of each split, instead of downloading it. They are sampled from row
        groups all over the Parquet files; files of other formats are read whole.
    """

    repo: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    config: str = ""
    revision: str = "main"
    parts: int = 1
    stream: Mapping[str, int] | None = None

    @property
    def splits(self) -> tuple[str, ...]:
        """All splits to read."""
        return (*self.train, *self.test)


@dataclass(frozen=True)
class HubFiles:
    """Data files of a repository.

    Parameters
    ----------
    base : str
        Folder or URL that `files` are relative to.
    commit : str
        Empty for a mirror that `mirror` did not fill.
    """

    base: str
    files: list[str]
    commit: str


def mirror_folder() -> Path | None:
    """Folder in the environment variable `W2SPROBE_HUB_MIRROR`; None if it is not set."""
    folder = os.environ.get(MIRROR)
    return Path(folder).expanduser() if folder else None


def availability(source: HubSource) -> str:
    """Where all files are available offline: "mirror", "cache", or "" for nowhere."""
    mirror = mirror_folder()
    if mirror is not None:
        return "" if _missing(_local_files(mirror / source.repo), source) else "mirror"
    return "cache" if _cached(source) else ""


def locate(source: HubSource) -> HubFiles:
    """Find a source's data files in the mirror or the cache, else download them.

    If the source is to be streamed, files that are not available offline stay on the hub.

    Raises
    ------
    InputError
        A split or a shard is missing in the mirror or on the hub, or the hub cannot be reached.
    """
    mirrored = mirror_folder()
    if mirrored is not None:
        return _locate_in_mirror(source, mirrored / source.repo)
    cached = _cached(source)
    if cached is not None:
        return HubFiles(str(cached), _local_files(cached), cached.name)
    files, commit = _hub_files(source)
    if source.stream:
        return HubFiles(f"hf://datasets/{source.repo}@{commit}", files, commit)
    return HubFiles(str(_download(source, files)), files, commit)


def _locate_in_mirror(source: HubSource, folder: Path) -> HubFiles:
    files = _local_files(folder)
    missing = _missing(files, source)
    if missing:
        raise InputError(
            f"the mirror lacks data files of {source.repo}, split {' and '.join(missing)}",
            where=f"{folder} ({MIRROR})",
            advice="Fill it on a connected machine: w2sprobe tasks mirror NAME.",
        )
    record = folder / RECORD
    try:
        commit = json.loads(record.read_text())["commit"] if record.is_file() else ""
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            "broken record of a mirror", where=str(record), advice="Fill the mirror again."
        ) from error
    return HubFiles(str(folder), files, commit)


def read_rows(source: HubSource, located: HubFiles) -> Iterator[tuple[str, str, Row]]:
    """Read the rows of all splits, one split after the other.

    Yields
    ------
    tuple of str, str and mapping
        Split; file and row number, for messages; the row's cells.

    Raises
    ------
    InputError
        A damaged file, or a lost connection to the hub.
    """
    for split in source.splits:
        files = select_files(located.files, source.config, split)
        paths = [f"{located.base}/{file}" for file in files]
        limit = source.stream.get(split) if source.stream else None
        # A sample is drawn from all files together; otherwise each is read alone, so that the
        # file of a row is known.
        for part in [paths] if limit else [[path] for path in paths]:
            where = ", ".join(part)
            for number, row in enumerate(_read(part, limit), start=1):
                yield split, f"{where}, row {number}", row


def mirror(source: HubSource, folder: Path) -> int:
    """Copy a source's files from the hub to `<folder>/<owner>/<name>/`; skip those that exist.

    Returns
    -------
    int
        Size of the source's files in bytes.

    Raises
    ------
    InputError
        The hub cannot be reached, or lacks a split or a shard.
    """
    try:
        files, commit = _hub_files(source)
        copied = _download(source, files, local_dir=folder / source.repo)
    except InputError as error:
        raise InputError(
            error.what,
            where=error.where,
            advice="A mirror is filled from the hub: run this on a machine that reaches it.",
        ) from error
    write_json(copied / RECORD, {"repo": source.repo, "commit": commit})
    return sum((copied / file).stat().st_size for file in files)


def select_files(files: Sequence[str], config: str, split: str) -> list[str]:
    """Select the files of one split of a config by name.

    Parameters
    ----------
    files : sequence of str
        Paths inside the repository.
    config : str
        Name of a folder that the files are under; empty: any folder.
    split : str
        Name of the files' folder, or of the files without suffix, shard number and any prefix that
        ends in `_`.

    Returns
    -------
    list of str
        Sorted; empty if there are none or if a shard is missing.

    Examples
    --------
    >>> select_files(["a/test.csv", "b/test.csv", "b/test_hard.csv"], "b", "test")
    ['b/test.csv']
    """
    data = sorted(file for file in files if _suffix(file) in BUILDERS)
    inside = [file for file in data if not config or config in PurePosixPath(file).parts[:-1]]
    chosen, shards = [], []
    for file in inside:
        path = PurePosixPath(file)
        stem = path.name[: path.name.index(".")]
        shard = SHARD.search(stem)
        name = stem[: shard.start()] if shard else stem
        if split in (name, path.parent.name) or name.endswith(f"_{split}"):
            chosen.append(file)
            shards += [int(shard[2])] if shard else []
    return chosen if not shards or len(shards) == max(shards) else []


def _suffix(file: str) -> str:
    return PurePosixPath(file.removesuffix(".gz")).suffix


def _download(source: HubSource, files: list[str], **where: Any) -> Path:
    """Download only these files, to the hub's cache or to `local_dir`."""
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                source.repo,
                repo_type="dataset",
                revision=source.revision,
                allow_patterns=files,
                **where,
            )
        )
    except _hub_errors() as error:
        raise _no_hub(source, error) from error


def _missing(files: Sequence[str], source: HubSource) -> list[str]:
    """Splits with missing files."""
    return [
        split
        for split in source.splits
        if len(select_files(files, source.config, split)) < source.parts
    ]


def _local_files(folder: Path) -> list[str]:
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [path.as_posix() for path in files if not path.parts[0].startswith(".")]


def _cached(source: HubSource) -> Path | None:
    """Folder of a complete snapshot in the hub's cache; None if there is none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    snapshot: str | None
    try:
        snapshot = snapshot_download(
            source.repo, repo_type="dataset", revision=source.revision, local_files_only=True
        )
    except LocalEntryNotFoundError as error:
        # newer releases raise this, with the snapshot, if any file of the repository is missing
        snapshot = getattr(error, "snapshot_path", None)
    folder = Path(snapshot) if snapshot else None
    return folder if folder and not _missing(_local_files(folder), source) else None


def _hub_files(source: HubSource) -> tuple[list[str], str]:
    """List the files of the source's splits on the hub; return them and their commit."""
    from huggingface_hub import HfApi

    try:
        info = HfApi().dataset_info(source.repo, revision=source.revision)
    except _hub_errors() as error:
        raise _no_hub(source, error) from error
    files = [sibling.rfilename for sibling in info.siblings or ()]
    missing = _missing(files, source)
    if missing:
        raise InputError(
            f"no data files for split {' and '.join(missing)}",
            where=f"{source.repo} at revision {source.revision}",
            advice="The repository has changed since this release of w2sprobe; please report it.",
        )
    wanted = [select_files(files, source.config, split) for split in source.splits]
    return [file for part in wanted for file in part], str(info.sha)


def _hub_errors() -> tuple[type[Exception], ...]:
    """Exceptions of a request to the hub, whichever HTTP library its client uses."""
    from huggingface_hub import errors

    return OSError, errors.HTTPError  # type: ignore[attr-defined]


def _no_hub(source: HubSource, error: Exception) -> InputError:
    what = f"cannot get {source.repo} from the Hugging Face hub: {summary_of(error)}"
    return InputError(what, advice=NO_HUB)


def _read(paths: Sequence[str], limit: int | None) -> Iterator[Row]:
    """Read files of one format; of Parquet files a sample of at most `limit` rows."""
    import datasets

    kind = BUILDERS[_suffix(paths[0])]
    broken: tuple[type[Exception], ...] = (ValueError, *_hub_errors())
    options: dict[str, Any] = {"storage_options": {"hf": {"block_size": READ_AHEAD}}}
    try:
        if kind == "csv":  # as text; pandas would convert "1" to a number and "NA" to NaN
            columns = {name: datasets.Value("string") for name in _header(paths[0])}
            options |= {"features": datasets.Features(columns), "keep_default_na": False}
        rows = datasets.load_dataset(
            kind, data_files=list(paths), split="train", streaming=True, **options
        )
        if kind == "csv":  # all at once; otherwise the file stays open if the caller stops early
            rows = list(rows)
        yield from _sample(rows, limit) if limit is not None and kind == "parquet" else rows
    except broken as error:
        advice = NO_HUB if paths[0].startswith("hf://") else ""
        where = ", ".join(paths)
        raise InputError(f"cannot read: {summary_of(error)}", where=where, advice=advice) from error


def _sample(rows: Any, limit: int) -> Iterator[Row]:
    """Pseudo-random rows of at least `SAMPLED_GROUPS` row groups: always the same ones."""
    groups = rows.reshard()
    n = groups.num_shards
    rows_per_group = math.ceil(limit / min(n, SAMPLED_GROUPS))

    def chosen() -> Iterator[Row]:
        order = sorted(range(n), key=lambda group: Coin.of(f"row group {group} of {n}").digest)
        for group in order:
            numbered = enumerate(groups.shard(num_shards=n, index=group))
            # Not the first rows: a group may be as large as the file, and sorted by label.
            sample = heapq.nsmallest(rows_per_group, numbered, key=_hash_of_number)
            yield from (row for _, row in sample)

    return islice(chosen(), limit)


def _hash_of_number(row: tuple[int, Row]) -> bytes:
    return Coin.of(str(row[0])).digest


def _header(path: str) -> list[str]:
    """Column names of a CSV file."""
    open_file = gzip.open if path.endswith(".gz") else Path.open
    with open_file(Path(path), "rt", encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file), [])
