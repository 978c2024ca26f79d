"""Continuations that a model writes itself, kept beside a store as tokens and text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from w2sprobe.atomic import atomic_path
from w2sprobe.cache import GENERATED
from w2sprobe.errors import StoreDamaged
from w2sprobe.models import ModelInfo, read_config, running
from w2sprobe.progress import progress_bar


def stop_tokens(info: ModelInfo) -> list[int]:
    """Tokens that end a text of the model, ascending."""
    try:
        config = GenerationConfig.from_pretrained(info.source)
    except OSError:  # the model has no generation_config.json
        config = GenerationConfig.from_model_config(read_config(info.source))
    tokens = config.eos_token_id
    return sorted({*tokens} if isinstance(tokens, list) else {tokens} - {None})


def greedy(
    network: PreTrainedModel,
    info: ModelInfo,
    prompts: Sequence[np.ndarray],
    *,
    n_tokens: int,
    batch_tokens: int,
) -> list[np.ndarray]:
    """Continue every prompt by its most probable tokens.

    Prompts of equal length share a batch, so that none is padded. Rounding still depends on the
    batch: where two tokens are almost equally probable, another `batch_tokens` may choose the
    other.

    Parameters
    ----------
    network : PreTrainedModel
        Causal model with its head.
    prompts : sequence of ndarray of int, length n
        Tokens of each prompt.
    n_tokens : int
        Most tokens of a continuation; it ends earlier with one of `stop_tokens`, which is kept.
    batch_tokens : int
        Tokens per batch, continuations included.

    Returns
    -------
    list of ndarray of int32, length n
        At least one token each.
    """
    # a new config: sampling and penalties of the model's own would change what is most probable
    network.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=n_tokens,
        do_sample=False,
        eos_token_id=stop_tokens(info) or None,
        pad_token_id=info.pad_id,
    )
    lengths = np.array([len(prompt) for prompt in prompts])
    written: list[np.ndarray] = [np.zeros(0, dtype=np.int32)] * len(prompts)
    with progress_bar(f"generating with {info.name}", len(prompts)) as advance:
        for length in np.unique(lengths).tolist():
            same = np.flatnonzero(lengths == length)
            size = max(1, batch_tokens // (length + n_tokens))
            for rows in np.split(same, range(size, len(same), size)):
                batch = np.stack([prompts[row] for row in rows])
                for row, tokens in zip(rows, _continue(network, batch), strict=True):
                    written[row] = _until_stop(tokens, stop_tokens(info))
                advance(len(rows))
    return written


@torch.inference_mode()
def _continue(network: Any, batch: np.ndarray) -> np.ndarray:
    """Tokens after the prompts, (rows, at most n_tokens), with padding after a stop token."""
    tokens = torch.as_tensor(batch, dtype=torch.int64, device=network.device)
    with running(network):
        whole = network.generate(tokens, attention_mask=torch.ones_like(tokens))
    after: np.ndarray = whole[:, batch.shape[1] :].cpu().numpy().astype(np.int32)
    return after


def _until_stop(tokens: np.ndarray, stops: Sequence[int]) -> np.ndarray:
    ends = np.flatnonzero(np.isin(tokens, stops))
    return tokens[: ends[0] + 1] if len(ends) else tokens


def write_continuations(
    folder: Path,
    ids: Sequence[str],
    tokens: Sequence[np.ndarray],
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Write `generated.parquet` with columns id, text (without special tokens) and tokens."""
    table = pa.table(
        {
            "id": list(ids),
            "text": [tokenizer.decode(row, skip_special_tokens=True) for row in tokens],
            "tokens": pa.array([row.tolist() for row in tokens], type=pa.list_(pa.int32())),
        }
    )
    with atomic_path(folder / GENERATED) as temporary:
        pq.write_table(table, temporary, write_page_checksum=True)


def read_continuations(folder: Path, ids: Sequence[str]) -> list[np.ndarray] | None:
    """Tokens that were written before; None if there are none.

    Raises
    ------
    StoreDamaged
        The file cannot be read, or holds other rows.
    """
    path = folder / GENERATED
    if not path.is_file():
        return None
    advice = "Extract again into another folder."
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        names, rows = (table[name].to_pylist() for name in ("id", "tokens"))
    except (OSError, KeyError, pa.ArrowException) as error:
        raise StoreDamaged(f"cannot be read: {error}", where=str(path), advice=advice) from error
    if names != list(ids):
        raise StoreDamaged("continuations of other rows", where=str(path), advice=advice)
    return [np.array(row, dtype=np.int32) for row in rows]
