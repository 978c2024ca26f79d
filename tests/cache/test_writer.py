import json
from pathlib import Path

import numpy as np
import pytest

from tests.cache.cases import IDS, LAYERS, complete, contents, values, write, writer
from w2sprobe.atomic import atomic_path
from w2sprobe.cache import ActivationStore, graph_path
from w2sprobe.cache.locks import Locks
from w2sprobe.errors import InputError


def test_resumed_is_byte_for_byte_uninterrupted(tmp_path: Path) -> None:
    complete(tmp_path / "whole")
    write(writer(tmp_path / "cut"), values("float32"), shards=1)
    again = writer(tmp_path / "cut")
    assert [index for index, _ in again.missing()] == [1, 2]
    write(again, values("float32"))
    again.finish({"note": 1})
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_cut_shard_of_an_unfinished_store_is_written_again(tmp_path: Path) -> None:
    write(writer(tmp_path / "s"), values("float32"), shards=2)
    shard = tmp_path / "s/shards/00001.h5"
    shard.write_bytes(shard.read_bytes()[:-1])
    assert [index for index, _ in writer(tmp_path / "s").missing()] == [1, 2]


def test_a_finished_store_has_nothing_missing_for_a_subset_of_layers(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    assert writer(tmp_path / "s", layers=(3,)).missing() == []


def test_layers_are_added_to_a_finished_store(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    more = writer(tmp_path / "s", layers=(0, 4, 5))
    assert more.layers == (0, 3, 4, 5)
    assert [more.needed(index) for index in range(3)] == [[4, 5]] * 3
    added = {layer: values("float32", seed=layer)[0] for layer in (4, 5)}
    for index, rows in more.missing()[:2]:
        more.write_shard(index, {layer: part[rows] for layer, part in added.items()})
        # what was there stays readable meanwhile
        np.testing.assert_array_equal(
            ActivationStore.open(tmp_path / "s").read(3), values("float32")[3]
        )
    again = writer(tmp_path / "s", layers=(4,))
    assert [index for index, _ in again.missing()] == [2]
    again.write_shard(2, {layer: part[8:] for layer, part in added.items()})
    store = again.finish({"note": 2})
    assert store.layers == (0, 3, 4, 5)
    assert store.verify() == []
    for layer, expected in {**values("float32"), **added}.items():
        np.testing.assert_array_equal(store.read(layer), expected)
    assert [run["note"] for run in store.manifest["runs"]] == [1, 2]


def test_layers_added_later_make_the_shards_that_one_run_makes(tmp_path: Path) -> None:
    data = values("float32")
    for name, steps in (("at-once", [(0, 3)]), ("one-by-one", [(3,), (0,)])):
        for layers in steps:
            store = writer(tmp_path / name, layers=layers)
            write(store, {layer: data[layer] for layer in layers})
            store.finish({})
    one, other = contents(tmp_path / "at-once"), contents(tmp_path / "one-by-one")
    assert one.keys() == other.keys()
    assert all(one[name] == other[name] for name in one if name != "manifest.json")


def test_two_writers_share_the_shards(tmp_path: Path) -> None:
    first, second = writer(tmp_path / "s"), writer(tmp_path / "s")
    data = values("float32")
    done = []
    with first, second:
        mine, theirs = first.claims(), second.claims(start=0.5)
        for store, claims in ((first, mine), (second, theirs), (first, mine)):
            index, rows = next(claims)
            done.append(index)
            store.write_shard(index, {layer: part[rows] for layer, part in data.items()})
        assert sorted(done) == [0, 1, 2]
        assert next(theirs, None) is next(mine, None) is None
        for store in (first, second):
            store.finish({"note": 1})
    complete(tmp_path / "alone")
    assert contents(tmp_path / "s") == contents(tmp_path / "alone")


def test_a_shard_that_is_held_is_handed_out_when_it_is_given_back(tmp_path: Path) -> None:
    first, second = writer(tmp_path / "s"), writer(tmp_path / "s")
    with first:
        held, _ = next(first.claims())
        others = second.claims()
        data = values("float32")
        for _ in range(2):
            index, rows = next(others)
            assert index != held
            second.write_shard(index, {layer: part[rows] for layer, part in data.items()})
    assert next(others)[0] == held
    others.close()
    second.__exit__()


def test_a_dead_lock_on_a_finished_store_is_cleared(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    before = contents(tmp_path / "s")
    lock, live = tmp_path / "s/.lock-manifest", Locks()
    live.acquire(lock)
    writer(tmp_path / "s")
    assert lock.exists()
    record = json.loads(lock.read_bytes())
    lock.write_text(json.dumps({**record, "started": 0}))
    assert writer(tmp_path / "s").is_complete()
    assert contents(tmp_path / "s") == before


def test_finishing_spares_a_graph_that_another_process_is_writing(tmp_path: Path) -> None:
    store = complete(tmp_path / "s")
    more = writer(tmp_path / "s", layers=(4,))
    write(more, {4: values("float32")[0]})
    left = [tmp_path / "s/.tmp-killed", tmp_path / "s/shards/.tmp-killed"]
    for file in left:
        file.touch()
    graph = graph_path(store.path, "00" * 8)
    with atomic_path(graph) as temporary:
        temporary.write_bytes(b"distances")
        more.finish({})
    assert graph.read_bytes() == b"distances"
    assert not any(file.exists() for file in left)


def test_a_ragged_store_has_any_number_of_vectors_per_row(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    lengths = random.integers(1, 5, len(IDS))
    ends = np.concatenate([[0], np.cumsum(lengths)])
    data = {layer: random.normal(size=(ends[-1], 6)).astype("f4") for layer in LAYERS}
    store = writer(tmp_path / "s", ragged=True)
    for index, rows in store.missing():
        offsets = ends[rows.start : rows.stop + 1]
        part = {layer: values[offsets[0] : offsets[-1]] for layer, values in data.items()}
        with pytest.raises(InputError, match="without offsets"):
            store.write_shard(index, part)
        store.write_shard(index, part, offsets - offsets[0])
    found = store.finish({})
    assert found.verify() == []
    np.testing.assert_array_equal(found.offsets, ends)
    np.testing.assert_array_equal(found.read(3), data[3])
    rows = [7, 2, 2, 9]
    expected = np.concatenate([data[0][ends[row] : ends[row + 1]] for row in rows])
    np.testing.assert_array_equal(found.read(0, rows), expected)


def test_an_unfinished_store_is_not_finished_early(tmp_path: Path) -> None:
    store = writer(tmp_path / "s")
    write(store, values("float32"), shards=2)
    with pytest.raises(InputError, match="shards 2 are missing"):
        store.finish({})


def test_a_lost_shard_is_written_with_all_layers_when_one_is_requested(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    before = contents(tmp_path / "s")
    (tmp_path / "s/shards/00001.h5").unlink()
    one_layer = writer(tmp_path / "s", layers=(3,))
    assert (one_layer.needed(0), one_layer.needed(1)) == ([], [0, 3])
    write(one_layer, values("float32"))
    assert one_layer.finish({}).verify() == []
    assert contents(tmp_path / "s") == before
