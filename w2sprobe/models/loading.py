"""Weights of base models, checked against what the checkpoint holds.

transformers fills a tensor that the checkpoint lacks with random values and says so in a log. Here
that is an error, unless nothing reads the tensor.
"""

import re
import warnings
from collections.abc import Iterable
from typing import Any

import torch
from transformers import AutoModel, PreTrainedModel

from w2sprobe.errors import InputError, first_few
from w2sprobe.models.describe import DTYPES, ModelInfo, read_config, reading
from w2sprobe.models.families import text_config

POOLER = "pooler"  # made for another task: hidden states do not depend on it
BLOCK = re.compile(r"\b(layers?|blocks?|h)\.\d+\.")  # in a tensor's name


def load_base(
    info: ModelInfo, dtype: str, device: torch.device, device_map: str | None = None
) -> PreTrainedModel:
    """The text model in evaluation mode: no classification head, no LoRA, no vision tower.

    Parameters
    ----------
    info : ModelInfo
    dtype : str
        float32, float16 or bfloat16: what the model computes in.
    device : torch.device
    device_map : str, optional
        Spreads the model over several devices instead, as transformers and accelerate do it.

    Raises
    ------
    InputError
        The checkpoint lacks a tensor that hidden states depend on, or holds one of another shape.
    """
    quantized = bool(info.quantization)
    with reading(info.name):
        loaded: Any = AutoModel.from_pretrained(
            info.source,
            config=read_config(info.source),
            dtype=DTYPES[dtype],
            device_map=device_map or ({"": device} if quantized else None),
            ignore_mismatched_sizes=True,  # they are named below
            output_loading_info=True,
            trust_remote_code=False,
        )
    whole, loading = loaded
    network = text_model(whole)
    check_loaded(info.name, whole, network, loading)
    if device_map is None and not quantized:
        torch.nn.Module.to(network, device)
    network.train(mode=False)
    return network


def text_model(network: PreTrainedModel) -> PreTrainedModel:
    """Part of a base model that reads text, see `text_config`; often the model itself."""
    if network.config.is_encoder_decoder:
        encoder: PreTrainedModel = network.get_encoder()
        return text_model(encoder) if encoder is not network else network
    if text_config(network.config) is network.config:
        return network
    part = network.get_decoder()  # type: ignore[no-untyped-call]
    # Llama 4's is a causal model, head included
    body: Any = part.base_model if isinstance(part, PreTrainedModel) else network
    found: PreTrainedModel = body
    return found


def check_loaded(
    name: str,
    whole: PreTrainedModel,
    body: torch.nn.Module,
    loading: dict[str, Any],
    optional: str | None = POOLER,
) -> None:
    """Refuse weights of `body` that are not the checkpoint's; tell those that nothing reads.

    Parameters
    ----------
    name : str
        The model's, for messages.
    whole : PreTrainedModel
        What was loaded.
    body : Module
        Part of it whose weights must all be the checkpoint's.
    loading : dict
        transformers' loading report, of `output_loading_info`.
    optional : str, optional
        What a tensor's name may hold that need not be there. None: all must.

    Raises
    ------
    InputError
        Tensors are missing, of another shape, or could not be read; names three and counts them.
    """
    if loading["error_msgs"]:
        raise InputError(f"weights of model {name!r}: {first_few(loading['error_msgs'])}")
    (path,) = [path for path, module in whole.named_modules() if module is body]
    start = f"{path}." if path else ""
    mismatched = {str(key): (found, wanted) for key, found, wanted in loading["mismatched_keys"]}
    wrong = sorted(
        key
        for key in {*loading["missing_keys"], *mismatched}
        if key.startswith(start) and (optional is None or optional not in key)
    )
    if wrong:
        shapes = "".join(
            f"; {key} has shape {tuple(mismatched[key][0])} in the file, "
            f"{tuple(mismatched[key][1])} in the model"
            for key in [key for key in wrong if key in mismatched][:1]
        )
        prefixed = [
            key
            for key in sorted(map(str, loading["unexpected_keys"]))
            if key.endswith(tuple(f".{lacking}" for lacking in wrong))
        ]
        held = f" It holds {first_few(prefixed)}: take the prefix out." if prefixed else ""
        raise InputError(
            f"the checkpoint of {name!r} does not hold these weights of "
            f"{type(body).__name__}: {first_few(wrong)}{shapes}",
            allowed="a checkpoint with every tensor that the config describes",
            advice=f"transformers would fill them with random values.{held}",
        )
    unread = _unread(map(str, loading["unexpected_keys"]), whole)
    if unread:
        warnings.warn(
            f"the checkpoint of {name!r} holds weights that its config leaves out: "
            f"{first_few(unread)}",
            stacklevel=3,
        )


def _unread(keys: Iterable[str], whole: PreTrainedModel) -> list[str]:
    """Tensors of modules that the model has, or of one more block like its others; sorted."""
    prefix = f"{whole.base_model_prefix}."
    modules = {
        name.rpartition(".")[0] for name, _ in whole.named_parameters(remove_duplicate=False)
    }
    found = []
    for key in sorted(keys):
        module = BLOCK.sub(r"\1.0.", key).rpartition(".")[0]
        if not modules.isdisjoint({module, module.removeprefix(prefix), f"{prefix}{module}"}):
            found.append(key)
    return found
