"""Which device computes, and in what precision it multiplies."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import torch

from w2sprobe.errors import InputError


def resolve_device(name: str = "auto") -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:1` into a device; `auto` takes a GPU where there is one.

    Of several processes on a machine, started by torchrun or accelerate launch, each takes its own.

    Raises
    ------
    InputError
        Not a device of this machine.
    """
    if name == "auto":
        own = os.environ.get("LOCAL_RANK")
        gpu = "cuda" if own is None else f"cuda:{own}"
        return torch.device(gpu if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise InputError(f"no device {name!r}", allowed="auto, cpu, cuda, cuda:N") from error
    return device


def resolve_precision(precision: str, device: torch.device) -> str:
    """`auto` is bfloat16 where the device multiplies it in hardware, else float32."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bfloat16" if fast else "float32"


def gpus() -> list[str]:
    """Names of those that torch sees."""
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def describe_machine() -> dict[str, str]:
    """What times and last digits depend on: system, processor, threads, memory, accelerators.

    Returns
    -------
    dict of str to str
    """
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": f"{os.cpu_count()}, {torch.get_num_threads()} threads used",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "accelerators": ", ".join(gpus()) or "none",
    }


def _processor() -> str:
    """Its name; Linux has it in /proc alone."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def rank_and_world() -> tuple[int, int]:
    """Number of this process among those that torchrun or accelerate launch started, and theirs."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def full_float32() -> Iterator[None]:
    """Multiply float32 matrices in float32 inside the block, whatever precision is set outside.

    TF32 on a GPU, or bfloat16 on a CPU, keep 10 or 7 bits of the 23: no bound on errors holds.
    """
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):  # torch 2.9
        places = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
        before = [place.fp32_precision for place in places]
        for place in places:
            place.fp32_precision = "ieee"
        try:
            yield
        finally:
            for place, precision in zip(places, before, strict=True):
                place.fp32_precision = precision
    else:
        outside = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(outside)


def to_tensor(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """The array on a device: on the CPU its own memory, or a copy where it is read-only."""
    return torch.from_numpy(array if array.flags.writeable else array.copy()).to(device)
