from pathlib import Path

import numpy as np
import pytest

from tests.cache.cases import IDS, LAYERS, complete, contents, values, write, writer
from w2sprobe.errors import IdMismatch, InputError, StoreMismatch, UnknownName


def test_resumed_is_byte_for_byte_uninterrupted(tmp_path: Path) -> None:
    complete(tmp_path / "whole")
    write(writer(tmp_path / "cut"), values("float32"), shards=1)
    again = writer(tmp_path / "cut")
    assert [index for index, _ in again.missing()] == [1, 2]
    write(again, values("float32"))
    again.finish({"note": 1})
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_damaged_shard_of_an_unfinished_store_is_written_again(tmp_path: Path) -> None:
    write(writer(tmp_path / "s"), values("float32"), shards=2)
    shard = tmp_path / "s/shards/00001.h5"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    assert [index for index, _ in writer(tmp_path / "s").missing()] == [1, 2]


def test_a_finished_store_has_nothing_missing_for_a_subset_of_layers(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    assert writer(tmp_path / "s", layers=(3,)).missing() == []


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
        ({"layers": (0, 3, 4)}, ["layers", "[0, 3]", "[0, 3, 4]"]),
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
    with pytest.raises(InputError, match=str(list(LAYERS)).replace("[", r"\[")):
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
        ({"identity": {"x": float("nan")}}, InputError),
    ],
)
def test_bad_arguments_write_nothing(changes: dict, error: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(error):
        writer(tmp_path / "s", **changes)
    assert not (tmp_path / "s").exists()
