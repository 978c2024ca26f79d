"""Compiled loops on every core, without an OpenMP runtime of their own.

Kernels release the GIL and run in plain threads: a third OpenMP pool beside those of torch and
FAISS is what makes processes hang or abort on some platforms.
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
    """Compile a loop, once a machine where its folder or the user's cache can be written to."""
    try:
        kernel = numba.njit(function, nogil=True, cache=True)
    except RuntimeError:  # no place for the compiled code
        kernel = numba.njit(function, nogil=True)
    return kernel  # type: ignore[no-any-return]


def n_threads() -> int:
    """Cores that affinity and quota leave to this process; `OMP_NUM_THREADS` lowers it."""
    here = usable_cores()
    return min(here, asked_threads() or here)


def in_parts(kernel: Callable[..., None], n: int, *arguments: Any) -> None:
    """Run `kernel(*arguments, low, high)` on every core, over [0, n) in equal parts."""
    n_parts = min(n_threads(), n)
    edges = [n * part // n_parts for part in range(n_parts + 1)]
    list(_pool().map(lambda part: kernel(*arguments, edges[part], edges[part + 1]), range(n_parts)))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads())


if hasattr(os, "register_at_fork"):  # a child has none of its parent's threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
