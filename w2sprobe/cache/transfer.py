"""Stores from place to place: whole, or a few layers of them."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import fsspec

from w2sprobe.cache import layout
from w2sprobe.cache.locks import is_working_file
from w2sprobe.cache.reader import ActivationStore
from w2sprobe.cache.writer import ActivationWriter
from w2sprobe.errors import InputError, OutputError


def copy_store(
    source: str | Path, target: str | Path, layers: Sequence[int] | None = None
) -> ActivationStore:
    """Copy a store, or some of its layers, into a local folder; every value is checked on the way.

    Only the layers asked for are fetched. A copy that was cut short continues where it stopped; a
    copy that has other layers gets these beside them.

    Parameters
    ----------
    source : str or Path
        Folder or fsspec URL of a finished store.
    target : str or Path
        Local folder.
    layers : sequence of int, optional
        All by default.

    Returns
    -------
    ActivationStore

    Raises
    ------
    InputError
        No store, a layer that it lacks, or a target that holds something else.
    StoreDamaged
        A value of the source differs from its checksum.
    """
    store = ActivationStore.open(source)
    wanted = tuple(store.layers if layers is None else layers)
    if absent := sorted(set(wanted) - set(store.layers)):
        raise InputError(
            f"no layer {absent[0]}",
            where=str(source),
            allowed=", ".join(map(str, store.layers)),
        )
    manifest = layout.read_manifest(store.path)
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
        if not writer.has_shards_of(manifest.rows_per_shard):
            raise InputError(
                "the target cuts its rows into other shards",
                where=str(target),
                advice="Choose another folder.",
            )
        for index, _ in writer.claims():
            states = {
                layer: layout.read_layer(store.path, manifest, index, layer)
                for layer in writer.needed(index)
            }
            offsets = layout.read_offsets(store.path, manifest, index) if store.ragged else None
            writer.write_shard(index, states, offsets)
        return writer.finish({"copied_runs": list(manifest.runs)})


def push_store(
    source: str | Path, target: str | Path, layers: Sequence[int] | None = None
) -> list[str]:
    """Copy a local store, or some of its layers, to an fsspec URL or another folder.

    Parameters
    ----------
    source : str or Path
        Folder of a finished store.
    target : str or Path
        `s3://bucket/store`, `gs://...`, `hf://datasets/user/repository/store`, a folder; must not
        hold a store of something else. The manifest goes last: a reader sees a whole store or none.
    layers : sequence of int, optional
        All by default.

    Returns
    -------
    list of str
        Files sent, as they are named in the store.

    Raises
    ------
    InputError
        No store, or a layer that it lacks.
    StoreDamaged
        A value differs from its checksum; nothing is sent.
    OutputError
        The target holds another store, or layers that would be lost.
    """
    with tempfile.TemporaryDirectory() as scratch:
        # checks every value; what is sent is sound
        store = copy_store(source, Path(scratch) / "store", layers)
        filesystem, root = fsspec.core.url_to_fs(str(target))
        place = f"{root}/{layout.MANIFEST}"
        if filesystem.exists(place):
            there = ActivationStore.open(target)
            lost = sorted(set(there.layers) - set(store.layers))
            if there.manifest["address"] != store.manifest["address"] or lost:
                raise OutputError(
                    f"another store is there: {there.manifest['address']}"
                    + (f" with layers {lost}" if lost else ""),
                    where=str(target),
                    advice="Choose another place, or pull it, add layers and push them all.",
                )
        files = sorted(
            str(file.relative_to(store.path))
            for file in store.path.rglob("*")
            if file.is_file() and not is_working_file(file.name)
        )
        files.sort(key=lambda name: name == layout.MANIFEST)
        for name in files:
            filesystem.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
            filesystem.put_file(str(store.path / name), f"{root}/{name}")
        return files
