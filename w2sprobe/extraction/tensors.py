"""Imports activations that other code saved with `torch.save`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from w2sprobe.cache import ActivationStore, ActivationWriter
from w2sprobe.cells import as_names
from w2sprobe.errors import InputError, first_few
from w2sprobe.extraction.forward import to_numpy
from w2sprobe.fingerprint import sha256_file
from w2sprobe.models import DTYPES


def import_tensors(
    source: str | Path,
    path: str | Path,
    *,
    ids: Sequence[Any] | None = None,
    model: str = "",
    first_layer: int = 0,
) -> ActivationStore:
    """Turn a folder of `.pt` files, as EleutherAI's w2s code writes `activations/`, into a store.

    Each file (`train.pt`, `test.pt`) is one tensor of shape (rows, layers, width), with layers in
    the order of the model's hidden states; the store keeps their type (float32, float16 or
    bfloat16). Only tensors are loaded: no code in the files runs.

    Parameters
    ----------
    source : str or Path
        The folder, or a single file.
    ids : sequence of str or int, optional
        Ids of all rows, files sorted by name. By default `<file>-<row>`.
    model : str
        Name of the model, for readers of the manifest; the files do not say.
    first_layer : int, default 0
        Number of the first layer in the files: 1 where the embedding output was left out.

    Raises
    ------
    InputError
        No files, no tensors of that shape, different shapes or types, too few or too many ids,
        values that are not finite.
    """
    root = Path(source)
    files = [root] if root.is_file() else sorted(root.glob("*.pt"))
    if not files:
        raise InputError(f"no .pt files in {str(source)!r}")
    tensors = [_load(file) for file in files]
    kinds = {(tensor.shape[1:], tensor.dtype) for tensor in tensors}
    if len(kinds) > 1:
        raise InputError(f"tensors of different kinds: {sorted(map(str, kinds))}", where=str(root))
    names = _row_ids(files, tensors, ids)
    joined = torch.cat(tensors)
    with ActivationWriter.create(
        path,
        identity={
            "imported": {file.name: sha256_file(file) for file in files},
            "first_layer": first_layer,
        },
        ids=names,
        layers=range(first_layer, first_layer + joined.shape[1]),
        hidden_size=joined.shape[2],
        dtype=str(joined.dtype).removeprefix("torch."),
        model=model,
    ) as writer:
        for index, rows in writer.claims():
            states = {
                layer: to_numpy(joined[rows, layer - first_layer].contiguous())
                for layer in writer.needed(index)
            }
            writer.write_shard(index, states)
        return writer.finish({"imported_from": str(root.resolve().name)})


def _row_ids(
    files: Sequence[Path], tensors: Sequence[torch.Tensor], ids: Sequence[Any] | None
) -> list[str]:
    default = [f"{f.stem}-{r}" for f, t in zip(files, tensors, strict=True) for r in range(len(t))]
    if ids is None:
        return default
    names = as_names(ids, "ids")
    if len(names) != len(default):
        raise InputError(f"{len(names)} ids for {len(default)} rows")
    return names


def _load(file: Path) -> torch.Tensor:
    try:
        # weights_only: no code of the file runs
        loaded = torch.load(file, map_location="cpu", weights_only=True)  # noqa: TID251
    except Exception as error:  # torch raises many types for files that it did not write
        raise InputError(f"not a tensor file: {error}", where=str(file)) from error
    usable = (
        isinstance(loaded, torch.Tensor)
        and (loaded.layout, loaded.ndim) == (torch.strided, 3)
        and loaded.dtype in DTYPES.values()
        and not loaded.is_meta
    )
    if not usable:
        raise InputError(
            _description(loaded),
            where=str(file),
            allowed="one tensor (rows, layers, width) of float32, float16 or bfloat16",
            advice="Save that tensor alone in a file, with torch.save.",
        )
    if 0 in loaded.shape:
        raise InputError(f"an empty tensor of shape {tuple(loaded.shape)}", where=str(file))
    tensor: torch.Tensor = loaded.detach()  # numpy takes no tensor that has a gradient
    return tensor


def _description(loaded: object) -> str:
    if isinstance(loaded, torch.Tensor):
        return f"{loaded.dtype} {tuple(loaded.shape)}"
    keys = f" of {first_few(loaded)}" if isinstance(loaded, dict) else ""
    return f"a {type(loaded).__name__}{keys}"
