"""Names of the files and datasets in a store; docs/file-formats.md describes them in prose."""

from pathlib import Path

from upath import UPath

FORMAT = "w2sprobe-activations"
VERSION = 2  # of the format
MANIFEST = "manifest.json"
SHARDS = "shards"  # folder
VIRTUAL = "activations.h5"  # virtual datasets over all shards
NEIGHBORS = "neighbors"  # folder
GENERATED = "generated.parquet"  # what the model wrote, where states are of its own tokens
# datasets of an HDF5 file; LAYERS is a group of them
IDS = "ids"
OFFSETS = "offsets"
ROLES = "roles"
LAYERS = "layers"


def as_folder(path: str | Path) -> Path:
    """Local path, or the path object of an fsspec URL (s3://, gs://, https://, hf://, memory://)."""
    return UPath(path) if "://" in str(path) else Path(path)  # type: ignore[return-value]


def shard_name(index: int) -> str:
    """Path of a shard within the store."""
    return f"{SHARDS}/{index:05d}.h5"


def layer_name(layer: int) -> str:
    """Path of a layer's dataset within an HDF5 file."""
    return f"{LAYERS}/{layer}"


def graph_path(folder: Path, address: str) -> Path:
    """Path of a neighbour graph in a store."""
    return folder / NEIGHBORS / f"{address}.h5"
