"""Compute devices and their precision."""

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
    """Turn `auto`, `cpu`, `cuda` or `cuda:1` into a device; `auto` prefers a GPU.

    Processes started by torchrun or accelerate launch take one GPU each.

    Raises
    ------
    InputError
        Not a device of this machine.
    """
    if name == "auto":
        rank = os.environ.get("LOCAL_RANK")
        gpu = "cuda" if rank is None else f"cuda:{rank}"
        return torch.device(gpu if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise InputError(f"no device {name!r}", allowed="auto, cpu, cuda, cuda:N") from error
    return device


def resolve_precision(precision: str, device: torch.device) -> str:
    """Turn `auto` into bfloat16 if the device multiplies it in hardware, else into float32."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bfloat16" if fast else "float32"


def gpus() -> list[str]:
    """Names of the GPUs that torch sees."""
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def describe_machine() -> dict[str, str]:
    """Describe what run times and last digits depend on: processor, threads, GPUs and the like."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": f"{os.cpu_count()}, {torch.get_num_threads()} threads used",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "accelerators": ", ".join(gpus()) or "none",
    }


def _processor() -> str:
    """Name of the processor, which Python does not know on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def rank_and_world() -> tuple[int, int]:
    """Rank of this process and number of processes, under torchrun or accelerate launch."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def full_float32() -> Iterator[None]:
    """Multiply float32 matrices in full float32 inside the block.

    TF32 on a GPU and bfloat16 on a CPU keep 10 and 7 of the 23 bits of the significand, so that the
    error bounds of the neighbour search would not hold.
    """
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):  # torch 2.9
        backends = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
        before = [backend.fp32_precision for backend in backends]
        for backend in backends:
            backend.fp32_precision = "ieee"
        try:
            yield
        finally:
            for backend, precision in zip(backends, before, strict=True):
                backend.fp32_precision = precision
    else:
        outer = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(outer)


def to_tensor(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """Move an array to a device; on the CPU without a copy, unless the array is read-only."""
    return torch.from_numpy(array if array.flags.writeable else array.copy()).to(device)
