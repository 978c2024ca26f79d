"""Hashes of a model folder's files, which stores and stages of the model are named by."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from w2sprobe.assets import home
from w2sprobe.atomic import atomic_path
from w2sprobe.errors import InputError, OutputError
from w2sprobe.fingerprint import fingerprint, sha256_file

REMEMBER_BYTES = 64 << 20  # smaller files take less than 40 ms to hash
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
    # tokenizers of single families: their `vocab_files_names`
    *("*.spm", "spm_*", "dict*.txt", "bpe.codes", "entity_vocab.json", "emoji.json"),
    *("*.tokenizer", "byte_maps.json", "word_*.json"),
)


def hash_folder(folder: Path) -> dict[str, Any]:
    """Hashes of a folder's weights, config and tokenizer.

    Raises
    ------
    InputError
        The folder holds no weights.
    """

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
    """Hash of a file; that of a large file is remembered until its size or time changes."""
    status = file.stat()
    if status.st_size < REMEMBER_BYTES:
        return sha256_file(file)
    key = fingerprint([str(file.resolve()), status.st_size, status.st_mtime_ns])
    remembered = home() / "hashes" / key
    if remembered.is_file():
        return remembered.read_text(encoding="utf-8")
    digest = sha256_file(file)
    with suppress(OutputError), atomic_path(remembered) as temporary:  # where home is read-only
        temporary.write_text(digest, encoding="utf-8")
    return digest
