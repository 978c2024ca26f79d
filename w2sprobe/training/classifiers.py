"""Two-logit classifiers: a base model with a fresh head and LoRA, or all of its weights trained.

LoRA leaves the base as it is, so its weights are read once and shared by the classifiers that
follow on it in a process.
"""

import json
import logging
from copy import deepcopy
from itertools import chain
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from peft.utils.constants import SEQ_CLS_HEAD_NAMES
from transformers import (
    AutoModelForSequenceClassification,
    BitsAndBytesConfig,
    PreTrainedModel,
)
from transformers.pytorch_utils import Conv1D

from w2sprobe.devices import rank_and_world, resolve_precision
from w2sprobe.errors import InputError
from w2sprobe.models import DTYPES, ModelInfo, blocks_of
from w2sprobe.training.settings import TrainSettings

HEAD_SCALE = 0.01  # a near-zero start of the classification head, as published
INITIAL_STD = 0.02  # of a new layer's weights, where the model's config names none
ADAPTER, WEIGHTS = "adapter", "model"  # folders of what a run has learned

# The base that was read last, and the modules that its checkpoint lacks. One at most: a second
# would take its memory.
_last: dict[str, tuple[PreTrainedModel, list[str]]] = {}


def load_classifier(
    info: ModelInfo, settings: TrainSettings, *, precision: str, pad_id: int, device: torch.device
) -> PreTrainedModel | PeftModel:
    """Classifier that has learned nothing yet.

    Parameters
    ----------
    info : ModelInfo
    settings : TrainSettings
        Read: `full`, `lora_rank`, `lora_alpha`, `lora_from_layer`, and `seed` of the head and the
        LoRA matrices.
    precision : {"float32", "bfloat16", "4bit"}
        With LoRA: of the frozen base; what is trained is float32. With `full`: bfloat16 computes
        the body in it, over weights in float32.
    pad_id : int
        Token that fills rows on the right; causal classifiers read the last other token.
    device : torch.device

    Returns
    -------
    PreTrainedModel or PeftModel
        With LoRA on every linear layer of the body, from `lora_from_layer` on; head trained in
        full and saved with the adapter.

    Raises
    ------
    InputError
        No such block, or blocks that do not stand in one list.

    Notes
    -----
    LoRA: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", arXiv 2106.09685.
    4 bits: Dettmers et al., "QLoRA: Efficient Finetuning of Quantized LLMs", arXiv 2305.14314:
    NF4 with double quantisation.
    """
    if settings.full:
        forget_base()
        model, new = _read(info.source, precision, pad_id, device, full=True)
    else:
        model, new = _share(info, precision, pad_id, device)
    _start(model, new, settings.seed)
    if settings.gradient_checkpointing:
        # transformers 5.23 renamed it
        renamed = getattr(model, "activation_checkpointing_enable", None)
        (renamed or model.gradient_checkpointing_enable)({"use_reentrant": False})
    if settings.full:
        return model
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=0.0,
        target_modules=_lora_targets(model, settings.lora_from_layer),
        # what the checkpoint lacks (a pooler, say) is random: it must be trained and saved whole
        modules_to_save=list(new),  # peft adds to it
        exclude_modules=list(new),
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
    )
    classifier: PeftModel = get_peft_model(model, config)
    return classifier.to(device)


def load_trained(
    info: ModelInfo, folder: Path, *, precision: str, pad_id: int, device: torch.device
) -> PreTrainedModel | PeftModel:
    """Classifier as a run saved it: all weights, or LoRA and head over the base of `info`."""
    if (folder / WEIGHTS).is_dir():
        whole, _ = _read(str(folder / WEIGHTS), precision, pad_id, device, full=True)
        return whole
    base, _ = _share(info, precision, pad_id, device)
    classifier: PeftModel = PeftModel.from_pretrained(base, folder / ADAPTER)
    return classifier.eval().to(device)


def forget_base() -> None:
    """Free the base that was read last, unless a classifier still uses it."""
    _last.clear()


