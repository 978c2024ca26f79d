"""Refuses a folder that holds another store, or other files, before anything is written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from w2sprobe.cache.locks import is_working_file
from w2sprobe.cache.manifest import Manifest, is_store, read_manifest
from w2sprobe.errors import InputError, StoreMismatch, first_few

ABSENT = "(none)"


def check_empty(folder: Path) -> None:
    """Refuse a folder with anything in it except what a killed run left."""
    if folder.is_dir():
        names = sorted(item.name for item in folder.iterdir())
        foreign = [name for name in names if not is_working_file(name)]
        # another process may have written the manifest after the caller looked for it
        if foreign and not is_store(folder):
            raise InputError(
                f"{str(folder)!r} is not an activation store and not empty: {first_few(foreign)}",
                advice="Choose a new folder.",
            )


def read_same_manifest(folder: Path, wanted: Manifest) -> Manifest:
    """Manifest of the store in the folder; its layers, shards and compression may differ.

    Raises
    ------
    StoreMismatch
        The folder holds another store; the message lists the differences.
    """
    stored = read_manifest(folder)
    actual, expected = _facts(stored), _facts(wanted)
    differences = [
        f"{key}: stored {actual.get(key, ABSENT)!r}, wanted {expected.get(key, ABSENT)!r}"
        for key in sorted({**actual, **expected})
        if actual.get(key, ...) != expected.get(key, ...)
    ]
    if differences:
        raise StoreMismatch(
            f"the store holds something else: {'; '.join(differences)}",
            where=str(folder),
            advice="Choose another folder, or delete this one.",
        )
    return stored


def _facts(manifest: Manifest) -> dict[str, Any]:
    """Everything that must agree, with a dotted name for each entry of the identity."""
    return {
        **flat(manifest.identity, "identity."),
        "ids": manifest.ids_fingerprint,
        "n_rows": manifest.n_rows,
        "hidden_size": manifest.hidden_size,
        "dtype": manifest.dtype,
        "ragged": manifest.ragged,
    }


def flat(value: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Entries of nested dicts, by dotted names."""
    entries: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict) and item:
            entries |= flat(item, f"{prefix}{key}.")
        else:
            entries[f"{prefix}{key}"] = item
    return entries
