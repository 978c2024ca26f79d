"""Files as other tools write them, by their documented layout, from what transformers computes."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from tests.extraction.cases import states_alone
from tests.tiny import sentences
from w2sprobe.models import load_tokenizer

# unique and not too short, so that every planted fault can be seen
TEXTS = list(dict.fromkeys(text for text in sentences(60, seed=5) if len(text.split()) > 3))[:24]
ROWS = [{"id": f"r{number}", "text": text} for number, text in enumerate(TEXTS)]
States = Sequence[torch.Tensor]  # of each row: (layers, tokens, width)


def states(model: str, dtype: str = "float32") -> list[torch.Tensor]:
    return states_alone(model, TEXTS, dtype)


def token_ids(model: str) -> list[torch.Tensor]:
    tokenizer = load_tokenizer(model)
    return [torch.tensor(tokenizer(text)["input_ids"]) for text in TEXTS]


def write_requests(
    folder: Path, model: str, rows: States, layers: Sequence[int], dtype: torch.dtype
) -> None:
    """vLLM: a file per request, `token_ids` (tokens,), `hidden_states` (tokens, layers, width)."""
    folder.mkdir()
    for number, (row, tokens) in enumerate(zip(rows, token_ids(model), strict=True)):
        hidden = row[list(layers)].transpose(0, 1).to(dtype).contiguous()
        tensors = {"token_ids": tokens, "hidden_states": hidden}
        save_file(tensors, folder / f"hs_{number}.safetensors")


def write_hooks(folder: Path, model: str, rows: States, *, batch: int, left: bool) -> None:
    """TransformerLens: named tensors (batch, tokens, width), with tokens and mask."""
    folder.mkdir()
    tokens = token_ids(model)
    for start in range(0, len(rows), batch):
        part = range(start, min(start + batch, len(rows)))
        longest = max(len(tokens[row]) for row in part)
        cache = {
            f"blocks.{block}.hook_resid_post": torch.full(
                (len(part), longest, rows[0].shape[-1]), float("nan")
            )
            for block in range(2)
        }
        cache["blocks.0.attn.hook_z"] = torch.zeros(len(part), longest, 4, 8)
        cache["tokens"] = torch.zeros(len(part), longest, dtype=torch.int64)
        cache["attention_mask"] = torch.zeros(len(part), longest, dtype=torch.int64)
        for place, row in enumerate(part):
            n = len(tokens[row])
            real = slice(longest - n, longest) if left else slice(0, n)
            cache["tokens"][place, real], cache["attention_mask"][place, real] = tokens[row], 1
            for block in range(2):
                cache[f"blocks.{block}.hook_resid_post"][place, real] = rows[row][block + 1]
        save_file(cache, folder / f"batch_{start}.safetensors")


def write_lmprobe(folder: Path, rows: States, *, pooled: bool) -> None:
    """lmprobe: a file per prompt, named by its hash; layer_i is what block i returns."""
    folder.mkdir()
    (folder / "_model_name.txt").write_text("tiny")
    for text, row in zip(TEXTS, rows, strict=True):
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        if pooled:
            tensors = {
                f"pooled_last_token_layer_{block}": row[block + 1, -1:].clone()
                for block in range(2)
            }
        else:
            tensors = {f"layer_{block}": row[block + 1][None].clone() for block in range(2)}
        tensors["attention_mask"] = torch.ones(1, row.shape[1], dtype=torch.int64)
        save_file(tensors, folder / f"{name}.safetensors")
        save_file({"perplexity": torch.ones(3)}, folder / f"{name}.perplexity.safetensors")


def last(rows: States, layer: int) -> np.ndarray:
    """States of the last tokens, (rows, width)."""
    return torch.stack([row[layer, -1] for row in rows]).numpy()
