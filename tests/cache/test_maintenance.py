import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cache.cases import (
    complete,
    contents,
    open_elsewhere,
    read_only,
    values,
    write,
    writer,
)
from w2sprobe.cache import drop_damage, find_stores, leftovers, store_info
from w2sprobe.errors import StoreDamaged, StoreUnavailable


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_only_damaged_shards_are_dropped_and_come_back_the_same(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    before = contents(tmp_path / "s")
    assert drop_damage(tmp_path / "s") == []
    flip(tmp_path / "s/shards/00001.h5", -5)
    (tmp_path / "s/shards/00002.h5").unlink()
    flip(tmp_path / "s/activations.h5", 700)
    problems = drop_damage(tmp_path / "s")
    assert len(problems) == 3
    assert any("shard 1" in problem for problem in problems)
    again = writer(tmp_path / "s")
    assert [index for index, _ in again.missing()] == [1, 2]
    write(again, values("float32"))
    again.finish({"note": "other"})
    assert contents(tmp_path / "s") == before


def test_a_damaged_manifest_cannot_be_repaired(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    flip(tmp_path / "s/manifest.json", 40)
    with pytest.raises(StoreDamaged, match="another folder"):
        drop_damage(tmp_path / "s")
    assert len(list((tmp_path / "s/shards").glob("0*.h5"))) == 3
    assert "manifest" in store_info(tmp_path / "s").problem


def test_stores_are_found_and_summarised(tmp_path: Path) -> None:
    complete(tmp_path / "a")
    write(writer(tmp_path / "b", "bfloat16"), values("bfloat16"), shards=1)
    (tmp_path / "else").mkdir()
    assert find_stores(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    whole, part = map(store_info, find_stores(tmp_path))
    assert (whole.finished, whole.n_present, whole.n_rows, whole.layers) == (True, 3, 10, (0, 3))
    assert whole.bytes == sum(map(len, contents(tmp_path / "a").values()))
    assert (part.finished, part.n_present, part.n_shards) == (False, 1, 3)


def test_leftovers_are_old_temporary_files_and_locks(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    old, new = tmp_path / "s/shards/.tmp-1.h5", tmp_path / "s/shards/.lock-00001"
    for path in (old, new):
        path.touch()
    os.utime(old, (time.time() - 999, time.time() - 999))
    assert list(leftovers(tmp_path)) == [old]


def test_nothing_is_dropped_where_a_file_is_open_elsewhere(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    flip(tmp_path / "s/shards/00000.h5", -5)
    with open_elsewhere(tmp_path / "s/shards/00001.h5"):
        with pytest.raises(StoreUnavailable, match="open for writing by another process"):
            drop_damage(tmp_path / "s")
        assert len(list((tmp_path / "s/shards").glob("0*.h5"))) == 3
        assert store_info(tmp_path / "s").finished


def test_the_file_of_a_process_that_died_while_writing_may_be_deleted(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    path = tmp_path / "s/shards/00001.h5"
    code = "import h5py, os, sys; f = h5py.File(sys.argv[1], 'r+'); os._exit(0)"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    with pytest.raises(StoreUnavailable, match="has died, delete this file and run the same"):
        drop_damage(tmp_path / "s")
    path.unlink()
    assert [index for index, _ in writer(tmp_path / "s").missing()] == [1]


def test_damage_in_a_read_only_folder_is_not_dropped(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    flip(tmp_path / "s/shards/00001.h5", -5)
    code = "from w2sprobe.cache import drop_damage; drop_damage('s')"
    with read_only(tmp_path / "s") as python:
        done = subprocess.run([*python, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert re.search("OutputError: cannot write .*shards.*no permission", done.stderr)
    assert len(list((tmp_path / "s/shards").glob("0*.h5"))) == 3
