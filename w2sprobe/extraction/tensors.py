"""Activations that other code saved with torch, as a store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from w2sprobe.cache import ActivationStore, ActivationWriter
from w2sprobe.cells import as_names
from w2sprobe.errors import InputError, first_few
from w2sprobe.extraction.forward import to_numpy
from w2sprobe.fingerprint import sha256_file


def import_tensors(
    source: str | Path,
    path: str | Path,
    *,
    ids: Sequence[Any] | None = None,
    model: str = "",
    first_layer: int = 0,
) -> ActivationStore:
    """Turn a folder of `.pt` files, as EleutherAI's w2s code writes `activations/`, into a store.

    Each file is one tensor of shape (rows, layers, width), one file a split (`train.pt`,
    `test.pt`); the layers stand in the order of the model's hidden states. Files are read with
    `weights_only`, so that nothing in them can run.

    Parameters
    ----------
    source : str or Path
        The folder, or one file.
    path : str or Path
        Folder of the new store.
    ids : sequence of str or int, optional
        Of all rows, files in the order of their names. By default `<file>-<row>`.
    model : str
        For readers of the manifest; the files do not say.
    first_layer : int, default 0
        Number of the first layer in the files: 1 where the embedding output was left out.

    Returns
    -------
    ActivationStore
        In the type of the tensors: float32, float16 or bfloat16.

    Raises
    ------
    InputError
        No files, not tensors of that shape, different shapes or types, too few or many ids, values
        that are not finite.
    """
    place = Path(source)
    files = [place] if place.is_file() else sorted(place.glob("*.pt"))
    if not files:
        raise InputError(f"no .pt files in {str(source)!r}")
    tensors = [_load(file) for file in files]
    shapes = {(tensor.shape[1:], tensor.dtype) for tensor in tensors}
    if len(shapes) > 1:
        found = sorted(map(str, shapes))
        raise InputError(f"tensors of different kinds: {found}", where=str(place))
    names = [f"{f.stem}-{r}" for f, t in zip(files, tensors, strict=True) for r in range(len(t))]
    if ids is not None:
        given = as_names(ids, "ids")
        if len(given) != len(names):
            raise InputError(f"{len(given)} ids for {len(names)} rows")
        names = given
    joined = torch.cat(tensors)
    layers = range(first_layer, first_layer + joined.shape[1])
    dtype = str(joined.dtype).removeprefix("torch.")
    identity = {
        "imported": {file.name: sha256_file(file) for file in files},
        "first_layer": first_layer,
    }
    with ActivationWriter.create(
        path,
        identity=identity,
        ids=names,
        layers=layers,
        hidden_size=joined.shape[2],
        dtype=dtype,
        model=model,
    ) as writer:
        for index, rows in writer.claims():
            part = {layer: joined[rows, layer - first_layer] for layer in writer.needed(index)}
            writer.write_shard(
                index, {layer: to_numpy(states.contiguous()) for layer, states in part.items()}
            )
        return writer.finish({"imported_from": str(place.resolve().name)})


def _load(file: Path) -> torch.Tensor:
    try:
        # tensors only: no code of the file runs
        tensor = torch.load(file, map_location="cpu", weights_only=True)  # noqa: TID251
    except Exception as error:  # torch raises what it likes for a file that is none of its own
        raise InputError(f"not a tensor file: {error}", where=str(file)) from error
    kinds = (torch.float32, torch.float16, torch.bfloat16)
    usable = (
        isinstance(tensor, torch.Tensor)
        and (tensor.layout, tensor.ndim) == (torch.strided, 3)
        and tensor.dtype in kinds
        and not tensor.is_meta
    )
    if not usable:
        raise InputError(
            _in_words(tensor),
            where=str(file),
            allowed="one tensor (rows, layers, width) of float32, float16 or bfloat16",
            advice="Save that tensor alone in a file, with torch.save.",
        )
    if 0 in tensor.shape:
        raise InputError(f"an empty tensor of shape {tuple(tensor.shape)}", where=str(file))
    found: torch.Tensor = tensor.detach()  # what has a gradient cannot become an array
    return found


def _in_words(found: object) -> str:
    if isinstance(found, torch.Tensor):
        return f"{found.dtype} {tuple(found.shape)}"
    keys = f" of {first_few(found)}" if isinstance(found, dict) else ""
    return f"a {type(found).__name__}{keys}"
