from pathlib import Path

import numpy as np
import pytest

from tests.cache.cases import IDS, values, write, writer
from w2sprobe.errors import IdMismatch, InputError, UnknownName


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
    ("offsets", "what"),
    [
        ([0, 1, 4], r"offsets of shape \(3,\)"),
        ([[0, 1, 2, 4]], r"offsets of shape \(1, 4\)"),
        ([0.0, 1.0, 2.0, 4.0], "offsets of type float64"),
        ([1, 2, 3, 4], "offsets from 1 on"),
        ([0, 3, 1, 4], "offset 1 after 3"),
        (np.array([0, 3, 1, 4], dtype=np.uint64), "offset 1 after 3"),
    ],
)
def test_offsets_divide_the_vectors_of_a_shard_into_its_rows(
    offsets: list | np.ndarray, what: str, tmp_path: Path
) -> None:
    store = writer(tmp_path / "s", ids=IDS[:3], layers=(0,), ragged=True)
    states = {0: values("float32")[0][:4]}
    allowed = r"Allowed: \(4,\), integers from 0 on, never decreasing\."
    with pytest.raises(InputError, match=f"^{what}, shard 0. {allowed}$"):
        store.write_shard(0, states, np.array(offsets))
    assert store.missing()
    store.write_shard(0, states, np.array([0, 2, 2, 4]))  # a row may have no vectors
    assert store.finish({}).offsets.tolist() == [0, 2, 2, 4]


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
