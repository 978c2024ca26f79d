"""Tensors in files of other tools: safetensors, `.npy`, `.npz` and `.pt`; no code in them runs."""

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from w2sprobe.errors import InputError, first_few, summary_of

SUFFIXES = (".safetensors", ".npy", ".npz", ".pt")
SAFETENSORS_TYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file, read in parts where the format allows it.

    Parameters
    ----------
    shape : tuple of int
    dtype : str
        As torch names it: float32, bfloat16, int64.
    read : callable
        Maps start and stop on the first axis to a Tensor.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[int, int], torch.Tensor]


def open_tensors(path: Path) -> dict[str, StoredTensor]:
    """Open the tensors of a file by name; a single tensor without a name is "".

    safetensors and `.npy` are read in parts; an `.npz` is held in memory while it is open.

    Raises
    ------
    InputError
        Another suffix, a damaged file, or objects that are no tensors.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"unknown file {str(path)!r}", allowed=", ".join(SUFFIXES))
    try:
        if suffix == ".safetensors":
            return _safetensors(path)
        if suffix == ".pt":
            return _torch(path)
        return _numpy(path)
    except InputError:
        raise
    # torch raises many types for files that it did not write
    except Exception as error:
        raise InputError(f"not a tensor file: {summary_of(error)}", where=str(path)) from error


def _safetensors(path: Path) -> dict[str, StoredTensor]:
    file: Any = safe_open(path, framework="pt")
    tensors = {}
    for name in file.keys():  # noqa: SIM118 - not a dict
        part = file.get_slice(name)
        kind = part.get_dtype()
        dtype = SAFETENSORS_TYPES.get(kind, kind.lower())

        def read(start: int, stop: int, part: Any = part) -> torch.Tensor:
            try:
                tensor: torch.Tensor = part[start:stop]
            except SafetensorError as error:
                raise InputError(f"cannot be read: {error}", where=str(path)) from error
            return tensor

        tensors[name] = StoredTensor(tuple(part.get_shape()), dtype, read)
    return tensors


def _numpy(path: Path) -> dict[str, StoredTensor]:
    if path.suffix.lower() == ".npy":
        # mapped, as one file may hold all rows
        return {"": _of_array(np.load(path, mmap_mode="r", allow_pickle=False))}
    with np.load(path, allow_pickle=False) as file:
        return {name: _of_array(file[name]) for name in file.files}


def _of_array(array: np.ndarray) -> StoredTensor:
    def read(start: int, stop: int) -> torch.Tensor:
        part = array[start:stop]
        # a copy in the byte order of this machine, which torch needs
        return torch.from_numpy(part.astype(part.dtype.newbyteorder("=")))

    return StoredTensor(array.shape, array.dtype.name, read)


def _torch(path: Path) -> dict[str, StoredTensor]:
    # weights_only: no code of the file runs
    loaded = torch.load(  # noqa: TID251
        path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
    )
    named = loaded if isinstance(loaded, Mapping) else {"": loaded}
    tensors = {
        str(name): _of_tensor(tensor)
        for name, value in named.items()
        if (tensor := _stacked(value)) is not None
    }
    if not tensors:
        keys = f" of {first_few(loaded)}" if isinstance(loaded, Mapping) else ""
        raise InputError(
            f"a {type(loaded).__name__}{keys}",
            where=str(path),
            allowed="a tensor, or a dict of tensors",
        )
    return tensors


def _stacked(value: object) -> torch.Tensor | None:
    """A dense tensor; a list of (tokens, width) tensors, one per layer, as one; or None."""
    if isinstance(value, list) and value and all(isinstance(v, torch.Tensor) for v in value):
        value = torch.stack(value, dim=1) if len({v.shape for v in value}) == 1 else None
    usable = isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_meta
    return value.detach() if usable and isinstance(value, torch.Tensor) else None


def _of_tensor(tensor: torch.Tensor) -> StoredTensor:
    dtype = str(tensor.dtype).removeprefix("torch.")
    return StoredTensor(tuple(tensor.shape), dtype, lambda start, stop: tensor[start:stop])
