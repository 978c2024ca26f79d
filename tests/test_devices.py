import numpy as np
import pytest
import torch

from w2sprobe import devices
from w2sprobe.devices import (
    describe_machine,
    full_float32,
    rank_and_world,
    resolve_device,
    resolve_precision,
    to_tensor,
)
from w2sprobe.errors import InputError


def test_auto_prefers_a_gpu_and_each_rank_takes_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    for available, expected in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        assert str(resolve_device("auto")) == expected
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert str(resolve_device("auto")) == "cuda:3"


@pytest.mark.parametrize("name", ["gpu", "cuda:99", ""])
def test_bad_devices(name: str) -> None:
    with pytest.raises(InputError, match=rf"no device '{name}'.*Allowed: auto, cpu"):
        resolve_device(name)
    assert str(resolve_device("cpu")) == "cpu"


def test_auto_precision_depends_on_the_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    for fast, expected in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda fast=fast, **_: fast)
        assert resolve_precision("auto", gpu) == expected
    assert resolve_precision("auto", cpu) in ("bfloat16", "float32")
    for asked in ("float32", "bfloat16"):
        assert resolve_precision(asked, gpu) == asked


def test_ranks_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert rank_and_world() == (0, 1)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert rank_and_world() == (2, 4)


def test_the_machine_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "gpus", lambda: ["H200", "H200"])
    machine = describe_machine()
    assert machine["accelerators"] == "H200, H200"
    assert all(machine.values())


def test_precision_is_restored_after_an_error() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with pytest.raises(RuntimeError, match="inside"), full_float32():
            raise RuntimeError("inside")
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_arrays_are_shared_unless_they_are_read_only() -> None:
    array = np.zeros(3)
    to_tensor(array, torch.device("cpu"))[0] = 1
    assert array[0] == 1
    array.flags.writeable = False
    to_tensor(array, torch.device("cpu"))[1] = 1
    assert array.tolist() == [1, 0, 0]
