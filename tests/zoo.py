"""Tiny random models of many text families that transformers offers, saved like real ones.

Configs are shrunk by the names that families give to their sizes; `OWN` holds what a family needs
besides, `NESTED` the configs of models that read more than text. `python -m tests.zoo` writes the
table of docs/models.md; tests/models/test_zoo.py runs every family of it.
"""

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import CONFIG_MAPPING, AutoModel, PreTrainedConfig, PreTrainedTokenizerFast

from w2sprobe.models import text_config
from w2sprobe.models.families import refusal
from w2sprobe.training.classifier_classes import UNTRAINABLE, classifier_class, has_own_class

PAGE = Path(__file__).parents[1] / "docs/models.md"
MARKS = ("<!-- families -->", "<!-- end of families -->")
WORDS = [f"w{number}" for number in range(40)]
VOCABULARY = {
    word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])
}
VOCABULARY_SIZE = 64
WIDTH, N_BLOCKS, N_HEADS, CONTEXT = 32, 3, 4, 64
FAMILIES = (
    *("albert", "apertus", "arcee", "bart", "bert", "big_bird", "biogpt", "blenderbot", "bloom"),
    *("camembert", "codegen", "cohere", "cohere2", "ctrl", "deberta", "deberta-v2", "deepseek_v2"),
    *("deepseek_v3", "distilbert", "electra", "ernie4_5", "eurobert", "exaone4", "falcon"),
    *("falcon_mamba", "flaubert", "gemma", "gemma2", "gemma3", "gemma3_text", "glm4", "gpt2"),
    *("gpt_bigcode", "gpt_neo", "gpt_neox", "gpt_oss", "gptj", "granite", "granitemoe", "helium"),
    *("hunyuan_v1_dense", "idefics3", "internvl", "jamba", "led", "lfm2", "lfm2_vl", "llama"),
    *("llama4_text", "llava", "longformer", "longt5", "m2m_100", "mamba", "mamba2", "mbart"),
    *("minimax", "ministral", "mistral", "mistral3", "mixtral", "modernbert"),
    *("modernbert-decoder", "mpnet", "mpt", "mt5", "nemotron", "olmo", "olmo2", "olmo3", "olmoe"),
    *("openai-gpt", "opt", "pegasus", "persimmon", "phi", "phi3", "phimoe", "qwen2_5_vl"),
    *("qwen2_moe", "qwen2_vl", "qwen3", "qwen3_5_text", "qwen3_moe", "qwen3_next", "qwen3_vl"),
    *("recurrent_gemma", "rembert", "roberta", "roformer", "rwkv", "seed_oss", "smollm3"),
    *("smolvlm", "squeezebert", "stablelm", "starcoder2", "switch_transformers", "t5", "t5gemma"),
    *("umt5", "xglm", "xlm-roberta", "xlnet"),
    # refused
    *(
        "canine",
        "convbert",
        "deepseek_v4",
        "fnet",
        "ibert",
        "nystromformer",
        "paligemma",
        "whisper",
    ),
)
# transformers' hidden_states[0] is not the embedding
NUMBERED_BY_OUTPUT = ("falcon_mamba", "mamba", "mamba2", "rwkv")
# by the names that configs use, whatever their family
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY_SIZE,
    **dict.fromkeys(
        ("hidden_size", "n_embd", "d_model", "dim", "emb_dim", "embedding_size"), WIDTH
    ),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), N_BLOCKS),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "num_decoder_layers"), N_BLOCKS),
    **dict.fromkeys(("num_encoder_layers",), N_BLOCKS),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), N_HEADS),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), N_HEADS),
    "num_key_value_heads": 2,
    **dict.fromkeys(("head_dim", "d_kv", "kv_lora_rank", "q_lora_rank"), 8),
    **dict.fromkeys(("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"), 8),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "d_ff", "d_inner", "hidden_dim"), 64),
    **dict.fromkeys(("n_inner", "encoder_ffn_dim", "decoder_ffn_dim"), 64),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 16),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    "num_experts_per_tok": 2,
    **dict.fromkeys(("n_group", "topk_group"), 1),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), CONTEXT),
    **dict.fromkeys(
        ("max_encoder_position_embeddings", "max_decoder_position_embeddings"), CONTEXT
    ),
    "state_size": 4,
    **dict.fromkeys(("pad_token_id", "decoder_start_token_id"), 0),
    "bos_token_id": 2,
    "eos_token_id": 3,
}
MLA = {"num_key_value_heads": N_HEADS, "head_dim": 8}  # multi-head latent attention shares no keys
LINEAR = {
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
STARTS = {"decoder_start_token_id": 0}
LFM = {"layer_types": ["conv", "full_attention", "conv"]}
VISION = {
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": N_HEADS,
    "image_size": 28,
    "patch_size": 14,
}
OWN: dict[str, dict[str, Any]] = {
    **dict.fromkeys(
        ("axk1", "axk2", "deepseek_v2", "deepseek_v3", "deepseek_v32", "glm4_moe_lite"), MLA
    ),
    **dict.fromkeys(("longcat_flash", "minicpm3", "mistral4", "sarvam_mla", "youtu"), MLA),
    "codegen": {"rotary_dim": 8},
    "gptj": {"rotary_dim": 8},
    "gpt_neo": {"attention_types": [[["global"], N_BLOCKS]]},
    "jamba": {
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "use_mamba_kernels": False,
        "mamba_d_state": 4,
        "mamba_dt_rank": 4,
    },
    "mamba2": {"num_heads": 8, "head_dim": 8, "state_size": 4, "n_groups": 1, "expand": 2},
    **dict.fromkeys(("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"), LINEAR),
    "led": {"attention_window": 8},
    "longformer": {"attention_window": 8},
    "xmod": {"default_language": "en_XX", "languages": ["en_XX"]},
    "reformer": {
        "axial_pos_embds_dim": [16, 16],
        "axial_pos_shape": [8, 8],
        "attn_layers": ["local", "lsh", "local"],
    },
    "lfm2": LFM,
    "lfm2_moe": LFM,
    "lilt": {"channel_shrink_ratio": 4},
    **dict.fromkeys(("t5", "mt5", "umt5", "longt5", "switch_transformers"), STARTS),
}
IMAGE = {"image_token_id": 60}
VIDEO = {**IMAGE, "video_token_id": 61, "vision_start_token_id": 62, "vision_end_token_id": 63}
ROTARY = {
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
}
QWEN_VISION = {
    "depth": 2,
    **dict.fromkeys(("hidden_size", "embed_dim", "out_hidden_size"), WIDTH),
    "num_heads": N_HEADS,
    "intermediate_size": 64,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "window_size": 28,
    "fullatt_block_indexes": [1],
    "mlp_ratio": 2,
    "num_position_embeddings": 16,
    "deepstack_visual_indexes": [0],
}
# family -> family of its text model, what is added to that, and the rest of its config
NESTED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "gemma3": ("gemma3_text", {}, {"vision_config": VISION, "mm_tokens_per_image": 4}),
    "idefics3": ("llama", {}, {"vision_config": VISION, **IMAGE}),
    "internvl": (
        "qwen2",
        {},
        {"vision_config": {**VISION, "image_size": [28, 28], "patch_size": [14, 14]}, **IMAGE},
    ),
    "lfm2_vl": ("lfm2", {}, {"vision_config": {**VISION, "num_patches": 16}, **IMAGE}),
    "llava": ("llama", {}, {"vision_config": {**VISION, "model_type": "clip_vision_model"}}),
    "mistral3": ("mistral", {}, {"vision_config": {**VISION, "model_type": "pixtral"}}),
    "paligemma": (
        "gemma",
        {},
        {
            "vision_config": {**VISION, "model_type": "siglip_vision_model", "projection_dim": 32},
            "projection_dim": 32,
        },
    ),
    "qwen2_5_vl": ("qwen2_5_vl_text", ROTARY, {"vision_config": QWEN_VISION, **VIDEO}),
    "qwen2_vl": ("qwen2_vl_text", ROTARY, {"vision_config": QWEN_VISION, **VIDEO}),
    "qwen3_vl": ("qwen3_vl_text", ROTARY, {"vision_config": QWEN_VISION, **VIDEO}),
    "smolvlm": ("llama", {}, {"vision_config": VISION, **IMAGE}),
}


