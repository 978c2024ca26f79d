"""Small randomly initialised models of every supported architecture, saved like real ones."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    BertConfig,
    Gemma2Config,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    ModernBertConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2Tokenizer,
    RobertaConfig,
)

WORDS = [
    *("the", "a", "film", "food", "hotel", "doctor", "staff", "room", "was", "is", "very", "not"),
    *("good", "bad", "great", "awful", "warm", "cold", "we", "liked", "hated", "it", "and", "but"),
    *("never", "again", "would", "go", "there"),
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
VOCABULARY = {word: index for index, word in enumerate([*SPECIAL, *WORDS])}
SIZE = {
    "vocab_size": 300,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 3,
}
CONFIGS = {
    "llama": LlamaConfig(**SIZE, num_key_value_heads=2),
    "qwen2": Qwen2Config(**SIZE, num_key_value_heads=2),
    "gemma2": Gemma2Config(**SIZE, num_key_value_heads=2, head_dim=8),
    "gpt2": GPT2Config(
        vocab_size=300,
        n_embd=32,
        n_layer=3,
        n_head=4,
        n_positions=64,
        bos_token_id=3,
        eos_token_id=3,
    ),
    "gpt_neox": GPTNeoXConfig(**SIZE),
    "mistral": MistralConfig(**SIZE, num_key_value_heads=2, sliding_window=16),
    "bert": BertConfig(**SIZE),
    "roberta": RobertaConfig(**{**SIZE, "max_position_embeddings": 66}),
    "modernbert": ModernBertConfig(
        **SIZE,
        cls_token_id=2,
        sep_token_id=3,
        local_attention=8,
        global_attn_every_n_layers=2,
    ),
}
ENCODERS = ("bert", "roberta", "modernbert")


def save_tiny_model(
    name: str, folder: Path, *, padding_side: str = "right", seed: int = 0, **config: Any
) -> str:
    """Write model and tokenizer of the architecture; return the folder as a model name."""
    torch.manual_seed(seed)
    kind = AutoModelForMaskedLM if name in ENCODERS else AutoModelForCausalLM
    wanted = deepcopy(CONFIGS[name])
    wanted.update(config)
    kind.from_config(wanted).save_pretrained(folder)
    tiny_tokenizer(name, padding_side).save_pretrained(folder)
    return str(folder)


def tiny_tokenizer(name: str, padding_side: str) -> PreTrainedTokenizerBase:
    if name == "qwen2":  # AutoTokenizer insists on this class for this architecture
        return Qwen2Tokenizer(*_byte_pairs(), padding_side=padding_side, model_max_length=64)
    words = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    if name in ENCODERS:
        words.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    # gpt2 has no padding token, as in real life
    padding = {} if name == "gpt2" else {"pad_token": "[PAD]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="[UNK]",
        eos_token="[SEP]",
        padding_side=padding_side,
        model_max_length=64,
        **padding,
    )


def _byte_pairs() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges in which every known word, after a space, is one token."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learner.train_from_iterator(
        [f" {word}" for word in WORDS] * 9,
        trainers.BpeTrainer(vocab_size=300, special_tokens=["<|endoftext|>"], show_progress=False),
    )
    learned = json.loads(learner.to_str())["model"]
    return learned["vocab"], [tuple(pair) for pair in learned["merges"]]


def sentences(n: int, seed: int = 0, longest: int = 30) -> list[str]:
    """Random sentences of 1 to `longest` known words."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (n,), generator=generator).tolist()
    return [
        " ".join(
            WORDS[index]
            for index in torch.randint(0, len(WORDS), (length,), generator=generator).tolist()
        )
        for length in lengths
    ]
