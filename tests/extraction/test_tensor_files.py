from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from w2sprobe.errors import InputError
from w2sprobe.extraction.tensor_files import open_tensors

FULL = torch.arange(4 * 3 * 8, dtype=torch.float32).reshape(4, 3, 8)


def save(tensor: object, path: Path) -> Path:
    torch.save(tensor, path)  # noqa: TID251 - what is read
    return path


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_safetensors_are_read_in_parts(dtype: torch.dtype, tmp_path: Path) -> None:
    save_file({"a": FULL.to(dtype), "tokens": torch.arange(4)}, tmp_path / "one.safetensors")
    tensors = open_tensors(tmp_path / "one.safetensors")
    stored = tensors["a"]
    assert (stored.shape, stored.dtype) == ((4, 3, 8), str(dtype).removeprefix("torch."))
    torch.testing.assert_close(stored.read(1, 3), FULL[1:3].to(dtype), rtol=0, atol=0)
    assert tensors["tokens"].read(0, 4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2"])
def test_arrays_of_either_byte_order(dtype: str, tmp_path: Path) -> None:
    array = FULL.numpy().astype(dtype)
    np.save(tmp_path / "one.npy", array)
    np.savez(tmp_path / "two.npz", a=array)
    for tensors, name in (
        (open_tensors(tmp_path / "one.npy"), ""),
        (open_tensors(tmp_path / "two.npz"), "a"),
    ):
        assert tensors[name].dtype == {"4": "float32", "2": "float16"}[dtype[-1]]
        np.testing.assert_array_equal(tensors[name].read(2, 4).numpy(), array[2:4])


@pytest.mark.parametrize(
    ("saved", "expected"),
    [
        (FULL.clone().requires_grad_(), FULL),
        (torch.nn.Parameter(FULL.bfloat16()), FULL.bfloat16()),
        (FULL.transpose(0, 2).contiguous().transpose(0, 2), FULL),
        (FULL.flip(0).expand(4, 3, 8)[1:], FULL.flip(0)[1:]),
        (FULL[::2, :, ::2], FULL[::2, :, ::2]),
        (FULL[:1].expand(5, 3, 8), FULL[:1].expand(5, 3, 8)),
    ],
    ids=["gradient", "parameter", "transposed", "flipped", "strided view", "expanded"],
)
def test_tensors_of_every_memory_layout(
    saved: torch.Tensor, expected: torch.Tensor, tmp_path: Path
) -> None:
    (stored,) = open_tensors(save(saved, tmp_path / "one.pt")).values()
    assert stored.shape == tuple(expected.shape)
    assert torch.equal(stored.read(0, len(expected)), expected)


def test_a_list_of_layers_is_one_tensor(tmp_path: Path) -> None:
    saved = {"hidden_states": [FULL[:, 0], FULL[:, 2]], "note": "two of three layers"}
    tensors = open_tensors(save(saved, tmp_path / "one.pt"))
    assert [*tensors] == ["hidden_states"]
    assert torch.equal(tensors["hidden_states"].read(0, 4), FULL[:, [0, 2]])


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        ([FULL, FULL[:2]], "a list"),
        (FULL.to_sparse(), "a Tensor"),
        ({"a": 1, "b": "text"}, "a dict of 'a', 'b'"),
        (Path, "not a tensor file"),  # would run code when loaded
    ],
    ids=["a list of other shapes", "sparse", "a dict", "code"],
)
def test_what_is_no_tensor_is_refused(saved: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        open_tensors(save(saved, tmp_path / "one.pt"))


def test_other_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}]), allow_pickle=True)
    (tmp_path / "damaged.safetensors").write_bytes(b"nothing of the kind")
    for name in ("objects.npy", "damaged.safetensors", "absent.npz"):
        with pytest.raises(InputError, match=f"not a tensor file.*{name}"):
            open_tensors(tmp_path / name)
    with pytest.raises(InputError, match="unknown file"):
        open_tensors(tmp_path / "weights.bin")
