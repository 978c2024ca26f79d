"""Rows and a model to an activation store; the only room that touches both.

Hidden states are those of the base model: no LoRA, no classification head.
"""

import importlib.metadata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from w2sprobe.cache import ActivationStore, ActivationWriter
from w2sprobe.errors import InputError
from w2sprobe.fingerprint import fingerprint_strings
from w2sprobe.layers import parse_layers
from w2sprobe.models import (
    DTYPES,
    ModelInfo,
    describe_model,
    load_base,
    load_tokenizer,
    resolve_device,
)
from w2sprobe.progress import Advance, progress_bar
from w2sprobe.tokens import length_sorted_batches, pad, tokenize

POSITIONS = ("last",)
BATCH_TOKENS = 512  # 2 cores: 53 rows a second at 512 tokens a batch, 46 at 1,024
ROWS_PER_SHARD = 1024


def extract(
    model: str,
    dataset: Iterable[Mapping[str, Any]],
    path: str | Path,
    *,
    layers: str | int | Sequence[int] = "all",
    position: str = "last",
    dtype: str = "auto",
    truncate: bool = False,
    batch_tokens: int = BATCH_TOKENS,
    rows_per_shard: int = ROWS_PER_SHARD,
    device: str = "auto",
) -> ActivationStore:
    """Compute hidden states of a base model once and keep them in an HDF5 store.

    A complete store is opened and returned; an unfinished one continues at its first missing
    shard, and ends byte for byte as if it had never stopped.

    Parameters
    ----------
    model : str
        Asset name, local folder or Hugging Face hub name.
    dataset : iterable of mappings
        Rows with `id` (unique) and `text`: a list of dicts, a `datasets.Dataset`.
    path : str or Path
        Folder of the store.
    layers : str, int or sequence of int, default "all"
        Indices into the model's `hidden_states`; see `w2sprobe.layers.parse_layers`.
    position : {"last"}
        Which token: the last real one of a row.
    dtype : {"auto", "float32", "float16", "bfloat16"}
        What the model computes in and the store holds; "auto" is the checkpoint's own.
    truncate : bool, default False
        Cut texts to the model's context instead of refusing them; the count is in the manifest.
    batch_tokens : int, default 512
        Tokens in a batch, padding included. Does not change the address.
    rows_per_shard : int, default 1024
        Rows that are lost at most when a run is killed.
    device : str, default "auto"
        `auto`, `cpu`, `cuda`, `cuda:1`.

    Returns
    -------
    ActivationStore

    Raises
    ------
    InputError
        Unknown model, layer, position, dtype or device; a text that is empty, or too long
        without `truncate`; rows without id or text. Raised before weights are loaded.
    StoreMismatch
        The folder holds another model, other rows or settings.
    """
    ids, texts = _columns(dataset)
    info, place = describe_model(model), resolve_device(device)
    tokens = tokenize(
        load_tokenizer(info.source), ids, texts, max_tokens=info.max_tokens, truncate=truncate
    )
    identity = store_identity(info, ids, texts, position=position, dtype=dtype, truncate=truncate)
    writer = ActivationWriter.create(
        Path(path),
        identity=identity,
        ids=ids,
        layers=parse_layers(layers, range(info.n_layers + 1)),
        hidden_size=info.hidden_size,
        dtype=identity["dtype"],
        rows_per_shard=rows_per_shard,
    )
    missing = writer.missing()
    if missing:
        network = load_base(info, identity["dtype"], place)
        n_rows = sum(rows.stop - rows.start for _, rows in missing)
        with progress_bar(f"extracting {info.name}", n_rows) as advance:
            for index, rows in missing:
                states = last_token_states(
                    network, tokens.input_ids[rows], writer.layers, batch_tokens, advance
                )
                writer.write_shard(index, states)
    return writer.finish(
        {
            "n_truncated": tokens.n_truncated,
            "padding_side": "right",
            "torch": torch.__version__,
            "transformers": importlib.metadata.version("transformers"),
        }
    )


def store_identity(
    info: ModelInfo,
    ids: Sequence[str],
    texts: Sequence[str],
    *,
    position: str = "last",
    dtype: str = "auto",
    truncate: bool = False,
) -> dict[str, Any]:
    """Everything that determines a store's bytes; its fingerprint is the store's address.

    Raises
    ------
    InputError
        Unknown position or dtype.
    """
    if position not in POSITIONS:
        raise InputError(f"unknown position {position!r}", allowed=", ".join(POSITIONS))
    if dtype != "auto" and dtype not in DTYPES:
        raise InputError(f"unknown dtype {dtype!r}", allowed=f"auto, {', '.join(DTYPES)}")
    return {
        "model": info.identity,
        "rows": fingerprint_strings(ids, texts),
        "position": position,
        "dtype": info.dtype if dtype == "auto" else dtype,
        "max_tokens": info.max_tokens,
        "truncate": truncate,
    }


@torch.inference_mode()
def last_token_states(
    network: PreTrainedModel,
    input_ids: Sequence[Sequence[int]],
    layers: Sequence[int],
    batch_tokens: int = BATCH_TOKENS,
    advance: Advance = lambda _: None,
) -> dict[int, np.ndarray]:
    """Hidden states at the last token of each row.

    Parameters
    ----------
    network : PreTrainedModel
        Base model in evaluation mode.
    input_ids : sequence of sequence of int, length n
        Tokens of each row, without padding.
    layers : sequence of int
        Indices into `hidden_states`.
    batch_tokens : int
        Tokens in a batch, padding included.
    advance : callable, optional
        Told the rows of each finished batch.

    Returns
    -------
    dict of int to ndarray, shape (n, hidden_size)
        In the network's dtype, rows in the order given; bfloat16 as uint16 bit patterns.
    """
    lengths = np.array([len(row) for row in input_ids])
    states: dict[int, torch.Tensor] = {}
    for rows in length_sorted_batches(lengths, batch_tokens):
        batch = pad([input_ids[row] for row in rows], pad_id=0)
        output = network(
            **{name: tensor.to(network.device) for name, tensor in batch.items()},
            output_hidden_states=True,
            use_cache=False,
        )
        last = torch.as_tensor(lengths[rows] - 1, device=network.device)
        row_index = torch.arange(len(rows), device=network.device)
        for layer in layers:
            found = output.hidden_states[layer][row_index, last].cpu()
            if layer not in states:
                states[layer] = torch.empty(len(lengths), found.shape[1], dtype=found.dtype)
            states[layer][torch.as_tensor(rows)] = found
        advance(len(rows))
    return {layer: _to_numpy(tensor) for layer, tensor in states.items()}


def _to_numpy(tensor: torch.Tensor) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.uint16).numpy()
    return tensor.numpy()


def _columns(dataset: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    ids, texts = [], []
    for number, row in enumerate(dataset, start=1):
        for column in ("id", "text"):
            if not isinstance(row.get(column), str) or not row[column].strip():
                raise InputError(
                    f"{column} is {row.get(column)!r}", where=f"row {number}", allowed="a string"
                )
        ids.append(row["id"])
        texts.append(row["text"])
    if not ids:
        raise InputError("dataset without rows")
    return ids, texts
