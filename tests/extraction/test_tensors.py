from pathlib import Path

import numpy as np
import pytest
import torch

from w2sprobe.errors import InputError
from w2sprobe.extraction import import_tensors


def save(folder: Path, dtype: torch.dtype = torch.bfloat16) -> dict[str, torch.Tensor]:
    folder.mkdir()
    torch.manual_seed(0)
    tensors = {name: torch.randn(n, 3, 8).to(dtype) for name, n in (("test", 4), ("train", 7))}
    for name, tensor in tensors.items():
        torch.save(tensor, folder / f"{name}.pt")  # noqa: TID251 - what is imported
    return tensors


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_tensors_become_a_store(dtype: torch.dtype, tmp_path: Path) -> None:
    tensors = save(tmp_path / "activations", dtype)
    store = import_tensors(tmp_path / "activations", tmp_path / "store", first_layer=1)
    assert (store.layers, len(store), store.hidden_size) == ((1, 2, 3), 11, 8)
    rows = store.rows_of(["train-0", "train-6", "test-3"])
    expected = torch.stack([tensors["train"][0], tensors["train"][6], tensors["test"][3]])
    np.testing.assert_array_equal(store.read(2, rows), expected[:, 1].float().numpy())
    assert store.verify() == []


def test_ids_can_be_given(tmp_path: Path) -> None:
    save(tmp_path / "activations")
    names = [f"row {n}" for n in range(11)]
    store = import_tensors(tmp_path / "activations", tmp_path / "store", ids=names)
    assert store.ids.tolist() == names
    with pytest.raises(InputError, match="2 ids for 11 rows"):
        import_tensors(tmp_path / "activations", tmp_path / "other", ids=["a", "b"])


FULL = torch.arange(4 * 3 * 8, dtype=torch.float32).reshape(4, 3, 8)


@pytest.mark.parametrize(
    ("saved", "expected"),
    [
        (FULL.clone().requires_grad_(), FULL),
        (torch.nn.Parameter(FULL.bfloat16()), FULL),
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
    torch.save(saved, tmp_path / "one.pt")  # noqa: TID251 - what is imported
    store = import_tensors(tmp_path / "one.pt", tmp_path / "store")
    for layer in range(3):
        np.testing.assert_array_equal(store.read(layer), expected[:, layer].numpy())


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        ({"train": FULL, "test": FULL}, "a dict of 'train', 'test'"),
        ([FULL], "a list"),
        (FULL.double(), "float64"),
        (FULL.to_sparse(), "float32"),
        (FULL[:0], "an empty tensor of shape"),
        (FULL[:, :, :0], "an empty tensor of shape"),
        (FULL * float("nan"), "non-finite"),
    ],
)
def test_other_tensors_are_refused_and_leave_nothing(
    saved: object, said: str, tmp_path: Path
) -> None:
    torch.save(saved, tmp_path / "one.pt")  # noqa: TID251 - what is refused
    with pytest.raises(InputError, match=said):
        import_tensors(tmp_path / "one.pt", tmp_path / "store")


@pytest.mark.parametrize(
    "ids", [[1, 2, None, 4], [1.0, 2.0, 3.0, 4.0], "abcd", ["a", "b", "", "d"]]
)
def test_ids_of_tensors_that_cannot_be_used(ids: object, tmp_path: Path) -> None:
    torch.save(FULL, tmp_path / "one.pt")  # noqa: TID251 - what is imported
    with pytest.raises(InputError):
        import_tensors(tmp_path / "one.pt", tmp_path / "store", ids=ids)
    store = import_tensors(tmp_path / "one.pt", tmp_path / "store", ids=np.arange(4))
    assert store.ids.tolist() == ["0", "1", "2", "3"]


def test_what_is_no_tensor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \.pt files"):
        import_tensors(tmp_path, tmp_path / "store")
    for name, value in (
        ("a", {"weights": torch.ones(2, 3, 4)}),
        ("b", torch.ones(3, 4)),
        ("c", torch.ones(1, 2, 3).int()),
    ):
        torch.save(value, tmp_path / f"{name}.pt")  # noqa: TID251 - what is refused
        with pytest.raises(InputError, match="rows, layers, width"):
            import_tensors(tmp_path / f"{name}.pt", tmp_path / "store")
    torch.save(Path, tmp_path / "code.pt")  # noqa: TID251 - would run code when loaded
    with pytest.raises(InputError, match="not a tensor file"):
        import_tensors(tmp_path / "code.pt", tmp_path / "store")
    assert not (tmp_path / "store").exists()
