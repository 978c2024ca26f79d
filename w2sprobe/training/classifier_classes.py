"""Classifier classes: those of transformers, or a linear head on the family's base model.

transformers has sequence classification for two thirds of its text families. For the others a class
is made here of the family's base model and a linear layer on the last token of the text model. Runs
with such a head are read by this package only; plain PEFT reads the others.
"""

import functools
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    MODEL_MAPPING,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from w2sprobe.data import Rows
from w2sprobe.errors import InputError
from w2sprobe.models import ModelInfo, read_config, text_config, text_model
from w2sprobe.tokens import Tokens, tokenize

N_LOGITS = 2
_Model: Any = torch.nn.Module  # for the type checker; mixed into a PreTrainedModel


class LastTokenHead(_Model):  # type: ignore[misc]
    """Mixin for a family's base class: two logits from the hidden state of each last token."""

    body_class: type[PreTrainedModel]

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__(config)
        setattr(self, self.base_model_prefix, self.body_class(config))
        width = text_config(config).hidden_size
        self.score = torch.nn.Linear(width, N_LOGITS, bias=False)
        self.post_init()

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any
    ) -> SequenceClassifierOutput:
        """Return logits of right-padded rows, (rows, 2)."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        body = text_model(getattr(self, self.base_model_prefix))
        output = body(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
        last = attention_mask.sum(dim=1) - 1
        rows = torch.arange(len(input_ids), device=input_ids.device)
        return SequenceClassifierOutput(logits=self.score(output.last_hidden_state[rows, last]))


ROUTERS = "its routers have classifiers that PEFT would take for the head"
# Families that cannot be trained as classifiers; their hidden states can be extracted.
UNTRAINABLE = {
    "nllb-moe": ROUTERS,
    "switch_transformers": ROUTERS,
    "ibert": "its linear layers are of a kind that LoRA does not know",
    "t5gemma": "its classifier depends on padding, and so on the other rows of a batch",
    "xlnet": "its classifier reads the last position, padding included",
}

# Families whose blocks read more than hidden states, so that lower blocks cannot be skipped.
WITHOUT_PREFIX = frozenset({"led", "longformer", "rwkv", "squeezebert"})


def classifier_backbone(classifier: PreTrainedModel) -> PreTrainedModel:
    """Part of a classifier, without its head, that predictions depend on."""
    body = cast("PreTrainedModel", classifier.base_model)
    return body if reads_eos_token(classifier.config) else text_model(body)


def reads_eos_token(config: PreTrainedConfig) -> bool:
    """Whether the classifier reads the hidden state of the end-of-text token."""
    return has_own_class(config) and config.is_encoder_decoder


def check_eos_tokens(
    config: PreTrainedConfig, ids: Sequence[str], rows: Sequence[np.ndarray]
) -> None:
    """Refuse rows without exactly one end-of-text token, if the classifier reads it.

    Raises
    ------
    InputError
        Names the first such row.
    """
    if not reads_eos_token(config):
        return
    counts = [int((row == config.eos_token_id).sum()) for row in rows]
    bad = [row for row, count in enumerate(counts) if count != 1]
    if bad:
        raise InputError(
            f"row {ids[bad[0]]!r} (and {len(bad) - 1} more) has {counts[bad[0]]} end-of-text "
            f"tokens (id {config.eos_token_id})",
            allowed=f"one, whose hidden state {config.model_type} classifiers read",
            advice="Take the token out of the texts.",
        )


def classifier_tokens(
    info: ModelInfo,
    tokenizer: PreTrainedTokenizerBase,
    rows: Rows,
    *,
    truncate: bool,
) -> Tokens:
    """Tokenize rows for a classifier of the model, in the order given.

    Raises
    ------
    InputError
        As `tokenize` and `check_eos_tokens`.
    """
    ids = rows.ids.tolist()
    tokens = tokenize(
        tokenizer,
        ids,
        rows.texts,
        max_tokens=info.max_tokens,
        vocab_size=info.vocab_size,
        truncate=truncate,
        chats=rows.chats,
    )
    check_eos_tokens(read_config(info.source), ids, tokens.input_ids)
    return tokens


def has_own_class(config: PreTrainedConfig) -> bool:
    """Whether transformers has sequence classification for this family."""
    return type(config) in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING


def classifier_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """Class of a classifier on the base model that a config describes."""
    if has_own_class(config):
        family = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]
        return cast("type[PreTrainedModel]", family)
    return _with_head(MODEL_MAPPING[type(config)])


@functools.cache
def _with_head(body: type[PreTrainedModel]) -> type[PreTrainedModel]:
    family = [base for base in body.__mro__ if issubclass(base, PreTrainedModel)][1]
    classifier = type(
        body.__name__.removesuffix("Model") + "ForSequenceClassification",
        (LastTokenHead, family),
        {
            "body_class": body,
            "config_class": body.config_class,
            "base_model_prefix": body.base_model_prefix or "model",
            "__module__": __name__,
        },
    )
    return cast("type[PreTrainedModel]", classifier)
