"""Sizes of the measurements: those of the published study, and tiny ones for tests."""

from dataclasses import dataclass, field
from typing import Any

SMOLLM2_135M = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49_152,
}
LLAMA_8B = {  # Llama-3-8B
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128_256,
}
LLAMA_TINY = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 300,
}


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    Parameters
    ----------
    product : int
        Rows and columns of the square matrix product that is the limit.
    searches : tuple of (rows, columns)
    k : int
        Neighbours.
    logistic : (rows, columns)
    attention : (rows, tokens of each, width)
    models : dict of str to dict
        Name, and the sizes of a Llama of random weights: speed depends on shapes alone.
    tokens : int
        Of a row that a model reads.
    rows : int
        Rows of an extraction.
    steps : int
        Optimiser steps of 32 rows that are timed.
    """

    name: str
    product: int
    searches: tuple[tuple[int, int], ...]
    k: int
    logistic: tuple[int, int]
    attention: tuple[int, int, int]
    models: dict[str, dict[str, Any]] = field(hash=False)
    tokens: int
    rows: int
    steps: int


FULL = Sizes(
    "full",
    product=8192,
    searches=((10_000, 2048), (100_000, 4096)),
    k=50,
    logistic=(10_000, 2048),
    attention=(2000, 64, 2048),
    models={"smollm2-135m": SMOLLM2_135M, "Llama of 8B shape": LLAMA_8B},
    tokens=200,
    rows=1024,
    steps=6,
)
TINY = Sizes(
    "tiny",
    product=64,
    searches=((300, 16), (400, 24)),
    k=5,
    logistic=(200, 8),
    attention=(40, 6, 8),
    models={"tiny Llama": LLAMA_TINY},
    tokens=12,
    rows=32,
    steps=2,
)
