from pathlib import Path

import h5py
import pytest

from tests.cache.cases import complete
from w2sprobe.cache.layout import (
    IDS,
    LAYERS,
    MANIFEST,
    VIRTUAL,
    as_folder,
    graph_path,
    layer_name,
    shard_name,
)


def test_a_store_has_the_documented_files_and_datasets(tmp_path: Path) -> None:
    folder = complete(tmp_path / "s").path
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert files == {MANIFEST, VIRTUAL, *map(shard_name, range(3))}
    assert shard_name(2) == "shards/00002.h5"
    for name in (shard_name(0), VIRTUAL):
        with h5py.File(folder / name) as file:
            assert set(file) == {IDS, LAYERS}
            assert {f"{LAYERS}/{layer}" for layer in file[LAYERS]} == {layer_name(0), layer_name(3)}


def test_neighbor_graphs_are_named_by_their_address(tmp_path: Path) -> None:
    assert graph_path(tmp_path, "ab12") == tmp_path / "neighbors" / "ab12.h5"


@pytest.mark.parametrize("path", ["relative/store", "/absolute/store"])
def test_local_paths_stay_local(path: str) -> None:
    assert as_folder(path) == Path(path)
    assert isinstance(as_folder(Path(path)), Path)


def test_urls_keep_their_protocol() -> None:
    folder = as_folder("memory://bucket/store")
    assert not isinstance(folder, Path)
    assert str(folder / MANIFEST) == "memory://bucket/store/manifest.json"
