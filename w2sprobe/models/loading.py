"""Loads base models and refuses weights that the checkpoint does not hold.

transformers fills a tensor that the checkpoint lacks with random values and says so in a log. Here
that is an error, unless hidden states do not depend on the tensor.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import AutoModel, PreTrainedModel

from w2sprobe.errors import InputError, first_few
from w2sprobe.models.describe import DTYPES, ModelInfo, read_config
from w2sprobe.models.families import text_config
from w2sprobe.models.library_errors import reading

POOLER = "pooler"  # trained for another task; hidden states do not depend on it
BLOCK = re.compile(r"\b(layers?|blocks?|h)\.\d+\.")  # number of a block in a tensor's name


def load_base(
    info: ModelInfo, dtype: str, device: torch.device, device_map: str | None = None
) -> PreTrainedModel:
    """Load the text model in evaluation mode: no classification head, LoRA or vision tower.

    Parameters
    ----------
    dtype : {"float32", "float16", "bfloat16"}
        Type in which the model computes.
    device_map : str, optional
        Spreads the model over several devices instead, by accelerate.

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
            # check_loaded names them all, transformers only the first
            ignore_mismatched_sizes=True,
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
    """Return the part of a base model that reads text, see `text_config`; often all of it."""
    if network.config.is_encoder_decoder:
        encoder: PreTrainedModel = network.get_encoder()
        return text_model(encoder) if encoder is not network else network
    if text_config(network.config) is network.config:
        return network
    part = network.get_decoder()  # type: ignore[no-untyped-call]
    # Llama 4's decoder is a causal model with a head
    body: Any = part.base_model if isinstance(part, PreTrainedModel) else network
    without_head: PreTrainedModel = body
    return without_head


def check_loaded(
    name: str,
    whole: PreTrainedModel,
    body: torch.nn.Module,
    loading: dict[str, Any],
    optional: str | None = POOLER,
) -> None:
    """Refuse weights of `body` that are not the checkpoint's; warn of weights that nothing reads.

    Parameters
    ----------
    name : str
        Name of the model, for messages.
    whole : PreTrainedModel
        The model as it was loaded.
    body : Module
        Part of `whole` whose weights must all come from the checkpoint.
    loading : dict
        Loading report of transformers (`output_loading_info`).
    optional : str, optional
        Tensors with this in their name may be missing. None: none may.

    Raises
    ------
    InputError
        Tensors are missing, of another shape, or could not be read; names three and counts them.
    """
    if loading["error_msgs"]:
        raise InputError(f"weights of model {name!r}: {first_few(loading['error_msgs'])}")
    (path,) = [path for path, module in whole.named_modules() if module is body]
    start = f"{path}." if path else ""
    mismatched = {str(key): shapes for key, *shapes in loading["mismatched_keys"]}
    lacking = sorted(
        key
        for key in {*loading["missing_keys"], *mismatched}
        if key.startswith(start) and (optional is None or optional not in key)
    )
    unexpected = sorted(map(str, loading["unexpected_keys"]))
    if lacking:
        raise InputError(
            f"the checkpoint of {name!r} does not hold these weights of "
            f"{type(body).__name__}: {first_few(lacking)}{_shapes(lacking, mismatched)}",
            allowed="a checkpoint with every tensor that the config describes",
            advice="transformers would fill them with random values."
            + _prefix_advice(lacking, unexpected),
        )
    unread = _unread(unexpected, whole)
    if unread:
        warnings.warn(
            f"the checkpoint of {name!r} holds weights that its config leaves out: "
            f"{first_few(unread)}",
            stacklevel=3,
        )


def _shapes(lacking: Sequence[str], mismatched: Mapping[str, Sequence[Any]]) -> str:
    """Shapes of the first tensor whose shape in the file differs from the model's."""
    for key in lacking:
        if key in mismatched:
            in_file, in_model = map(tuple, mismatched[key])
            return f"; {key} has shape {in_file} in the file, {in_model} in the model"
    return ""


def _prefix_advice(lacking: Sequence[str], unexpected: Sequence[str]) -> str:
    """Advice for checkpoints of wrapped models, whose tensor names have a prefix."""
    endings = tuple(f".{key}" for key in lacking)
    prefixed = [key for key in unexpected if key.endswith(endings)]
    return f" It holds {first_few(prefixed)}: take the prefix out." if prefixed else ""


def _unread(keys: Sequence[str], whole: PreTrainedModel) -> list[str]:
    """Unexpected tensors that belong to the model: of modules it has, or of further blocks."""
    prefix = f"{whole.base_model_prefix}."
    modules = {
        name.rpartition(".")[0] for name, _ in whole.named_parameters(remove_duplicate=False)
    }
    unread = []
    for key in keys:
        # a block that the config leaves out is recognised by its modules in block 0
        module = BLOCK.sub(r"\1.0.", key).rpartition(".")[0]
        if not modules.isdisjoint({module, module.removeprefix(prefix), f"{prefix}{module}"}):
            unread.append(key)
    return unread
