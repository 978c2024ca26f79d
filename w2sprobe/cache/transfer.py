"""Copies stores, or a few of their layers, between folders and URLs."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import fsspec

from w2sprobe.atomic import atomic_path
from w2sprobe.cache.arguments import checked_layers
from w2sprobe.cache.card import CARD, make_card, parquet_code, update_card
from w2sprobe.cache.layout import GENERATED, MANIFEST
from w2sprobe.cache.locks import is_working_file
from w2sprobe.cache.manifest import read_manifest
from w2sprobe.cache.reader import ActivationStore
from w2sprobe.cache.shards import read_layer, read_offsets, read_roles
from w2sprobe.cache.streaming import ExportType
from w2sprobe.cache.tables import rows_table, write_parquet_layer
from w2sprobe.cache.writer import ActivationWriter
from w2sprobe.errors import InputError, OutputError

PARQUET = "parquet"  # folder of a pushed store with a card
# a repository's root, with the revision if one is named
DATASET = re.compile(r"hf://datasets/([^/@]+/[^/@]+)(?:@(?:refs/pr/\d+|[^/]+))?/?")


def wanted_layers(store: ActivationStore, layers: Sequence[int] | None) -> tuple[int, ...]:
    """Layers of a store, ascending; all of them for None.

    Raises
    ------
    InputError
        A layer that the store lacks, or one that is given twice.
    """
    wanted = checked_layers(store.layers if layers is None else layers)
    if absent := sorted(set(wanted) - set(store.layers)):
        raise InputError(
            f"no layer {absent[0]}",
            where=str(store.path),
            allowed=", ".join(map(str, store.layers)),
        )
    return wanted


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
    wanted = wanted_layers(store, layers)
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


def push_store(
    source: str | Path,
    target: str | Path,
    layers: Sequence[int] | None = None,
    *,
    card: bool | None = None,
    license: str | None = None,
) -> list[str]:
    """Copy a local store, or some of its layers, to an fsspec URL or another folder.

    A repository of the Hugging Face Hub gets all files in one commit; elsewhere the manifest is
    sent last.

    Parameters
    ----------
    source : str or Path
        Folder of a finished store.
    target : str or Path
        `s3://bucket/store`, `gs://...`, `hf://datasets/user/repository`, `hf://buckets/...` or a
        folder; must not hold another store.
    layers : sequence of int, optional
        All by default.
    card : bool, optional
        Also send README.md, a dataset card, and `parquet/layer_<l>/*.parquet`, exact copies of the
        layers, so that `datasets.load_dataset("user/repository", "layer_10")` works. Of a card that
        is there already, only configurations and licence change. Default: only to
        `hf://datasets/user/repository`, as `datasets` reads no card in a subfolder.
    license : str, optional
        Licence that the card states, as in `export_store`.

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
        The target holds another store, one with other shards, or layers that would be lost; its
        card cannot be read; the repository does not exist.
    """
    with tempfile.TemporaryDirectory() as scratch:
        # the copy compares every value with its checksum, so that no damage is sent
        store = copy_store(source, Path(scratch) / "store", layers)
        filesystem, root = fsspec.core.url_to_fs(str(target))
        if filesystem.exists(f"{root}/{MANIFEST}"):
            _check_target(ActivationStore.open(target), store)
        if card or (card is None and DATASET.fullmatch(str(target))):
            made = _write_parquet(store, str(target), license)
            if filesystem.exists(f"{root}/{CARD}"):
                made = update_card(filesystem.read_text(f"{root}/{CARD}"), made)
            (store.path / CARD).write_text(made, encoding="utf-8")
        files = sorted(
            str(file.relative_to(store.path))
            for file in store.path.rglob("*")
            if file.is_file() and not is_working_file(file.name)
        )
        # the manifest goes last: a new target is a complete store or none; over an older store of
        # the same rows, the old layers stay readable
        files.sort(key=lambda name: name == MANIFEST)
        _send(filesystem, root, store.path, files)
        return files


def _write_parquet(store: ActivationStore, target: str, license: str | None) -> str:
    """Write the layers as Parquet into the store's folder; returns the card."""
    kind, rows = ExportType(store.dtype), rows_table(store, {})
    for layer in store.layers:
        write_parquet_layer(store, layer, store.path / PARQUET, kind, rows)
    repository = DATASET.fullmatch(target)
    code = parquet_code(repository[1] if repository else target, store, store.layers[0])
    return make_card(
        store,
        store.layers,
        kind,
        code=code,
        parquet=f"{PARQUET}/{{}}/*.parquet",
        license=license,
        note=f"`w2sprobe store pull {target} FOLDER` copies the store itself, with checksums.",
    )


def _send(
    filesystem: fsspec.AbstractFileSystem, root: str, folder: Path, files: Sequence[str]
) -> None:
    on_hub = filesystem.protocol == "hf"
    try:
        if on_hub and not root.startswith("buckets/"):
            _commit(filesystem, root, folder, files)
            return
        for name in files:
            filesystem.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
            filesystem.put_file(str(folder / name), f"{root}/{name}")
    except FileNotFoundError as error:
        if not on_hub:
            raise
        raise OutputError(
            f"no repository or bucket {root!r}, or no access to it",
            advice="Create it with `hf repos create NAME --type dataset` or `hf buckets create "
            "NAME`, and log in with `hf auth login`.",
        ) from error


def _commit(
    filesystem: fsspec.AbstractFileSystem, root: str, folder: Path, files: Sequence[str]
) -> None:
    """Send files to a repository in one commit, so that it is never half a store."""
    # its file system makes a commit for each file, `upload_folder` several of a large folder
    from huggingface_hub import CommitOperationAdd, HfApi

    place = filesystem.resolve_path(root)
    operations = [
        CommitOperationAdd(str(PurePosixPath(place.path_in_repo, name)), str(folder / name))
        for name in files
    ]
    HfApi(endpoint=filesystem.endpoint, token=filesystem.token).create_commit(
        repo_id=place.repo_id,
        operations=operations,
        commit_message="Add activations",
        repo_type=place.repo_type,
        revision=place.revision,
    )


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
