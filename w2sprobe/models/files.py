"""Checks the files of a model folder: Git LFS pointers, incomplete and missing files."""

import json
from pathlib import Path

from w2sprobe.errors import InputError, first_few

LFS_POINTER = b"version https://git-lfs"
HEADER_LENGTH = 8  # bytes at the start of a safetensors file: length of the JSON header
ADAPTER = "adapter_config.json"


def check_weights(folder: Path) -> None:
    """Refuse pointers and incomplete files among the safetensors of a folder.

    Raises
    ------
    InputError
        Names the file.
    """
    _check_each(folder, ("*.safetensors",))


def check_files(folder: Path, patterns: tuple[str, ...]) -> None:
    """Refuse a model folder with pointers, incomplete or missing files, or a PEFT adapter.

    Parameters
    ----------
    patterns : tuple of str
        Glob patterns of the files that a model is read from.

    Raises
    ------
    InputError
        Names the file.
    """
    if (folder / ADAPTER).is_file():
        raise InputError(
            f"model folder {str(folder)!r} holds a PEFT adapter ({ADAPTER})",
            allowed="a model whose weights stand alone",
            advice="Merge it with PEFT's merge_and_unload() and save that; a run of `w2sprobe "
            "train` is for `w2sprobe predict`.",
        )
    _check_each(folder, patterns)
    _check_index(folder)


def _check_each(folder: Path, patterns: tuple[str, ...]) -> None:
    for file in sorted({file for pattern in patterns for file in folder.glob(pattern)}):
        if not file.is_file():
            raise InputError("a link to a file that is not there", where=str(file))
        with file.open("rb") as content:
            start = content.read(len(LFS_POINTER))
        if start == LFS_POINTER:
            raise InputError(
                "a pointer of Git LFS instead of the file itself",
                where=str(file),
                advice="Run `git lfs pull` in its folder.",
            )
        if file.suffix == ".safetensors":
            _check_safetensors(file)


def _check_index(folder: Path) -> None:
    index = _index(folder)
    if index is not None:
        try:
            named = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError("not an index of weight files", where=str(index)) from error
        missing = sorted({name for name in named if not (folder / name).is_file()})
        if missing:
            raise InputError(
                f"files {first_few(missing)} are missing from model folder {str(folder)!r}",
                where=str(index),
                advice="Was the download complete?",
            )


def _index(folder: Path) -> Path | None:
    """Index of shards that transformers would read; None where it reads a single file."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return None
        if index.is_file():
            return index
    return None


def _check_safetensors(file: Path) -> None:
    """Compare a file's size with its header; the header follows 8 bytes with its length."""
    size = file.stat().st_size
    with file.open("rb") as content:
        length = int.from_bytes(content.read(HEADER_LENGTH), "little")
        if HEADER_LENGTH + length > size:
            raise _cut(file, size)
        try:
            header = json.loads(content.read(length))
            ends = [
                int(entry["data_offsets"][1])
                for name, entry in header.items()
                if name != "__metadata__"
            ]
        except (ValueError, AttributeError, KeyError, TypeError, IndexError) as error:
            raise InputError("not a safetensors file", where=str(file)) from error
    if HEADER_LENGTH + length + max(ends, default=0) > size:
        raise _cut(file, size)


def _cut(file: Path, size: int) -> InputError:
    return InputError(
        f"a safetensors file that ends after {size} bytes, before its tensors do",
        where=str(file),
        advice="Was the download complete? Fetch the file again.",
    )
