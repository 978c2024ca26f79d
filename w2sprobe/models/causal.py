"""Causal models with their language-model head, for prompts and continuations."""

from typing import Any, cast

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from w2sprobe.errors import InputError, first_few
from w2sprobe.models.describe import DTYPES, ModelInfo, read_config
from w2sprobe.models.library_errors import reading
from w2sprobe.models.loading import check_loaded, text_model


def check_head(info: ModelInfo) -> None:
    """Refuse a model whose checkpoint has no causal language-model head.

    Raises
    ------
    InputError
        Names the model and what its checkpoint is.
    """
    # transformers would load an encoder as a causal model too, with a head of random weights
    config = read_config(info.source)
    architectures = list(config.architectures or [])
    if MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.model_type) not in architectures:
        raise InputError(
            f"model {info.name!r} has no language-model head that continues a text: its "
            f"checkpoint is a {' and '.join(architectures) or 'model of unknown kind'}",
            allowed="causal language models, such as smollm2-135m",
        )


def load_causal(
    info: ModelInfo, dtype: str, device: torch.device, device_map: str | None = None
) -> PreTrainedModel:
    """Load a causal model with its head, in evaluation mode.

    Parameters
    ----------
    dtype : {"float32", "float16", "bfloat16"}
        Type in which the model computes.
    device_map : str, optional
        Spreads the model over several devices instead, by accelerate.

    Raises
    ------
    InputError
        The checkpoint lacks a tensor of the model or its head, or the head is not linear.
    """
    with reading(info.name):
        loaded = AutoModelForCausalLM.from_pretrained(
            info.source,
            config=read_config(info.source),
            dtype=DTYPES[dtype],
            device_map=device_map or ({"": device} if info.quantization else None),
            ignore_mismatched_sizes=True,  # they are named below
            output_loading_info=True,
            trust_remote_code=False,
        )
    # with `output_loading_info` from_pretrained returns a pair, which its annotation does not say
    network, loading = cast("tuple[Any, dict[str, Any]]", loaded)
    check_loaded(info.name, network, text_model(network.base_model), loading)
    head = network.get_output_embeddings()
    head_tensors = {id(tensor) for tensor in head.parameters()} if head is not None else set()
    not_loaded = {*loading["missing_keys"], *(key[0] for key in loading["mismatched_keys"])}
    missing = sorted(
        name
        for name, tensor in network.named_parameters(remove_duplicate=False)
        if id(tensor) in head_tensors and name in not_loaded
    )
    if missing or not isinstance(head, torch.nn.Linear):
        raise InputError(
            f"no language-model head in the checkpoint of {info.name!r}: it lacks "
            f"{first_few(missing) or 'a linear one'}"
        )
    if device_map is None and not info.quantization:
        torch.nn.Module.to(network, device)
    network.train(mode=False)
    return cast("PreTrainedModel", network)
