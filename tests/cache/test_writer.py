import json
from pathlib import Path

import numpy as np
import pytest

from tests.cache.cases import IDS, LAYERS, complete, contents, values, write, writer
from w2sprobe.cache import ActivationStore
from w2sprobe.cache.locks import Locks
from w2sprobe.errors import IdMismatch, InputError, StoreMismatch, UnknownName


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
    live.take(lock)
    writer(tmp_path / "s")
    assert lock.exists()
    record = json.loads(lock.read_bytes())
    lock.write_text(json.dumps({**record, "started": 0}))
    assert writer(tmp_path / "s").is_complete()
    assert contents(tmp_path / "s") == before


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_compression_loses_nothing(dtype: str, tmp_path: Path) -> None:
    store = writer(tmp_path / "s", dtype, compression="bitshuffle-zstd")
    write(store, values(dtype))
    found = store.finish({})
    assert found.verify() == []
    complete(tmp_path / "plain", dtype)
    for layer in LAYERS:
        np.testing.assert_array_equal(
            found.read(layer), ActivationStore.open(tmp_path / "plain").read(layer)
        )


def test_a_ragged_store_has_any_number_of_vectors_a_row(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    lengths = random.integers(1, 5, len(IDS))
    ends = np.concatenate([[0], np.cumsum(lengths)])
    data = {layer: random.normal(size=(ends[-1], 6)).astype("f4") for layer in LAYERS}
    store = writer(tmp_path / "s", ragged=True)
    for index, rows in store.missing():
        offsets = ends[rows.start : rows.stop + 1]
        part = {layer: values[offsets[0] : offsets[-1]] for layer, values in data.items()}
        with pytest.raises(InputError, match="offsets are missing"):
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


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (
            {"identity": {"model": {"weights": "xyz"}, "position": "last"}},
            ["identity.model.weights", "'abc'", "'xyz'"],
        ),
        ({"ids": [*IDS[:-1], "other"]}, ["ids"]),
        ({"hidden_size": 7}, ["hidden_size", "6", "7"]),
        ({"dtype": "float16"}, ["dtype", "float32", "float16"]),
        ({"ragged": True}, ["ragged"]),
    ],
)
def test_another_store_in_the_folder_is_shown_as_a_difference(
    changes: dict, parts: list[str], tmp_path: Path
) -> None:
    complete(tmp_path / "s")
    before = contents(tmp_path / "s")
    with pytest.raises(StoreMismatch) as caught:
        writer(tmp_path / "s", **changes)
    for part in parts:
        assert part in str(caught.value)
    assert contents(tmp_path / "s") == before


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        writer(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_values_that_are_not_finite_name_layer_and_row(
    bad: float, dtype: str, tmp_path: Path
) -> None:
    data = values(dtype)
    pattern = np.array([bad], dtype=np.float32)
    data[3][2, 1] = pattern.view(np.uint32)[0] >> 16 if dtype == "bfloat16" else bad
    with pytest.raises(InputError) as caught:
        write(writer(tmp_path / "s", dtype), data)
    assert "layer 3" in str(caught.value)
    assert repr(IDS[2]) in str(caught.value)


def test_nothing_is_cast_or_reshaped(tmp_path: Path) -> None:
    store = writer(tmp_path / "s")
    good = {layer: part[:4] for layer, part in values("float32").items()}
    for layer, part in ((0, good[0].astype(np.float64)), (3, good[3].T), (3, good[3][:3])):
        with pytest.raises(InputError, match=f"layer {layer}"):
            store.write_shard(0, {**good, layer: part})
    with pytest.raises(InputError, match=r"exactly \[0, 3\]"):
        store.write_shard(0, {0: good[0]})


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"ids": []}, InputError),
        ({"ids": ["a", "a"]}, IdMismatch),
        ({"ids": ["a", ""]}, InputError),
        ({"layers": (1, 1)}, InputError),
        ({"layers": (-1,)}, InputError),
        ({"hidden_size": 0}, InputError),
        ({"rows_per_shard": 0}, InputError),
        ({"dtype": "float64"}, UnknownName),
        ({"compression": "zip"}, UnknownName),
        ({"identity": {"x": float("nan")}}, InputError),
    ],
)
def test_bad_arguments_write_nothing(changes: dict, error: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(error):
        writer(tmp_path / "s", **changes)
    assert not (tmp_path / "s").exists()
