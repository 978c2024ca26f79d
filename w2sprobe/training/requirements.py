"""Checks of model, settings and installed packages, before any weights are loaded."""

from importlib.util import find_spec

import torch
from transformers.integrations.integration_utils import get_reporting_integration_callbacks

from w2sprobe.devices import resolve_precision
from w2sprobe.errors import InputError, MissingDependency
from w2sprobe.models import FOUR_BITS, ModelInfo, has_blocks, load_tokenizer, read_config
from w2sprobe.training.classifier_classes import UNTRAINABLE, WITHOUT_PREFIX, reads_eos_token
from w2sprobe.training.settings import TrainSettings


def check_requirements(settings: TrainSettings) -> None:
    """Refuse settings whose packages are not installed.

    Raises
    ------
    InputError
        transformers has no integration of the name in `report_to`.
    MissingDependency
        A package that `precision` or `report_to` needs is not installed.
    """
    if settings.precision == FOUR_BITS and find_spec("bitsandbytes") is None:
        raise MissingDependency(
            "--precision 4bit needs bitsandbytes", advice="Run: pip install 'w2sprobe[4bit]'"
        )
    for name in settings.reporters:
        try:
            (callback,) = get_reporting_integration_callbacks([name])  # type: ignore[no-untyped-call]
            callback()
        except RuntimeError as error:
            raise MissingDependency(f"--report-to {name}: {error}".rstrip(".")) from error
        except ValueError as error:
            said = str(error).rstrip(".")
            raise InputError(f"--report-to is {settings.report_to!r}: {said}") from error


def check_trainable(info: ModelInfo, settings: TrainSettings) -> None:
    """Refuse a model that cannot be trained as a classifier, or not with these settings.

    Raises
    ------
    InputError
        A family in `UNTRAINABLE`; a classifier that reads the end-of-text token, with a
        tokenizer that does not add exactly one or pads with it; or `lora_from_layer` is not a block
        of the model from which training can start.
    """
    config = read_config(info.source)
    if config.model_type in UNTRAINABLE:
        raise InputError(
            f"no classifier can be made of model {info.name!r} ({config.model_type}): "
            f"{UNTRAINABLE[config.model_type]}",
            allowed="another model; its activations can be extracted and probed",
        )
    if reads_eos_token(config):
        closing = load_tokenizer(info.source)("")["input_ids"].count(config.eos_token_id)
        if closing != 1:
            raise InputError(
                f"{config.model_type} classifiers read the token that closes a text "
                f"({config.eos_token_id}), and the tokenizer of {info.name!r} adds {closing}",
                allowed="a tokenizer that closes every text with it",
            )
        if info.pad_id == config.eos_token_id:
            raise InputError(
                f"{config.model_type} classifiers read the token that closes a text, and "
                f"{info.name!r} pads with it ({info.pad_id})",
                allowed="a model whose config names another pad_token_id",
            )
    if settings.lora_from_layer:
        _check_first_layer(info, settings.lora_from_layer)


def _check_first_layer(info: ModelInfo, layer: int) -> None:
    config = read_config(info.source)
    has_prefix = not config.is_encoder_decoder and config.model_type not in WITHOUT_PREFIX
    highest = info.n_layers - 1 if has_prefix and has_blocks(info.source) else 0
    if layer > highest:
        raise InputError(
            f"--lora-from-layer is {layer} for model {info.name!r} ({config.model_type})",
            allowed=f"0 to {highest}" if highest else "0",
        )


def training_precision(info: ModelInfo, settings: TrainSettings, device: torch.device) -> str:
    """Resolve `precision` to float32, bfloat16 or 4bit for this checkpoint and device.

    Raises
    ------
    InputError
        The checkpoint is quantised in a way that cannot be trained, or not with these settings.
    """
    if not info.quantization:
        return resolve_precision(settings.precision, device)
    if info.quantization != FOUR_BITS:
        raise InputError(
            f"the weights of {info.name!r} are quantised ({info.quantization})",
            allowed="for training: weights that are not quantised, or in bitsandbytes' 4 bits",
        )
    if settings.full or settings.precision not in ("auto", FOUR_BITS):
        asked = "--full" if settings.full else f"--precision {settings.precision}"
        raise InputError(
            f"{asked} with {info.name!r}, whose weights are stored in 4 bits",
            allowed="LoRA with --precision auto or 4bit",
        )
    return FOUR_BITS
