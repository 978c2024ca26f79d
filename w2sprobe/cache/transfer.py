"""Copies stores, or a few of their layers, between folders and URLs."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import fsspec

from w2sprobe.atomic import atomic_path
from w2sprobe.cache.layout import GENERATED, MANIFEST
from w2sprobe.cache.locks import is_working_file
from w2sprobe.cache.manifest import read_manifest
from w2sprobe.cache.reader import ActivationStore
from w2sprobe.cache.shards import read_layer, read_offsets, read_roles
from w2sprobe.cache.writer import ActivationWriter
from w2sprobe.errors import InputError, OutputError


def copy_store(
    source: str | Path, target: str | Path, layers: Sequence[int] | None = None
) -> ActivationStore:
    """Copy a store, or some of its layers, into a local folder; every value is checked on the way.

    Only the requested layers are fetched. An interrupted copy continues where it stopped; a target
    that has other layers of the same store gets these in addition.

    Parameters
    ----------
    source : str or Path
        Folder or fsspec URL of a finished store.
    target : str or Path
        Local folder.
    layers : sequence of int, optional
        All by default.

    Raises
    ------
    InputError
        No store, a layer that it lacks, or a target that holds another store.
    StoreDamaged
        A value of the source differs from its checksum.
    """
    store = ActivationStore.open(source)
    wanted = _checked_layers(store, layers)
    manifest = read_manifest(store.path)
    with ActivationWriter.create(
        target,
        identity=manifest.identity,
        ids=store.ids,
        layers=wanted,
        hidden_size=manifest.hidden_size,
        dtype=manifest.dtype,
        model=manifest.model,
        ragged=manifest.ragged,
        compression=manifest.compression,
        rows_per_shard=manifest.rows_per_shard,
    ) as writer:
        if writer.rows_per_shard != manifest.rows_per_shard:
            raise InputError(
                f"the target has {writer.rows_per_shard} rows per shard, the source "
                f"{manifest.rows_per_shard}",
                where=str(target),
                advice="Choose another folder.",
            )
        for index, _ in writer.claims():
            needed = writer.needed(index)
            if lost := sorted(set(needed) - set(store.layers)):
                raise InputError(
                    f"shard {index} of the target is lost or damaged, and the source has no layer "
                    f"{lost[0]} to replace it",
                    where=str(target),
                    advice="Copy from a store that has all layers of the target.",
                )
            states = {layer: read_layer(store.path, manifest, index, layer) for layer in needed}
            offsets = read_offsets(store.path, manifest, index) if store.ragged else None
            roles = read_roles(store.path, manifest, index) if manifest.has_roles else None
            writer.write_shard(index, states, offsets, roles)
        if (store.path / GENERATED).is_file():
            with atomic_path(Path(target) / GENERATED) as temporary:
                temporary.write_bytes((store.path / GENERATED).read_bytes())
        return writer.finish({"copied_runs": list(manifest.runs)})


def _checked_layers(store: ActivationStore, layers: Sequence[int] | None) -> tuple[int, ...]:
    wanted = tuple(store.layers if layers is None else layers)
    if absent := sorted(set(wanted) - set(store.layers)):
        raise InputError(
            f"no layer {absent[0]}",
            where=str(store.path),
            allowed=", ".join(map(str, store.layers)),
        )
    return wanted


def push_store(
    source: str | Path, target: str | Path, layers: Sequence[int] | None = None
) -> list[str]:
    """Copy a local store, or some of its layers, to an fsspec URL or another folder.

    Parameters
    ----------
    source : str or Path
        Folder of a finished store.
    target : str or Path
        `s3://bucket/store`, `gs://...`, `hf://datasets/user/repository/store` or a folder; must not
        hold another store.
    layers : sequence of int, optional
        All by default.

    Returns
    -------
    list of str
        Files that were sent, by their paths in the store.

    Raises
    ------
    InputError
        No store, or a layer that it lacks.
    StoreDamaged
        A value differs from its checksum; nothing was sent.
    OutputError
        The target holds another store, one with other shards, or layers that would be lost.
    """
    with tempfile.TemporaryDirectory() as scratch:
        # the copy compares every value with its checksum, so that no damage is sent
        store = copy_store(source, Path(scratch) / "store", layers)
        filesystem, root = fsspec.core.url_to_fs(str(target))
        if filesystem.exists(f"{root}/{MANIFEST}"):
            _check_target(ActivationStore.open(target), store)
        files = sorted(
            str(file.relative_to(store.path))
            for file in store.path.rglob("*")
            if file.is_file() and not is_working_file(file.name)
        )
        # the manifest goes last: a new target is a complete store or none; over an older store of
        # the same rows, the old layers stay readable
        files.sort(key=lambda name: name == MANIFEST)
        for name in files:
            filesystem.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
            filesystem.put_file(str(store.path / name), f"{root}/{name}")
        return files


def _check_target(existing: ActivationStore, store: ActivationStore) -> None:
    """Refuse to send a store over one that it would damage."""
    old, new = existing.manifest, store.manifest
    where, advice = str(existing.path), "Choose another target."
    if any(old[key] != new[key] for key in ("address", "ids_fingerprint")):
        raise OutputError(f"another store is there: {old['address']}", where=where, advice=advice)
    # shards are replaced one by one, while the old manifest says how to read them
    for key, name in (("rows_per_shard", "rows per shard"), ("compression", "compression")):
        if old[key] != new[key]:
            raise OutputError(
                f"{name}: the target has {old[key] or 'none'}, the source {new[key] or 'none'}",
                where=where,
                advice=advice,
            )
    if lost := sorted(set(existing.layers) - set(store.layers)):
        raise OutputError(
            f"the target's layers {lost} would be lost",
            where=where,
            advice="Choose another target, or copy it here, add layers and push them all.",
        )
