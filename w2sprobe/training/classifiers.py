"""Two-logit classifiers: a base model with a new head, trained by LoRA or in full.

LoRA leaves the base model's weights as they are, so they are loaded once and shared by consecutive
classifiers on the same base model in one process.
"""

import json
import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import chain
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model, get_peft_model_state_dict
from peft.utils.constants import SEQ_CLS_HEAD_NAMES
from safetensors import safe_open
from transformers import BitsAndBytesConfig, PreTrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from w2sprobe.devices import rank_and_world, resolve_precision
from w2sprobe.errors import InputError, first_few
from w2sprobe.models import (
    DTYPES,
    FOUR_BITS,
    POOLER,
    ModelInfo,
    blocks_of,
    check_loaded,
    check_weights,
    quantization_of,
    read_config,
    reading,
    text_config,
)
from w2sprobe.training.classifier_classes import classifier_backbone, classifier_class
from w2sprobe.training.settings import TrainSettings

HEAD_SCALE = 0.01  # a near-zero start of the classification head, as published
INITIAL_STD = 0.02  # of a new layer's weights, if the model's config names none
ADAPTER, WEIGHTS = "adapter", "model"  # folders for the weights of a run: LoRA, or all

# PEFT refuses LoRA on these modules of these families.
STATE_SPACE = frozenset({"falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h"})
NO_LORA = frozenset({"conv1d", "out_proj"})
# The base model read last, and the modules that its checkpoint lacks. At most one entry, so that
# two base models never share the memory.
_last_base: dict[str, tuple[PreTrainedModel, list[str]]] = {}


def load_classifier(
    info: ModelInfo, settings: TrainSettings, *, precision: str, pad_id: int, device: torch.device
) -> PreTrainedModel | PeftModel:
    """Load a base model with a new head, ready to be trained.

    LoRA (Hu et al., arXiv 2106.09685) goes on every linear layer of the body from `lora_from_layer`
    on; the head is trained in full and saved with the adapter. 4 bits are NF4 with double
    quantisation (QLoRA, Dettmers et al., arXiv 2305.14314).

    Parameters
    ----------
    settings : TrainSettings
        Read: `full`, `gradient_checkpointing`, `lora_rank`, `lora_alpha`, `lora_from_layer`, and
        `seed` for the head and the LoRA matrices.
    precision : {"float32", "bfloat16", "4bit"}
        With LoRA: precision of the frozen base model; trained weights are float32. With `full`:
        bfloat16 is autocast over the body, whose weights are float32.
    pad_id : int
        Padding token, used on the right; causal classifiers read the last token that is not
        padding.

    Raises
    ------
    InputError
        `lora_from_layer` names no block, or the model's blocks are not in one list.
    """
    if settings.full:
        forget_base()
        model, new = _read_base(info, precision, pad_id, device, full=True)
    else:
        model, new = _shared_base(info, precision, pad_id, device)
    return _trainable(model, new, settings, device)


def random_classifier(
    config: PreTrainedConfig, settings: TrainSettings, *, precision: str, device: torch.device
) -> PreTrainedModel | PeftModel:
    """Make a classifier of random weights, on its device from the start: for benchmarks.

    Parameters
    ----------
    config : PreTrainedConfig
        Gets two labels.
    settings : TrainSettings
        Read as in `load_classifier`.
    precision : {"float32", "bfloat16"}
        Of the base model.
    """
    config.num_labels = 2
    with device:
        model: PreTrainedModel = classifier_class(config)._from_config(  # type: ignore[no-untyped-call]
            config, dtype=DTYPES[precision], attn_implementation=_attention(device)
        )
    model.config.use_cache = False
    new = _new_modules(model, {"missing_keys": [], "mismatched_keys": []})
    _keep_in_float32(model, new)
    return _trainable(model, new, settings, device)


def _trainable(
    model: PreTrainedModel, new: list[str], settings: TrainSettings, device: torch.device
) -> PreTrainedModel | PeftModel:
    """Initialise the new modules, and put LoRA on the body unless all of it is trained."""
    _initialise(model, new, settings.seed)
    if settings.gradient_checkpointing:
        # transformers 5.23 renamed gradient_checkpointing_enable
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
    with _quiet_about_experts():
        classifier: PeftModel = get_peft_model(model, config)
    return classifier.to(device)