def tiny_config(family: str) -> PreTrainedConfig:
    """Config of a model of a few thousand parameters."""
    if family == "t5gemma":  # two configs in one
        part = tiny_config("gemma2").to_dict()
        return CONFIG_MAPPING[family](encoder=part, decoder=part)
    if family in NESTED:
        text, added, rest = NESTED[family]
        return CONFIG_MAPPING[family](text_config=tiny_config(text).to_dict() | added, **rest)
    kind = CONFIG_MAPPING[family]
    names = {*inspect.signature(kind.__init__).parameters, *kind.attribute_map}
    if dataclasses.is_dataclass(kind):
        names |= {field.name for field in dataclasses.fields(kind)}
    sizes = {name: value for name, value in SIZES.items() if name in names}
    return kind(**sizes | OWN.get(family, {}))


def save_tiny(family: str, folder: Path) -> str:
    """Write a model with random weights, and a tokenizer of words; return the folder."""
    torch.manual_seed(0)
    network = AutoModel.from_config(tiny_config(family))
    # random blocks of width 32 hardly tell one text from another
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 2:
                parameter.mul_(4)
    network.save_pretrained(folder)
    words = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="$A [SEP]", special_tokens=[("[SEP]", VOCABULARY["[SEP]"])]
    )
    special = {"unk_token": "[UNK]", "eos_token": "[SEP]", "pad_token": "[PAD]"}
    PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder)
    return str(folder)


def table() -> str:
    """Markdown table of FAMILIES; tests/models/test_zoo.py runs every row of it."""
    lines = ["| family | hidden states | classifier |", "|---|---|---|"]
    for family in sorted(FAMILIES):
        config = tiny_config(family)
        reason = refusal(config)
        states = f"refused: {reason}" if reason else _states(config)
        if reason:
            classifier = "refused"
        elif family in UNTRAINABLE:
            classifier = f"refused: {UNTRAINABLE[family]}"
        elif has_own_class(config):
            classifier = classifier_class(config).__name__
        else:
            classifier = "linear head of w2sprobe"
        lines.append(f"| `{family}` | {states} | {classifier} |")
    return "\n".join(lines) + "\n"


def _states(config: PreTrainedConfig) -> str:
    if config.model_type in NUMBERED_BY_OUTPUT:
        return "yes; layer 0 follows the first block"
    if config.is_encoder_decoder:
        return "of the encoder"
    return "yes" if text_config(config) is config else "of the text model"


def write_table() -> None:
    """Write the table into docs/models.md, between its marks."""
    page = PAGE.read_text(encoding="utf-8")
    start, rest = page.split(MARKS[0])
    end = rest.split(MARKS[1])[1]
    PAGE.write_text(f"{start}{MARKS[0]}\n{table()}{MARKS[1]}{end}", encoding="utf-8")


if __name__ == "__main__":
    write_table()
