"""Models by name, folder or asset: what they are, their base, their classifier with LoRA.

`describe_model` answers everything that can be known without loading weights, so that all of a
user's input can be checked first.
"""

import functools
import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from peft.utils.constants import SEQ_CLS_HEAD_NAMES
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.pytorch_utils import Conv1D

from w2sprobe.assets import MODEL_ASSETS, asset_path, home, is_fetched
from w2sprobe.atomic import atomic_path
from w2sprobe.errors import InputError, OutputError
from w2sprobe.fingerprint import fingerprint, sha256_file

HEAD_SCALE = 0.01  # a near-zero start of the classification head, as published
REMEMBER_BYTES = 64 << 20  # 40 ms to hash
NO_LIMIT = 1_000_000  # tokenizers without a limit report a huge one
WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")
TOKENIZER_FILES = ("tokenizer*", "vocab*", "merges*", "special_tokens*", "*.model", "*.tiktoken")
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model before its weights are loaded.

    Parameters
    ----------
    name : str
        As the user wrote it.
    source : str
        Local folder or hub name to load from.
    n_layers : int
        Transformer blocks; hidden states have indices 0 to n_layers.
    hidden_size : int
        Width of a hidden state.
    dtype : str
        Of the checkpoint: float32, float16 or bfloat16.
    max_tokens : int or None
        Context; None where there is no limit.
    identity : dict
        Hashes of weights, config and tokenizer, or the hub's revision; where the files lie does
        not enter.
    """

    name: str
    source: str
    n_layers: int
    hidden_size: int
    dtype: str
    max_tokens: int | None
    identity: dict[str, Any]


@functools.cache
def describe_model(name: str) -> ModelInfo:
    """Look a model up without loading its weights.

    Parameters
    ----------
    name : str
        An asset name, a local folder in the Hugging Face layout, or a Hugging Face hub name.

    Returns
    -------
    ModelInfo

    Raises
    ------
    InputError
        No such model, or an asset that has not been fetched.
    """
    source = _find(name)
    try:
        config = AutoConfig.from_pretrained(source)
        limit = load_tokenizer(source).model_max_length
    except (OSError, ValueError) as error:
        raise InputError(
            f"unknown model {name!r}",
            allowed=f"an asset ({', '.join(MODEL_ASSETS)}), a local folder that holds config.json "
            "and a tokenizer, or a name on the Hugging Face hub",
            advice=f"transformers said: {str(error).splitlines()[0]}",
        ) from error
    text = config.get_text_config()
    limits = [limit, getattr(text, "max_position_embeddings", None) or NO_LIMIT]
    max_tokens = int(min(limits)) if min(limits) < NO_LIMIT else None
    dtype = str(config.dtype or torch.float32).removeprefix("torch.")
    identity = (
        _hash_folder(Path(source))
        if Path(source).is_dir()
        else {"repository": source, "revision": config._commit_hash}
    )
    return ModelInfo(
        name, source, text.num_hidden_layers, text.hidden_size, dtype, max_tokens, identity
    )


def load_tokenizer(source: str) -> PreTrainedTokenizerBase:
    """Tokenizer of a model's `source`."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source)
    return tokenizer


def load_base(
    info: ModelInfo, dtype: str, device: torch.device, device_map: str | None = None
) -> PreTrainedModel:
    """Base model in evaluation mode: no classification head, no LoRA.

    Parameters
    ----------
    info : ModelInfo
    dtype : str
        float32, float16 or bfloat16: what the model computes in.
    device : torch.device
    device_map : str, optional
        Spreads the model over several devices instead, as transformers and accelerate do it.
    """
    model: PreTrainedModel = AutoModel.from_pretrained(
        info.source, dtype=DTYPES[dtype], device_map=device_map
    )
    if device_map is None:
        torch.nn.Module.to(model, device)
    model.train(mode=False)
    return model


def load_classifier(
    info: ModelInfo,
    *,
    dtype: str,
    pad_id: int,
    lora_rank: int,
    lora_alpha: int,
    seed: int,
    device: torch.device,
    from_layer: int = 0,
) -> PeftModel:
    """Two-logit classifier with fresh LoRA on every linear layer of the body.

    Parameters
    ----------
    info : ModelInfo
    dtype : str
        Of the frozen base; what is trained stays float32.
    pad_id : int
        Token that fills rows on the right; causal classifiers read the last other token.
    lora_rank, lora_alpha : int
        Low-rank updates are scaled by lora_alpha / lora_rank.
    seed : int
        Of the head and the LoRA matrices.
    device : torch.device
    from_layer : int, default 0
        LoRA only on the blocks from this one on.

    Returns
    -------
    PeftModel
        Head trained in full and saved with the adapter.

    Raises
    ------
    InputError
        No such block, or blocks that do not stand in one list.

    Notes
    -----
    LoRA: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", arXiv 2106.09685.
    """
    torch.manual_seed(seed)
    model, new_modules = _load_headed(info, dtype, pad_id, device)
    head = _final_linear(model)
    with torch.no_grad():
        head.weight.mul_(HEAD_SCALE)
        if head.bias is not None:
            head.bias.zero_()
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=lora_rank,
        lora_alpha=lora_alpha,
        lora_dropout=0.0,
        target_modules=_lora_targets(model, from_layer),
        # what the checkpoint lacks (a pooler, say) is random: it must be trained and saved whole
        modules_to_save=new_modules,
        exclude_modules=new_modules,
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
    )
    classifier: PeftModel = get_peft_model(model, config)
    return classifier.to(device)