def load_trained(
    info: ModelInfo, folder: Path, *, precision: str, pad_id: int, device: torch.device
) -> PreTrainedModel | PeftModel:
    """Load a trained classifier: all weights, or adapter and head over the base model."""
    if (folder / WEIGHTS).is_dir():
        return _read_trained(str(folder / WEIGHTS), precision, pad_id, device)
    check_weights(folder / ADAPTER)
    base, _ = _shared_base(info, precision, pad_id, device)
    with _quiet_about_experts(), reading(str(folder / ADAPTER)):
        classifier: PeftModel = PeftModel.from_pretrained(base, folder / ADAPTER)
    _check_adapter(classifier, folder / ADAPTER)
    return classifier.eval().to(device)


@contextmanager
def _quiet_about_experts() -> Iterator[None]:
    """Silence PEFT's warnings about experts: it targets them in every model, also without any."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The following (rank|alpha)_pattern keys did not match")
        warnings.filterwarnings("ignore", "target_parameters=.* no parameter was matched")
        yield


def _check_adapter(classifier: PeftModel, folder: Path) -> None:
    """Refuse an adapter with other tensors than its config describes; PEFT only warns."""
    wanted = set(get_peft_model_state_dict(classifier))
    with safe_open(folder / "adapter_model.safetensors", framework="pt") as file:
        held = set(file.keys())
    if wanted != held:
        missing, extra = first_few(sorted(wanted - held)), first_few(sorted(held - wanted))
        raise InputError(
            f"the adapter does not fit its config or base model: missing tensors: "
            f"{missing or 'none'}; unexpected tensors: {extra or 'none'}",
            where=str(folder),
            advice="Copy the run's folder again, or train again.",
        )


def forget_base() -> None:
    """Free the base model that was read last, unless a classifier still uses it."""
    _last_base.clear()


def _shared_base(
    info: ModelInfo, precision: str, pad_id: int, device: torch.device
) -> tuple[PreTrainedModel, list[str]]:
    """Copy of the base model that shares its tensors, except those of the new modules."""
    if rank_and_world()[1] > 1:  # FSDP and DeepSpeed take a model's tensors apart
        return _read_base(info, precision, pad_id, device, full=False)
    key = json.dumps([info.identity, precision, pad_id, str(device)], sort_keys=True)
    if key not in _last_base:
        forget_base()
        _last_base[key] = _read_base(info, precision, pad_id, device, full=False)
    base, new = _last_base[key]
    tensors = chain(base.parameters(), base.buffers())
    model = deepcopy(base, {id(tensor): tensor for tensor in tensors})
    for name in new:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, deepcopy(base.get_submodule(name)))
    return model, new


def _read_base(
    info: ModelInfo, precision: str, pad_id: int, device: torch.device, *, full: bool
) -> tuple[PreTrainedModel, list[str]]:
    """Read a base model as a classifier; also the names of the modules its checkpoint lacks."""
    model, loading = _read(info.source, info.name, precision, pad_id, device, full=full)
    check_loaded(info.name, model, classifier_backbone(model), loading)
    new = _new_modules(model, loading)
    _warn_of_new_poolers(info.name, new)
    _keep_in_float32(model, new)
    return model, new


def _read_trained(
    folder: str, precision: str, pad_id: int, device: torch.device
) -> PreTrainedModel:
    """Read a classifier of which all weights were trained; none may be missing."""
    model, loading = _read(folder, folder, precision, pad_id, device, full=True)
    check_loaded(folder, model, model, loading, optional=None)
    _keep_in_float32(model, _new_modules(model, loading))
    return model


def _read(
    source: str, name: str, precision: str, pad_id: int, device: torch.device, *, full: bool
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Read weights into a two-logit classifier; also transformers' report on missing weights."""
    config = read_config(source)
    for part in (config, text_config(config)):
        part.num_labels = 2
        part.pad_token_id = pad_id
    stored = quantization_of(config)
    quantize = _four_bits(device) if precision == FOUR_BITS and not stored else None
    quantized = bool(stored or quantize)
    dtype = resolve_precision("auto", device) if precision == FOUR_BITS else precision
    with reading(name), _quiet_about_the_head():
        loaded = classifier_class(config).from_pretrained(
            source,
            config=config,
            dtype=torch.float32 if full else DTYPES[dtype],
            attn_implementation=_attention(device),
            quantization_config=quantize,
            device_map={"": device} if quantized else None,
            ignore_mismatched_sizes=True,  # a head of another task
            output_loading_info=True,
        )
    # with `output_loading_info` from_pretrained returns a pair, which its annotation does not say
    model, loading = cast("tuple[Any, dict[str, Any]]", loaded)
    model.config.use_cache = False  # keys and values are for generating
    if full and precision == "bfloat16":
        body = model.base_model
        body.forward = torch.autocast(device.type, torch.bfloat16)(body.forward)
    if not quantized:
        torch.nn.Module.to(model, device)
    return model, loading


