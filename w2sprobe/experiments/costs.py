"""Estimated costs of stages: operations, disk, memory.

Operations are matrix products with weights: 2 per weight and token in a forward pass, 2 more for
gradients of activations, 2 more for gradients of weights (Kaplan et al., arXiv 2001.08361, section
2.1); frozen weights have no gradients. Products inside attention are ignored; they matter where
texts are several times longer than the model is wide.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from w2sprobe.cache import store_size_bytes
from w2sprobe.data import Rows, Splits
from w2sprobe.devices import resolve_device
from w2sprobe.experiments.stages import Cost, Stage
from w2sprobe.models import DTYPES, ModelInfo, count_parameters, load_tokenizer
from w2sprobe.training.classifier_classes import classifier_tokens
from w2sprobe.training.settings import TrainSettings

VOTE_BYTES = 200  # per row, layer and label vector, with some twenty settings
LABEL_BYTES = 60  # per row of a LabelTable, roughly
WORKSPACE_BYTES = 1 << 30  # activations and buffers of a language model at work
FULL_STATE_BYTES = 16  # per trained weight: itself, its gradient and two moments, in float32
EFFICIENCY = 0.5  # share of the speed of one large product that a model reaches
WEIGHT_BYTES = {"4bit": 0.5, **{name: float(kind.itemsize) for name, kind in DTYPES.items()}}


@dataclass(frozen=True)
class TokenCounts:
    """Numbers of tokens of a task, for the tokenizer of one model.

    Parameters
    ----------
    tokens : dict of str to int
        Sum by split, after truncation.
    n_truncated : int
        Rows that were cut to the context.
    """

    tokens: dict[str, int]
    n_truncated: int

    @property
    def stored(self) -> int:
        """Tokens of the rows whose activations are extracted."""
        return sum(self.tokens[name] for name in ("strong_train", "val", "test"))

    @classmethod
    def among(cls, counts: "RowTokens", splits: Splits) -> "TokenCounts":
        """Sum counts of rows by split."""
        found = {name: [counts[row] for row in rows.ids.tolist()] for name, rows in splits.items()}
        return cls(
            {name: sum(tokens for tokens, _ in rows) for name, rows in found.items()},
            sum(cut for rows in found.values() for _, cut in rows),
        )


RowTokens = dict[str, tuple[int, bool]]  # by id: tokens, and whether the text was cut


def count_rows(info: ModelInfo, parts: Iterable[Rows], *, truncate: bool) -> RowTokens:
    """Count the tokens of each row, as a classifier of the model reads them.

    Raises
    ------
    InputError
        A text is too long, without `truncate`; it has no tokens; or it has the end-of-text
        token twice, for a classifier that reads its hidden state.
    """
    tokenizer, counts = load_tokenizer(info.source), RowTokens()
    for rows in parts:
        new = rows.select([n for n, name in enumerate(rows.ids.tolist()) if name not in counts])
        if len(new):
            found = classifier_tokens(info, tokenizer, new, truncate=truncate)
            cut = found.n_read < found.lengths
            each = zip(found.lengths.tolist(), cut.tolist(), strict=True)
            counts |= zip(new.ids.tolist(), each, strict=True)
    return counts


def forward_cost(info: ModelInfo, n_tokens: int, n_rows: int) -> Cost:
    """Cost of one forward pass over the rows, to predict labels."""
    weights = count_parameters(info.source)
    return Cost(
        flops=2.0 * weights.blocks * n_tokens,
        disk_bytes=LABEL_BYTES * n_rows,
        memory_bytes=_model_bytes(info, info.dtype),
        model=True,
    )


def extract_cost(info: ModelInfo, n_tokens: int, n_rows: int, n_layers: int) -> Cost:
    """Cost of extracting activations: a pass over all tokens, one vector per row and layer."""
    size = store_size_bytes(n_rows, n_layers, info.hidden_size, info.dtype)
    flops = 2.0 * count_parameters(info.source).blocks * n_tokens
    return Cost(flops, size, _model_bytes(info, info.dtype), model=True)


def train_cost(
    info: ModelInfo, settings: TrainSettings, precision: str, trained: int, val: int, predicted: int
) -> Cost:
    """Cost of finetuning, from tokens trained on, validated after each epoch, and predicted."""
    weights = count_parameters(info.source)
    passes = 6.0 if settings.full else 4.0
    below = settings.lora_from_layer / info.n_layers  # frozen: computed once, not in every epoch
    an_epoch = (1 - below) * (passes * trained + 2.0 * val)
    tokens = settings.epochs * an_epoch + 2.0 * below * (trained + val) + 2.0 * predicted
    memory = _model_bytes(info, "float32" if settings.full else precision)
    lora = settings.lora_rank * weights.sides * (1 - below)
    disk = round(4 * (weights.total if settings.full else lora))
    if settings.full:
        memory += (FULL_STATE_BYTES - 4) * weights.total
    return Cost(weights.blocks * tokens, disk, memory, model=True)


def votes_cost(hidden: int, n_rows: int, n_layers: int, n_labels: int) -> Cost:
    """Cost of probes on some layers: distances between all rows, and fits to all label vectors."""
    layer = 2.0 * n_rows**2 * hidden * (1 + n_labels)
    return Cost(
        flops=n_layers * layer,
        disk_bytes=VOTE_BYTES * n_rows * n_layers * n_labels,
        memory_bytes=6 * 4 * n_rows * hidden,
    )


def estimate_seconds(stages: list[Stage], seconds: dict[str, float]) -> dict[str, float]:
    """Expected seconds of the stages that are not done, run one by one on this machine.

    Parameters
    ----------
    seconds : dict of str to float
        Seconds of the stages that are done, by address.

    Returns
    -------
    dict of str to float
        By address; from the speed of finished stages of the same kind, else from the speed of a
        matrix product measured here.
    """
    done: dict[str, list[Stage]] = {}
    for stage in stages:
        if stage.address in seconds and stage.cost.flops:
            done.setdefault(stage.kind, []).append(stage)
    speeds = {
        kind: sum(one.cost.flops for one in same) / sum(seconds[one.address] for one in same)
        for kind, same in done.items()
        if sum(seconds[one.address] for one in same) > 0
    }
    missing = [stage for stage in stages if stage.address not in seconds]
    if any(stage.kind not in speeds for stage in missing):
        measured = EFFICIENCY * product_speed()
    return {
        stage.address: stage.cost.flops / (speeds.get(stage.kind) or measured) for stage in missing
    }


def product_speed() -> float:
    """Operations per second of a large matrix product, measured now."""
    device = resolve_device()
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    size = 8192 if device.type == "cuda" else 1024
    matrix = torch.ones(size, size, dtype=dtype, device=device)
    best = 0.0
    for _ in range(4):  # the first one warms up
        start = time.perf_counter()
        float((matrix @ matrix)[0, 0])  # waits for the result
        best = max(best, 2.0 * size**3 / (time.perf_counter() - start))
    return best


def _model_bytes(info: ModelInfo, precision: str) -> int:
    return (
        round(count_parameters(info.source).total * WEIGHT_BYTES.get(precision, 8.0))
        + WORKSPACE_BYTES
    )
