"""Everything that can be known of a model before its weights are loaded.

So that all of a user's input can be checked first, `describe_model` also looks at the files: half
a download, a Git LFS pointer or a quantised checkpoint without its package is found here.
"""

import functools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from pickle import PickleError  # noqa: TID251 - what torch raises
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError as HubError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

from w2sprobe.assets import MODEL_ASSETS, asset_path, home, is_fetched
from w2sprobe.atomic import atomic_path
from w2sprobe.errors import InputError, MissingDependency, OutputError, W2SProbeError
from w2sprobe.fingerprint import fingerprint, sha256_file
from w2sprobe.layers import Layers, parse_layers
from w2sprobe.models.families import layers_of, n_blocks, refusal, text_config, usable_context
from w2sprobe.models.files import check_files
from w2sprobe.models.quantized import check_quantizer, quantization_of

REMEMBER_BYTES = 64 << 20  # 40 ms to hash
WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")
TOKENIZER_FILES = (
    *(
        "tokenizer*",
        "vocab*",
        "merges*",
        "special_tokens*",
        "added_tokens*",
        "*.model",
        "*.tiktoken",
    ),
    # of single families: their tokenizers' `vocab_files_names`
    *("*.spm", "spm_*", "dict*.txt", "bpe.codes", "entity_vocab.json", "emoji.json"),
    *("*.tokenizer", "byte_maps.json", "word_*.json"),
)
# what transformers raises for configs and tokenizers that are none
BAD_FILES = (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError, HubError)
# what architectures raise where they miss an input, or return something else
FORWARD_ERRORS = (
    RuntimeError,
    TypeError,
    ValueError,
    AttributeError,
    KeyError,
    IndexError,
    AssertionError,
)
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
    layers : range
        Those of them that have the width `hidden_size`.
    hidden_size : int
        Width of a hidden state.
    vocab_size : int or None
        Rows of the embedding; None where the config does not say.
    dtype : str
        Of the checkpoint: float32, float16, bfloat16; or another, which is computed in float32.
    quantization : str
        "4bit" or "8bit" (bitsandbytes), another method's name, or empty.
    max_tokens : int or None
        Most tokens of a row that the model accepts; None where there is no limit.
    pad_id : int
        Token that fills rows: the one that the model was trained with, where its config says.
    identity : dict
        Hashes of weights, config and tokenizer, or the hub's revision; where the files lie does
        not enter.
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
        """Layers of this model, see `w2sprobe.layers.parse_layers`.

        Raises
        ------
        InputError
            Not a layer spec, no such layer, or the one of another width.
        """
        odd = "" if self.n_layers in self.layers else f"layer {self.n_layers} has another width"
        try:
            found = parse_layers(spec, self.layers)
        except InputError as error:
            raise InputError(
                f"{error.what} of {self.name!r}", allowed=error.allowed, advice=odd and f"{odd}."
            ) from error
        if odd and spec == "all":
            warnings.warn(f"{odd} than the others of {self.name!r} and is left out", stacklevel=2)
        return found


def describe_model(name: str | Path) -> ModelInfo:
    """Look a model up without loading its weights; what was found is remembered.

    Parameters
    ----------
    name : str or Path
        An asset name, a local folder in the Hugging Face layout, or a Hugging Face hub name.

    Returns
    -------
    ModelInfo

    Raises
    ------
    InputError
        No such model, an asset that has not been fetched, files that are damaged, a model that
        needs code of its own, or one whose hidden states are not one vector a token.
    MissingDependency
        A quantised checkpoint without the package that reads it.
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
        _hash_folder(Path(source))
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
    """Look models up anew, whose files have changed in this process."""
    _describe.cache_clear()


def computing_type(info: ModelInfo) -> str:
    """What a model is computed in unless told otherwise: its checkpoint's own type.

    Raises
    ------
    InputError
        The checkpoint is in another type than float32, float16 and bfloat16.
    """
    if info.dtype not in DTYPES:
        raise InputError(
            f"the checkpoint of {info.name!r} is in {info.dtype}",
            allowed=f"a checkpoint in {', '.join(DTYPES)}",
            advice="Pass --dtype float32 to `w2sprobe extract`, or save the model in float32.",
        )
    return info.dtype


def read_config(source: str) -> PreTrainedConfig:
    """Config of a model's `source`; code that comes with it is never run."""
    config: PreTrainedConfig = AutoConfig.from_pretrained(source, trust_remote_code=False)
    return config


def load_tokenizer(source: str) -> PreTrainedTokenizerBase:
    """Tokenizer of a model's `source`; code that comes with it is never run."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        source, trust_remote_code=False
    )
    return tokenizer


@contextmanager
def running(network: torch.nn.Module) -> Iterator[None]:
    """Name the architecture where its first pass over token ids fails.

    Raises
    ------
    InputError
        It needs other inputs than text, or does not return what others do.
    OutOfMemoryError
        The device cannot hold the pass.
    W2SProbeError
        As raised within.
    """
    try:
        yield
    except (torch.OutOfMemoryError, W2SProbeError):
        raise
    except FORWARD_ERRORS as error:
        raise InputError(
            f"{type(network).__name__} does not run on token ids alone: {_first_line(error)}",
            allowed="models that docs/models.md lists, and others like them",
        ) from error


def _read(name: str, source: str) -> tuple[PreTrainedConfig, PreTrainedTokenizerBase]:
    """Config and tokenizer; what transformers raises about them becomes one message."""
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
            advice=f"transformers said: {_first_line(error)}",
        ) from error


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Name the model where its files cannot be read.

    Raises
    ------
    InputError
        A damaged or missing file, or weights that transformers refuses.
    MissingDependency
        Reading the weights needs a package that is not installed.
    OutOfMemoryError
        The device cannot hold them.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except ImportError as error:
        raise MissingDependency(f"model {name!r}: {_first_line(error)}") from error
    except (OSError, ValueError, KeyError, SafetensorError, RuntimeError, PickleError) as error:
        raise InputError(
            f"the weights of model {name!r} cannot be loaded: {_first_line(error)}",
            advice="Is a file damaged or half downloaded? Fetch the model again.",
        ) from error


def _first_line(error: Exception) -> str:
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(said[:2]).rstrip(".") or type(error).__name__


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
    """Padding is masked, so any token will do; some models count positions from their own."""
    own = getattr(text, "pad_token_id", None)
    for token in (own, tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None and 0 <= token < (vocab_size or token + 1):
            return int(token)
    return 0


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
