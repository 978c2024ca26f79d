"""Rows of data set repositories: from the Hugging Face hub, its cache, or a mirror folder.

No code of a repository is ever run: its data files are found by name and read as Parquet, CSV or
JSON. The same rule finds them on the hub and in a mirror, which has the hub's layout.
"""

import csv
import gzip
import heapq
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from w2sprobe.atomic import write_json
from w2sprobe.data.coin import Coin
from w2sprobe.errors import InputError

MIRROR = "W2SPROBE_HUB_MIRROR"
NO_HUB = (
    f"Without a network, set {MIRROR} to a folder that `w2sprobe tasks mirror` filled "
    "on a connected machine."
)
RECORD = ".w2sprobe-mirror.json"  # beside a mirrored repository's files: their commit
SAMPLED_GROUPS = 32  # row groups that a sample comes from, where there are so many
BUILDERS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json"}
BLOCK = 2**16  # read ahead on the hub; the default, 5 MiB, is many times a row group
SHARD = re.compile(r"-(\d{5})-of-(\d{5})(-[0-9a-f]{16})?$")  # as `datasets` names shards

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """A data set repository, or one config of it.

    Parameters
    ----------
    repo : str
        `owner/name` on the hub.
    train, test : tuple of str
        Its splits to train on, and those set aside for testing; empty: none is.
    config : str, default ""
        Folder of the files, where the repository has several configs.
    revision : str, default "main"
        Commit, or the branch with the Parquet conversion of a repository that is a script.
    parts : int, default 1
        Files a split has at least, where they bear no shard numbers.
    stream : dict of str to int, optional
        Rows to read of each split: millions are not downloaded for 16,000. They come from row
        groups all over Parquet files; files of other formats are read whole.
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
        """All splits that are read."""
        return (*self.train, *self.test)


@dataclass(frozen=True)
class Found:
    """Where a source's files lie.

    Parameters
    ----------
    base : str
        Folder or address that `files` are relative to.
    files : list of str
    commit : str
        Empty in a mirror that `mirror` did not fill.
    """

    base: str
    files: list[str]
    commit: str


def mirror_folder() -> Path | None:
    """Folder named by `W2SPROBE_HUB_MIRROR`; None where it is not set."""
    place = os.environ.get(MIRROR)
    return Path(place).expanduser() if place else None


def availability(source: Source) -> str:
    """Where the files lie that need no network: "mirror", "cache", or "" for nowhere."""
    mirror = mirror_folder()
    if mirror is not None:
        return "" if _missing(_local_files(mirror / source.repo), source) else "mirror"
    return "cache" if _cached(source) else ""


def locate(source: Source) -> Found:
    """Find a source's data files; download them if they are neither in a mirror nor in the cache.

    Parameters
    ----------
    source : Source

    Returns
    -------
    Found
        On the hub itself where the source is one to stream.

    Raises
    ------
    InputError
        The mirror or the hub lacks a split or a shard, or there is no way to the hub.
    """
    folder = mirror_folder()
    if folder is not None:
        place = folder / source.repo
        files = _local_files(place)
        missing = _missing(files, source)
        if missing:
            raise InputError(
                f"the mirror lacks data files of {source.repo}, split {' and '.join(missing)}",
                where=f"{place} ({MIRROR})",
                advice="Fill it on a connected machine: w2sprobe tasks mirror NAME.",
            )
        record = place / RECORD
        try:
            commit = json.loads(record.read_text())["commit"] if record.is_file() else ""
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                "broken record of a mirror", where=str(record), advice="Fill the mirror again."
            ) from error
        return Found(str(place), files, commit)
    cached = _cached(source)
    if cached is not None:
        return Found(str(cached), _local_files(cached), cached.name)
    files, commit = _hub_files(source)
    if source.stream:
        return Found(f"hf://datasets/{source.repo}@{commit}", files, commit)
    return Found(str(_download(source, files)), files, commit)


def read_rows(source: Source, found: Found) -> Iterator[tuple[str, str, Row]]:
    """Rows of all splits, one split after the other.

    Parameters
    ----------
    source : Source
    found : Found
        Of this source.

    Yields
    ------
    tuple of str, str and mapping
        Split; where the row is, for messages; its cells.

    Raises
    ------
    InputError
        A broken file, or the way to the hub is lost.
    """
    for split in source.splits:
        paths = [f"{found.base}/{file}" for file in select_files(found.files, source.config, split)]
        limit = source.stream.get(split) if source.stream else None
        # a sample comes from all files at once; else one by one, so that a row's file is known
        for part in [paths] if limit else [[path] for path in paths]:
            place = ", ".join(part)
            for number, row in enumerate(_read(part, limit), start=1):
                yield split, f"{place}, row {number}", row


def mirror(source: Source, folder: Path) -> int:
    """Copy a source's files from the hub, in the hub's layout; those that are there stay.

    Parameters
    ----------
    source : Source
    folder : Path
        The mirror; files go to `<folder>/<owner>/<name>/`.

    Returns
    -------
    int
        Bytes of the source's files.

    Raises
    ------
    InputError
        No way to the hub, or it lacks a split or a shard.
    """
    try:
        files, commit = _hub_files(source)
        place = _download(source, files, local_dir=folder / source.repo)
    except InputError as error:
        raise InputError(
            error.what,
            where=error.where,
            advice="A mirror is filled from the hub: run this on a machine that reaches it.",
        ) from error
    write_json(place / RECORD, {"repo": source.repo, "commit": commit})
    return sum((place / file).stat().st_size for file in files)


def select_files(files: Sequence[str], config: str, split: str) -> list[str]:
    """Files of one split of a config, by their names.

    Parameters
    ----------
    files : sequence of str
        Paths inside the repository.
    config : str
        Only files under a folder of this name; empty: all files.
    split : str
        A file belongs to the split if the split's name is that of its folder, or its own without
        suffix and shard number; `anything_` may stand before that.

    Returns
    -------
    list of str
        Sorted; empty if there are none, or if a shard is missing.

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


