"""Checks of the files of a model folder: pointers, cut or missing files."""

import json
from pathlib import Path

from w2sprobe.errors import InputError, first_few

LFS_POINTER = b"version https://git-lfs"
HEADER_LENGTH = 8  # bytes at the start of a safetensors file: length of the JSON header
INDEX = "*.index.json"
ADAPTER = "adapter_config.json"


def check_files(folder: Path, patterns: tuple[str, ...]) -> None:
    """Refuse a folder with pointers, cut or missing files.

    Parameters
    ----------
    folder : Path
    patterns : tuple of str
        Of the files that a model is read from.

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
    for file in sorted({file for pattern in patterns for file in folder.glob(pattern)}):
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
    for index in folder.glob(INDEX):
        named = json.loads(index.read_text(encoding="utf-8")).get("weight_map", {}).values()
        missing = sorted({name for name in named if not (folder / name).is_file()})
        if missing:
            raise InputError(
                f"files {first_few(missing)} are missing from model folder {str(folder)!r}",
                where=str(index),
                advice="Was the download complete?",
            )


def _check_safetensors(file: Path) -> None:
    """Compare a file's size with what its header says: 8 bytes, header, tensors."""
    size = file.stat().st_size
    with file.open("rb") as content:
        length = int.from_bytes(content.read(HEADER_LENGTH), "little")
        if HEADER_LENGTH + length > size:
            raise _cut(file, size)
        try:
            header = json.loads(content.read(length))
        except ValueError as error:
            raise InputError("not a safetensors file", where=str(file)) from error
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    if HEADER_LENGTH + length + max(ends, default=0) > size:
        raise _cut(file, size)


def _cut(file: Path, size: int) -> InputError:
    return InputError(
        f"a safetensors file that ends after {size} bytes, before its tensors do",
        where=str(file),
        advice="Was the download complete? Fetch the file again.",
    )
