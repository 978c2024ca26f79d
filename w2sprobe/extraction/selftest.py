"""Does batching change the numbers? A few rows, computed alone, answer before a job begins."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from w2sprobe.errors import W2SProbeError
from w2sprobe.extraction.forward import Extractor
from w2sprobe.extraction.positions import keep_tokens
from w2sprobe.models import blocks_of

N_ROWS = 4
# Largest relative difference of a vector, batched against alone. smollm2-135m on 64 sentences,
# all layers: 1.1e-6, 1.9e-3, 1.5e-2; rows mixed up differ by about 1.
TOLERANCE = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}


def choose_rows(lengths: np.ndarray) -> np.ndarray:
    """Positions of the shortest and the longest row and of some between them."""
    order = np.argsort(lengths, kind="stable")
    picks = np.linspace(0, len(order) - 1, min(N_ROWS, len(order))).round().astype(int)
    chosen: np.ndarray = order[np.unique(picks)]
    return chosen


def self_test(
    network: PreTrainedModel,
    input_ids: Sequence[np.ndarray],
    spans: np.ndarray,
    layers: Sequence[int],
    *,
    average: bool,
) -> dict[str, Any]:
    """Compare rows in one padded batch with the same rows alone, as transformers returns them.

    Parameters
    ----------
    network : PreTrainedModel
        Base model in evaluation mode.
    input_ids : sequence of ndarray of int, length n
        Rows of different lengths.
    spans : ndarray of int64, shape (n, 2)
    layers : sequence of int
        Ascending.
    average : bool

    Returns
    -------
    dict
        `rows`, `max_relative_difference`, `tolerance`, `padding_side`, and
        `last_layer_is_normed`: whether the model's last hidden state is what its last block
        returned (false) or that after a final norm (true); None where the blocks are not found.

    Raises
    ------
    W2SProbeError
        The difference is beyond the tolerance, which depends on what the model computes in.
    """
    dtype = str(network.dtype).removeprefix("torch.")
    tokens = sum(map(len, input_ids))
    together = Extractor(
        network, average=average, dtype="float32", batch_tokens=tokens, one_batch=True
    )
    batched = together.states(input_ids, spans, layers)
    alone, normed = _alone(network, input_ids, spans, layers, average=average)
    worst = 0.0
    for layer in layers:
        difference = np.linalg.norm(batched[layer] - alone[layer], axis=1)
        norm = np.linalg.norm(alone[layer], axis=1)
        relative = difference / np.maximum(norm, np.finfo(np.float32).tiny)
        # a row that is not finite by itself is the writer's to name; NaN must not pass as small
        relative = np.where(np.isnan(relative), np.inf, relative)[np.isfinite(norm)]
        worst = max(worst, float(relative.max(initial=0.0)))
    if not worst <= TOLERANCE[dtype]:
        raise W2SProbeError(
            f"rows in a batch and alone differ by {worst:.3g}, relatively",
            allowed=f"up to {TOLERANCE[dtype]} in {dtype}",
            advice="This model mixes padding or other rows into its hidden states; "
            "try float32, or report it.",
        )
    return {
        "rows": len(input_ids),
        "max_relative_difference": worst,
        "tolerance": TOLERANCE[dtype],
        "padding_side": "right",
        "last_layer_is_normed": normed,
    }


@torch.inference_mode()
def _alone(
    network: PreTrainedModel,
    input_ids: Sequence[np.ndarray],
    spans: np.ndarray,
    layers: Sequence[int],
    *,
    average: bool,
) -> tuple[dict[int, np.ndarray], bool | None]:
    n_layers = network.config.get_text_config().num_hidden_layers
    blocks = blocks_of(network)
    returned: list[torch.Tensor] = []

    def hook(_: torch.nn.Module, __: Any, output: Any) -> None:
        returned.append(output[0] if isinstance(output, tuple) else output)

    handle = blocks[-1].register_forward_hook(hook) if blocks is not None else None
    parts: dict[int, list[torch.Tensor]] = {layer: [] for layer in layers}
    normed = None
    try:
        for row, span in zip(input_ids, spans, strict=True):
            output = network(
                input_ids=torch.as_tensor(row[None], dtype=torch.int64, device=network.device),
                output_hidden_states=True,
                use_cache=False,
            )
            kept = torch.as_tensor(span[None])
            for layer in layers:
                vectors = keep_tokens(output.hidden_states[layer], kept, average=average)
                parts[layer].append(vectors.float().cpu())
            if returned:
                last = output.hidden_states[n_layers]
                normed = not torch.equal(returned[-1].to(last.device), last)
    finally:
        if handle:
            handle.remove()
    return {layer: torch.cat(found).numpy() for layer, found in parts.items()}, normed