def _download(source: Source, files: list[str], **where: Any) -> Path:
    """Get these files and no others, into the hub's cache or a folder of their own."""
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


def _missing(files: Sequence[str], source: Source) -> list[str]:
    """Splits of which not all files are there."""
    found = {split: select_files(files, source.config, split) for split in source.splits}
    return [split for split, chosen in found.items() if len(chosen) < source.parts]


def _local_files(folder: Path) -> list[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [path.as_posix() for path in found if not path.parts[0].startswith(".")]


def _cached(source: Source) -> Path | None:
    """Snapshot in the hub's cache that holds all that is needed; None if there is none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    found: str | None
    try:
        found = snapshot_download(
            source.repo, repo_type="dataset", revision=source.revision, local_files_only=True
        )
    except LocalEntryNotFoundError as error:
        # newer releases of huggingface_hub say so if other files of the repository are missing
        found = getattr(error, "snapshot_path", None)
    place = Path(found) if found else None
    return place if place and not _missing(_local_files(place), source) else None


def _hub_files(source: Source) -> tuple[list[str], str]:
    """Files of the wanted splits, and the commit they are of."""
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
            advice="The repository is not what this release of w2sprobe expects; please report it.",
        )
    wanted = [select_files(files, source.config, split) for split in source.splits]
    return [file for part in wanted for file in part], str(info.sha)


def _hub_errors() -> tuple[type[Exception], ...]:
    """What goes wrong on the way to the hub, whichever HTTP library its client uses."""
    from huggingface_hub import errors

    return OSError, errors.HTTPError  # type: ignore[attr-defined]


def _no_hub(source: Source, error: Exception) -> InputError:
    what = f"cannot get {source.repo} from the Hugging Face hub: {_said(error)}"
    return InputError(what, advice=NO_HUB)


def _said(error: Exception) -> str:
    """The facts; what the hub's client has to say about accounts follows after them."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]).rstrip(".") or type(error).__name__


def _read(paths: Sequence[str], limit: int | None) -> Iterator[Row]:
    """Rows of files of one format; of Parquet files at most `limit`, from all over them."""
    import datasets

    kind = BUILDERS[_suffix(paths[0])]
    broken: tuple[type[Exception], ...] = (ValueError, *_hub_errors())
    options: dict[str, Any] = {"storage_options": {"hf": {"block_size": BLOCK}}}
    try:
        if kind == "csv":  # else pandas makes numbers of texts, and nothing of the text "NA"
            columns = {name: datasets.Value("string") for name in _header(paths[0])}
            options |= {"features": datasets.Features(columns), "keep_default_na": False}
        rows = datasets.load_dataset(
            kind, data_files=list(paths), split="train", streaming=True, **options
        )
        if kind == "csv":  # else the file stays open where reading ends early
            rows = list(rows)
        yield from _sample(rows, limit) if limit is not None and kind == "parquet" else rows
    except broken as error:
        advice = NO_HUB if paths[0].startswith("hf://") else ""
        where = ", ".join(paths)
        raise InputError(f"cannot read: {_said(error)}", where=where, advice=advice) from error


def _sample(rows: Any, limit: int) -> Iterator[Row]:
    """Rows of `SAMPLED_GROUPS` row groups or more, those of the smallest hash of each."""
    groups = rows.reshard()
    n = groups.num_shards
    share = -(-limit // min(n, SAMPLED_GROUPS))

    def chosen() -> Iterator[Row]:
        for group in sorted(
            range(n), key=lambda group: Coin.of(f"row group {group} of {n}").digest
        ):
            inside = enumerate(groups.shard(num_shards=n, index=group))
            # a group may be as large as the file, and sorted: its first rows are no sample
            yield from (row for _, row in heapq.nsmallest(share, inside, key=_hash_of_place))

    return islice(chosen(), limit)


def _hash_of_place(row: tuple[int, Row]) -> bytes:
    return Coin.of(str(row[0])).digest


def _header(path: str) -> list[str]:
    unpack = gzip.open if path.endswith(".gz") else Path.open
    with unpack(Path(path), "rt", encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file), [])
