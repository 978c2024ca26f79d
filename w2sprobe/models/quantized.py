"""Checkpoints whose weights are stored quantised."""

from typing import Any

from transformers import PreTrainedConfig
from transformers.quantizers.auto import AutoHfQuantizer

from w2sprobe.errors import InputError, MissingDependency

FOUR_BITS, EIGHT_BITS = "4bit", "8bit"


def quantization_of(config: PreTrainedConfig) -> str:
    """How a checkpoint's weights are quantised; empty where they are not.

    "4bit" or "8bit" for bitsandbytes, else the method's name (gptq, awq, fp8, ...).
    """
    settings = _stored(config)
    if not settings:
        return ""
    if settings.get("load_in_4bit"):
        return FOUR_BITS
    if settings.get("load_in_8bit"):
        return EIGHT_BITS
    method = settings.get("quant_method", "a method that the config does not name")
    return str(getattr(method, "value", method))


def check_quantizer(name: str, config: PreTrainedConfig) -> None:
    """Refuse a quantised checkpoint that cannot be read on this machine.

    Raises
    ------
    InputError
        transformers knows no such method, or it needs a GPU.
    MissingDependency
        The method's package is not installed.
    """
    what = f"the weights of model {name!r} are quantised ({quantization_of(config)})"
    try:
        quantizer = AutoHfQuantizer.from_config(_stored(config), pre_quantized=True)
        quantizer.validate_environment(device_map=None)
    except ImportError as error:
        raise MissingDependency(f"{what}: {error}".rstrip(".")) from error
    except (ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"{what}: {error}".rstrip(".")) from error


def _stored(config: PreTrainedConfig) -> dict[str, Any]:
    for part in (config, config.get_text_config()):
        settings = getattr(part, "quantization_config", None)
        if settings:
            return dict(settings) if isinstance(settings, dict) else settings.to_dict()
    return {}
