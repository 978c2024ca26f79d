"""Models by name, folder or asset: what they are, their base, their hidden states.

`describe_model` answers everything that can be known without loading weights, so that all of a
user's input can be checked first.
"""

import functools
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from w2sprobe.assets import MODEL_ASSETS, asset_path, home, is_fetched
from w2sprobe.atomic import atomic_path
from w2sprobe.errors import InputError, OutputError
from w2sprobe.fingerprint import fingerprint, sha256_file

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


@dataclass(frozen=True)
class ParameterCounts:
    """Sizes of a base model's weights.

    Parameters
    ----------
    total : int
        All parameters.
    blocks : int
        Of matrices that every token is multiplied by: all but the embeddings.
    sides : int
        Sum of the rows and columns of these matrices: a low-rank update of rank r has r times as
        many parameters.
    """

    total: int
    blocks: int
    sides: int


@functools.cache
def count_parameters(source: str) -> ParameterCounts:
    """Count the parameters of a base model without loading its weights.

    Parameters
    ----------
    source : str
        Local folder or hub name; only the config is read.

    Returns
    -------
    ParameterCounts
    """
    with torch.device("meta"):
        config = AutoConfig.from_pretrained(source)
        network: PreTrainedModel = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    embeddings = {
        id(module.weight) for module in network.modules() if isinstance(module, torch.nn.Embedding)
    }
    weights = list(network.parameters())
    matrices = [one for one in weights if one.ndim == 2 and id(one) not in embeddings]
    return ParameterCounts(
        total=sum(one.numel() for one in weights),
        blocks=sum(one.numel() for one in matrices),
        sides=sum(sum(one.shape) for one in matrices),
    )


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


class _Enough(Exception):
    """Raised inside a forward pass when no later layer is wanted."""


def hidden_states(
    network: PreTrainedModel,
    batch: dict[str, torch.Tensor],
    layers: Sequence[int],
    reduce: Callable[[torch.Tensor], torch.Tensor],
) -> dict[int, torch.Tensor]:
    """Reduced hidden states of some layers; blocks above the highest one are not run.

    Parameters
    ----------
    network : PreTrainedModel
        Base model in evaluation mode.
    batch : dict of str to Tensor
        `input_ids` and `attention_mask`, on the network's device.
    layers : sequence of int
        Indices into `hidden_states`: l is what block l reads, the highest what the model returns.
    reduce : callable
        Takes (rows, tokens, width); what it returns is kept instead.

    Returns
    -------
    dict of int to Tensor
    """
    n_layers = network.config.get_text_config().num_hidden_layers
    blocks = blocks_of(network)
    if blocks is None:
        states = network(**batch, output_hidden_states=True, use_cache=False).hidden_states
        return {layer: reduce(states[layer]) for layer in layers}
    found: dict[int, torch.Tensor] = {}
    highest = max(layers)

    def keep(layer: int) -> Callable[..., None]:
        def hook(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            found[layer] = reduce(args[0] if args else kwargs["hidden_states"])
            if layer == highest:
                raise _Enough

        return hook

    handles = [
        blocks[layer].register_forward_pre_hook(keep(layer), with_kwargs=True)
        for layer in layers
        if layer < n_layers
    ]
    try:
        output = network(**batch, use_cache=False)
        found[n_layers] = reduce(output.last_hidden_state)
    except _Enough:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return found


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
