"""Describes a model before its weights are loaded: sizes, layers, context, identity.

The files are checked as well, so that an incomplete download, a Git LFS pointer or a quantised
checkpoint without its package is refused before any work starts.
"""

import functools
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError as HubError
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

from w2sprobe.assets import MODEL_ASSETS, asset_path, is_fetched
from w2sprobe.errors import InputError, summary_of
from w2sprobe.layers import Layers, parse_layers
from w2sprobe.models.checkpoint_hash import TOKENIZER_FILES, WEIGHT_FILES, hash_folder
from w2sprobe.models.families import layers_of, n_blocks, refusal, text_config, usable_context
from w2sprobe.models.files import check_files
from w2sprobe.models.quantized import check_quantizer, quantization_of

# raised by transformers for files that are no config or no tokenizer
BAD_FILES = (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError, HubError)
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class ModelInfo:
    """Facts about a model that do not need its weights.

    Parameters
    ----------
    name : str
        Name as the user wrote it.
    source : str
        Local folder or hub name to load from.
    n_layers : int
        Number of transformer blocks; hidden states have indices 0 to n_layers.
    layers : range
        Hidden states of width `hidden_size`: all, except in families whose last one differs.
    vocab_size : int or None
        Rows of the embedding; None where the config does not say.
    dtype : str
        Type of the checkpoint: float32, float16, bfloat16, or another that must be cast first.
    quantization : str
        "4bit" or "8bit" (bitsandbytes), another method's name, or empty.
    max_tokens : int or None
        Most tokens that a row may have; None where there is no limit.
    pad_id : int
        Padding token: the one that the model was trained with, where its config says.
    identity : dict
        Hashes of weights, config and tokenizer, or the hub's revision; independent of the path.
    """

    name: str
    source: str
    n_layers: int
    layers: range
    hidden_size: int
    vocab_size: int | None
    dtype: str
    quantization: str
    max_tokens: int | None
    pad_id: int
    identity: dict[str, Any]

    def parse_layers(self, spec: Layers) -> tuple[int, ...]:
        """Turn a layer spec into layers of this model, see `w2sprobe.layers.parse_layers`.

        Raises
        ------
        InputError
            Not a layer spec, no such layer, or a layer of another width.
        """
        odd = "" if self.n_layers in self.layers else f"layer {self.n_layers} has another width"
        try:
            layers = parse_layers(spec, self.layers)
        except InputError as error:
            raise InputError(
                f"{error.what} of {self.name!r}", allowed=error.allowed, advice=odd and f"{odd}."
            ) from error
        if odd and spec == "all":
            warnings.warn(f"{odd} than the others of {self.name!r} and is left out", stacklevel=2)
        return layers


def describe_model(name: str | Path) -> ModelInfo:
    """Describe a model without loading its weights; remembered for the life of the process.

    Parameters
    ----------
    name : str or Path
        An asset name, a local folder in the Hugging Face layout, or a Hugging Face hub name.

    Raises
    ------
    InputError
        No such model, an asset that was not fetched, damaged files, a model that needs code of its
        own, or one whose hidden states are not one vector per token.
    MissingDependency
        The package that reads a quantised checkpoint is not installed.
    """
    if not isinstance(name, str | Path):
        raise InputError(
            f"model is a {type(name).__name__}", allowed="a name, or a folder as str or Path"
        )
    return _describe(str(name))


@functools.cache
def _describe(name: str) -> ModelInfo:
    source = _find(name)
    config, tokenizer = _read(name, source)
    reason = refusal(config)
    if reason:
        raise InputError(f"model {name!r} ({config.model_type}): {reason}")
    text, quantization = text_config(config), quantization_of(config)
    if quantization:
        check_quantizer(name, config)
    dtype = str(config.dtype or text.dtype or torch.float32).removeprefix("torch.")
    identity = (
        hash_folder(Path(source))
        if Path(source).is_dir()
        else {"repository": source, "revision": config._commit_hash}
    )
    vocab_size = getattr(text, "vocab_size", None)
    return ModelInfo(
        name=name,
        source=source,
        n_layers=n_blocks(config),
        layers=layers_of(config),
        hidden_size=text.hidden_size,
        vocab_size=vocab_size,
        dtype=dtype,
        quantization=quantization,
        max_tokens=usable_context(config, tokenizer.model_max_length),
        pad_id=_padding_token(text, tokenizer, vocab_size),
        identity=identity,
    )


def forget_models() -> None:
    """Forget all descriptions: needed where a model's files have changed in this process."""
    _describe.cache_clear()


def computing_type(info: ModelInfo) -> str:
    """Default type in which a model computes: the type of its checkpoint.

    Raises
    ------
    InputError
        The checkpoint has another type than float32, float16 or bfloat16.
    """
    if info.dtype not in DTYPES:
        raise InputError(
            f"the checkpoint of {info.name!r} is in {info.dtype}",
            allowed=f"a checkpoint in {', '.join(DTYPES)}",
            advice="Pass --dtype float32 to `w2sprobe extract`, or save the model in float32.",
        )
    return info.dtype


def read_config(source: str) -> PreTrainedConfig:
    """Read the config of a model's `source`; code that comes with it is never run."""
    config: PreTrainedConfig = AutoConfig.from_pretrained(source, trust_remote_code=False)
    return config


def load_tokenizer(source: str) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model's `source`; code that comes with it is never run."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        source, trust_remote_code=False
    )
    return tokenizer


def _read(name: str, source: str) -> tuple[PreTrainedConfig, PreTrainedTokenizerBase]:
    """Read config and tokenizer; errors of transformers become one message."""
    try:
        return read_config(source), load_tokenizer(source)
    except BAD_FILES as error:
        if "trust_remote_code" in str(error):
            raise InputError(
                f"model {name!r} needs code of its own, which is never run",
                allowed="models whose architecture transformers has",
            ) from error
        raise InputError(
            f"unknown model {name!r}",
            allowed=f"an asset ({', '.join(MODEL_ASSETS)}), a local folder that holds config.json "
            "and a tokenizer, or a name on the Hugging Face hub",
            advice=f"transformers said: {summary_of(error)}",
        ) from error


def _find(name: str) -> str:
    if name in MODEL_ASSETS:
        if not is_fetched(name):
            raise InputError(
                f"model {name!r} has not been fetched", advice=f"Run: w2sprobe fetch {name}"
            )
        return str(asset_path(name))
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(f"no config.json in model folder {name!r}")
        check_files(folder, (*WEIGHT_FILES, *TOKENIZER_FILES, "config.json"))
    return name


def _padding_token(
    text: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, vocab_size: int | None
) -> int:
    """Token for padding; 0 where neither config nor tokenizer names one in the vocabulary."""
    # Padding is masked, so any token works in most models; but some count positions from the
    # padding token in their config, which therefore comes first.
    configured = getattr(text, "pad_token_id", None)
    for token in (configured, tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None and 0 <= token < (vocab_size or token + 1):
            return int(token)
    return 0