def _share(
    info: ModelInfo, precision: str, pad_id: int, device: torch.device
) -> tuple[PreTrainedModel, list[str]]:
    """Model of its own whose tensors, new modules excepted, are those of the base read last."""
    if rank_and_world()[1] > 1:  # FSDP and DeepSpeed take a model's tensors apart
        return _read(info.source, precision, pad_id, device)
    key = json.dumps([info.identity, precision, pad_id, str(device)], sort_keys=True)
    if key not in _last:
        forget_base()
        _last[key] = _read(info.source, precision, pad_id, device)
    base, new = _last[key]
    tensors = chain(base.parameters(), base.buffers())
    model = deepcopy(base, {id(tensor): tensor for tensor in tensors})
    for name in new:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, deepcopy(base.get_submodule(name)))
    return model, new


def _read(
    source: str, precision: str, pad_id: int, device: torch.device, *, full: bool = False
) -> tuple[PreTrainedModel, list[str]]:
    """Classifier without LoRA, and the names of the modules that the checkpoint lacks."""
    quantized = _four_bits(device) if precision == "4bit" else None
    dtype = resolve_precision("auto", device) if quantized else precision
    # transformers warns that the head is new, which here is the point
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        model, loading = AutoModelForSequenceClassification.from_pretrained(
            source,
            num_labels=2,
            dtype=torch.float32 if full else DTYPES[dtype],
            pad_token_id=pad_id,
            # short texts, 2 cores: a training step takes 15 % less than with fused attention
            attn_implementation="eager" if device.type == "cpu" else None,
            quantization_config=quantized,
            device_map={"": device} if quantized else None,
            ignore_mismatched_sizes=True,  # a head of another task
            output_loading_info=True,
        )
    finally:
        logger.setLevel(level)
    model.config.use_cache = False  # keys and values are for generating
    if full and precision == "bfloat16":
        body = model.base_model
        body.forward = torch.autocast(device.type, torch.bfloat16)(body.forward)
    mismatched = [key[0] for key in loading["mismatched_keys"]]
    lacking = {key.rpartition(".")[0] for key in (*loading["missing_keys"], *mismatched)}
    # a head of several layers is new as a whole
    new = {_whole_head(name) for name in (*lacking, _head_name(model))}
    for part in (part for name in new for part in model.get_submodule(name).float().modules()):
        if next(part.parameters(recurse=False), None) is not None:
            part.register_forward_pre_hook(_to_float32)
    model = model if quantized else torch.nn.Module.to(model, device)
    return model, sorted(new)


def _four_bits(device: torch.device) -> BitsAndBytesConfig:
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=DTYPES[resolve_precision("auto", device)],
        llm_int8_skip_modules=[*SEQ_CLS_HEAD_NAMES, ".*pooler"],
    )


def _start(model: PreTrainedModel, new: list[str], seed: int) -> None:
    """Draw the weights that the checkpoint lacks, and leave the head near zero."""
    torch.manual_seed(seed)
    std = getattr(model.config, "initializer_range", INITIAL_STD)
    with torch.no_grad():
        for module in (part for name in new for part in model.get_submodule(name).modules()):
            if isinstance(module, torch.nn.Linear):  # others (norms) stay as transformers begins
                module.weight.normal_(std=std)
                if module.bias is not None:
                    module.bias.zero_()
        head = model.get_submodule(_head_name(model))
        head.weight.mul_(HEAD_SCALE)  # type: ignore[operator]


def _lora_targets(model: PreTrainedModel, from_layer: int) -> str | list[str]:
    if from_layer == 0:
        return "all-linear"
    blocks = blocks_of(model)
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


def _head_name(model: PreTrainedModel) -> str:
    """Last linear layer outside the base model, whatever the architecture calls it."""
    body = set(model.base_model.modules())
    layers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module not in body
    }
    name, head = list(layers.items())[-1] if layers else ("", None)
    if head is None or head.out_features != 2:
        raise InputError(f"{type(model).__name__} has no linear two-logit head")
    return name


def _whole_head(name: str) -> str:
    """The head that a module is part of, or the module itself."""
    top = name.partition(".")[0]
    return top if top in SEQ_CLS_HEAD_NAMES else name


def _to_float32(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """What is trained is float32, over whatever body; and bfloat16 logits tie, which costs AUC."""
    return tuple(tensor.float() for tensor in inputs)
