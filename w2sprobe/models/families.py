"""Differences between model families: text model, number of blocks, context, refused families.

The tables here and in `w2sprobe.training.classifier_classes` hold what configs do not say;
`tests/models/test_zoo.py` runs tiny models of many families.
"""

from typing import Any

from transformers import MODEL_MAPPING, PreTrainedConfig

NO_LIMIT = 1_000_000  # tokenizers without a limit report a huge one
# Names under which configs keep the number of positions. Names that limit nothing are left out,
# such as n_positions of T5, whose positions are relative.
CONTEXT_FIELDS = ("max_position_embeddings", "max_encoder_position_embeddings", "max_seq_len")
# Positions begin after the padding token's id, so that the first entries of the table are unused.
POSITIONS_AFTER_PADDING = frozenset(
    {
        *("camembert", "data2vec-text", "esm", "ibert", "layoutlmv3", "lilt", "longformer", "luke"),
        *("markuplm", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl"),
        "xmod",
    }
)


STREAMS = "it keeps several hidden states per token and layer"
PADDING = "its hidden states depend on padding, and so on the other rows of a batch"
LAYOUT = "it needs the position of every word on a page"
# Families whose hidden states are not one vector per token and layer, or depend on other rows.
REFUSED = {
    "canine": "it reads characters, and its blocks shorten the sequence",
    "convbert": PADDING,
    "cpmant": "it adds tokens of its own before every text",
    "deepseek_v4": STREAMS,
    "dory": "its hidden states are not one for each block",
    "fnet": PADDING,
    "fsmt": "its encoder has no config of its own to read layers by",
    "funnel": "its blocks shorten the sequence",
    "hy_v4": STREAMS,
    "layoutlmv2": LAYOUT,
    "layoutlmv3": LAYOUT,
    "longcat_flash": "its hidden states are not one for each block",
    "nystromformer": PADDING,
    "paligemma": PADDING,
    "pegasus_x": "it fills texts up to its window, and returns hidden states of the filling",
    "perceiver": "its hidden states are not those of tokens",
    "qwen4_exp": STREAMS,
    "qwen4_exp_text": STREAMS,
    "reformer": "its attention hashes at random, and its last state is twice as wide",
    "udop": LAYOUT,
    "yoso": PADDING,
}


def refusal(config: PreTrainedConfig) -> str:
    """Reason why a model cannot be used, as the end of a sentence; empty where it can."""
    if config.model_type in REFUSED:
        return REFUSED[config.model_type]
    if type(config) not in MODEL_MAPPING:
        return "transformers has no base model for this architecture"
    body: Any = MODEL_MAPPING[type(config)]
    if getattr(body, "main_input_name", "input_ids") != "input_ids":
        return f"it reads {body.main_input_name}, not text"
    if not n_blocks(config) or not hasattr(text_config(config), "hidden_size"):
        return "its config describes no text model with blocks of one width"
    return ""


def text_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """Config of the part that reads text: a multimodal model's text model, or an encoder.

    `config` itself where the model has a single part.
    """
    if config.is_encoder_decoder:
        encoder = getattr(config, "encoder", None)  # T5Gemma's encoder has a config of its own
        return text_config(encoder) if isinstance(encoder, PreTrainedConfig) else config
    return config.get_text_config()


def n_blocks(config: PreTrainedConfig) -> int:
    """Number of transformer blocks of the text model; 0 where the config does not say."""
    text = text_config(config)
    names = ("encoder_layers", "num_encoder_layers") if text.is_encoder_decoder else ()
    for name in (*names, "num_hidden_layers"):
        number = getattr(text, name, None)
        if isinstance(number, int):
            return number
    return 0


def usable_context(config: PreTrainedConfig, tokenizer_limit: int) -> int | None:
    """Most tokens that a row may have, special tokens included; None without a limit.

    Parameters
    ----------
    tokenizer_limit : int
        `model_max_length` of the tokenizer. No limit is written as None, -1 or a huge number, in
        configs as well.
    """
    text = text_config(config)
    limits = [tokenizer_limit, *(getattr(text, name, None) for name in CONTEXT_FIELDS)]
    # MPNet's positions begin at 2, whatever its padding token
    unused = 2 if text.model_type == "mpnet" else 0
    if text.model_type in POSITIONS_AFTER_PADDING:
        unused = (text.pad_token_id or 0) + 1
    limits[1:] = [limit - unused for limit in limits[1:] if limit]
    known = [int(limit) for limit in limits if limit is not None and 0 < limit < NO_LIMIT]
    return min(known, default=None)


def layers_of(config: PreTrainedConfig) -> range:
    """Layers of the same width: all, except OPT's last one where it is projected."""
    n_layers = n_blocks(config)
    projected = getattr(text_config(config), "word_embed_proj_dim", None)
    same = projected in (None, text_config(config).hidden_size)
    return range(n_layers + 1 if same else n_layers)
