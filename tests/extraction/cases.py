"""Rows, and what transformers computes for them one by one."""

from collections.abc import Sequence

import numpy as np
import torch

from tests.tiny import sentences
from w2sprobe.models import describe_model, forget_models, load_base, load_tokenizer

TEXTS = sentences(40)
ROWS = [{"id": f"r{number}", "text": text} for number, text in enumerate(TEXTS)]


def states_alone(
    model: str, texts: Sequence[str] = TEXTS, dtype: str = "float32"
) -> list[torch.Tensor]:
    """Hidden states of each text by itself, without padding: (layers, tokens, width)."""
    info = describe_model(model)
    network, tokenizer = load_base(info, dtype, torch.device("cpu")), load_tokenizer(info.source)
    with torch.inference_mode():
        outputs = [
            network(**tokenizer(text, return_tensors="pt"), output_hidden_states=True)
            for text in texts
        ]
    return [torch.stack(output.hidden_states)[:, 0].float() for output in outputs]


def last_tokens_alone(model: str, dtype: str = "float32") -> np.ndarray:
    """States of the last tokens of `TEXTS`: (layers, rows, width)."""
    return torch.stack(
        [states[:, -1] for states in states_alone(model, dtype=dtype)], dim=1
    ).numpy()


def set_context(model: str, n_tokens: int) -> None:
    """Save the tokenizer with another limit."""
    tokenizer = load_tokenizer(model)
    tokenizer.model_max_length = n_tokens
    tokenizer.save_pretrained(model)
    forget_models()