def _attention(device: torch.device) -> str | None:
    """Implementation of attention; None is transformers' choice, fused attention."""
    # short texts, 2 cores: a training step takes 15 % less than with fused attention
    return "eager" if device.type == "cpu" else None


@contextmanager
def _quiet_about_the_head() -> Iterator[None]:
    """Silence transformers' warning that the head is new: here it always is."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _warn_of_new_poolers(name: str, new: list[str]) -> None:
    poolers = [module for module in new if POOLER in module]
    if poolers:
        warnings.warn(
            f"the checkpoint of {name!r} lacks {first_few(poolers)}: they start at random and are "
            "trained with the head",
            stacklevel=3,
        )


def _keep_in_float32(model: PreTrainedModel, new: list[str]) -> None:
    """Compute new modules in float32, over a body of any precision: bfloat16 logits tie."""
    for module in (part for name in new for part in model.get_submodule(name).float().modules()):
        if next(module.parameters(recurse=False), None) is not None:
            module.register_forward_pre_hook(_to_float32)


def _new_modules(model: PreTrainedModel, loading: dict[str, Any]) -> list[str]:
    """Names of the modules that start at random: the head, and a pooler the checkpoint lacks."""
    body = {id(module) for module in model.base_model.modules()}
    # a head of several layers is new as a whole, whatever the checkpoint has of it
    head = {
        _whole_head(name)
        for name, module in model.named_modules()
        if id(module) not in body and next(module.parameters(recurse=False), None) is not None
    }
    not_loaded = {*loading["missing_keys"], *(key[0] for key in loading["mismatched_keys"])}
    return sorted(head | {key.rpartition(".")[0] for key in not_loaded if POOLER in key})


def _four_bits(device: torch.device) -> BitsAndBytesConfig:
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=DTYPES[resolve_precision("auto", device)],
        llm_int8_skip_modules=[*SEQ_CLS_HEAD_NAMES, ".*pooler"],
    )


def _initialise(model: PreTrainedModel, new: list[str], seed: int) -> None:
    """Draw the weights that the checkpoint lacks, with a head near zero."""
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
    body = classifier_backbone(model)
    if from_layer == 0:
        special = any(map(_is_router, body.modules())) or _is_state_space(model)
        if body is model.base_model and not special:
            return "all-linear"
        parts: Iterable[torch.nn.Module] = [body]
    else:
        blocks = blocks_of(body)
        if blocks is None or from_layer >= len(blocks):
            raise InputError(
                f"--lora-from-layer is {from_layer}",
                allowed="0" if blocks is None else f"0 to {len(blocks) - 1}",
            )
        parts = blocks[from_layer:]
    chosen = {id(module) for part in parts for module in part.modules()}
    return [
        name
        for name, module in model.named_modules()
        if id(module) in chosen
        and isinstance(module, torch.nn.Linear | Conv1D)
        and not _is_router(module)
        and not (_is_state_space(model) and name.rpartition(".")[2] in NO_LORA)
    ]


def _is_router(module: torch.nn.Module) -> bool:
    """Whether a module is a router (Llama 4, Phi-MoE): linear by class, but with other outputs."""
    return isinstance(module, torch.nn.Linear) and "Router" in type(module).__name__


def _is_state_space(model: PreTrainedModel) -> bool:
    return model.config.model_type in STATE_SPACE


def _head_name(model: PreTrainedModel) -> str:
    """Name of the last linear layer outside the base model."""
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
    """Name of the head that contains a module, or of the module itself."""
    top = name.partition(".")[0]
    return top if top in SEQ_CLS_HEAD_NAMES else name


def _to_float32(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(tensor.float() for tensor in inputs)