def _lora_targets(model: PreTrainedModel, from_layer: int) -> str | list[str]:
    blocks = blocks_of(model)
    if from_layer == 0:
        return "all-linear"
    if blocks is None or from_layer >= len(blocks):
        raise InputError(
            f"--lora-from-layer is {from_layer}",
            allowed="0" if blocks is None else f"0 to {len(blocks) - 1}",
        )
    chosen = {id(module) for block in blocks[from_layer:] for module in block.modules()}
    return [
        name
        for name, module in model.named_modules()
        if id(module) in chosen and isinstance(module, torch.nn.Linear | Conv1D)
    ]


def load_trained(
    info: ModelInfo, adapter: Path, *, dtype: str, pad_id: int, device: torch.device
) -> PeftModel:
    """Classifier as it was saved: base of `info`, LoRA and head from the adapter folder."""
    base, _ = _load_headed(info, dtype, pad_id, device)
    classifier: PeftModel = PeftModel.from_pretrained(base, adapter).eval().to(device)
    return classifier


def blocks_of(network: torch.nn.Module) -> torch.nn.ModuleList | None:
    """The transformer blocks; None where they do not stand in one list."""
    config: Any = network.config
    n_layers = config.get_text_config().num_hidden_layers
    lists = [
        module
        for module in network.modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == n_layers
    ]
    return lists[0] if len(lists) == 1 else None


def _find(name: str) -> str:
    if name in MODEL_ASSETS:
        if not is_fetched(name):
            raise InputError(
                f"model {name!r} has not been fetched", advice=f"Run: w2sprobe fetch {name}"
            )
        return str(asset_path(name))
    if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
        raise InputError(f"no config.json in model folder {name!r}")
    return name


def _hash_folder(folder: Path) -> dict[str, Any]:
    def hashes(patterns: tuple[str, ...]) -> dict[str, str]:
        files = sorted({file for pattern in patterns for file in folder.glob(pattern)})
        return {file.name: _sha256(file) for file in files}

    weights = hashes(WEIGHT_FILES)
    if not weights:
        raise InputError(f"no weights in model folder {str(folder)!r}", allowed="*.safetensors")
    return {
        "weights": fingerprint(weights),
        "config": sha256_file(folder / "config.json")[:16],
        "tokenizer": fingerprint(hashes(TOKENIZER_FILES)),
    }


def _sha256(file: Path) -> str:
    """Hash of a file; that of a large one is remembered for as long as its size and time stay."""
    facts = file.stat()
    if facts.st_size < REMEMBER_BYTES:
        return sha256_file(file)
    key = fingerprint([str(file.resolve()), facts.st_size, facts.st_mtime_ns])
    memory = home() / "hashes" / key
    if memory.is_file():
        return memory.read_text(encoding="utf-8")
    digest = sha256_file(file)
    with suppress(OutputError), atomic_path(memory) as temporary:  # a home that is read-only
        temporary.write_text(digest, encoding="utf-8")
    return digest


def _load_headed(
    info: ModelInfo, dtype: str, pad_id: int, device: torch.device
) -> tuple[PreTrainedModel, list[str]]:
    """Classifier without LoRA, and the names of the modules that the checkpoint lacks."""
    # transformers warns that the head is new, which here is the point
    logger = logging.getLogger("transformers.modeling_utils")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        model, loading = AutoModelForSequenceClassification.from_pretrained(
            info.source,
            num_labels=2,
            dtype=DTYPES[dtype],
            pad_token_id=pad_id,
            # short texts, 2 cores: a training step takes 15 % less than with fused attention
            attn_implementation="eager" if device.type == "cpu" else None,
            output_loading_info=True,
        )
    finally:
        logger.setLevel(level)
    for name in SEQ_CLS_HEAD_NAMES:
        if (head := getattr(model, name, None)) is not None:
            head.float()
            head.register_forward_pre_hook(_to_float32)
    return model, sorted({key.rpartition(".")[0] for key in loading["missing_keys"]})


def _to_float32(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Logits in float32 over a bfloat16 body: bfloat16 logits tie, and ties cost AUC."""
    return tuple(tensor.float() for tensor in inputs)


def _final_linear(model: PreTrainedModel) -> torch.nn.Linear:
    """Last linear layer outside the base model, whatever the architecture calls it."""
    body = set(model.base_model.modules())
    layers = [
        module
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module not in body
    ]
    if not layers or layers[-1].out_features != 2:
        raise InputError(f"{type(model).__name__} has no linear two-logit head")
    return layers[-1]
