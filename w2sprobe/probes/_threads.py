"""Compiled loops in plain threads, without an OpenMP runtime.

Kernels release the GIL. A third OpenMP pool beside those of torch and FAISS makes processes hang or
abort on some platforms.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import numba

from w2sprobe.threads import asked_threads, usable_cores

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """Compile a loop, and store the machine code beside it or in the user's cache if possible."""
    try:
        kernel = numba.njit(function, nogil=True, cache=True)
    except RuntimeError:  # neither folder can be written to
        kernel = numba.njit(function, nogil=True)
    return kernel  # type: ignore[no-any-return]


def n_threads() -> int:
    """Cores that affinity and quota leave to this process; `OMP_NUM_THREADS` lowers it."""
    n_cores = usable_cores()
    return min(n_cores, asked_threads() or n_cores)


def in_parts(kernel: Callable[..., None], n: int, *arguments: Any) -> None:
    """Run `kernel(*arguments, low, high)` in every thread, over equal parts of [0, n)."""
    n_parts = min(n_threads(), n)
    edges = [n * part // n_parts for part in range(n_parts + 1)]
    list(_pool().map(lambda part: kernel(*arguments, edges[part], edges[part + 1]), range(n_parts)))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads())


if hasattr(os, "register_at_fork"):  # threads do not survive a fork, the cached pool would
    os.register_at_fork(after_in_child=_pool.cache_clear)
