"""The decorators of all code for the device: compiled on first launch, kept on disk where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

from numba import cuda

P = ParamSpec("P")
T = TypeVar("T")


class Kernel(Protocol):
    """A kernel: `kernel[blocks, threads](arguments)` launches it."""

    def __getitem__(self, grid: tuple[int, int]) -> Callable[..., None]: ...


def kernel(function: Callable[..., None]) -> Kernel:
    """Compile `function` on first launch. No fastmath: NaN, division and ordering keep their IEEE meaning."""
    compiled: Kernel
    try:
        compiled = cuda.jit(cache=True)(function)
    except RuntimeError:  # no place for a cache
        compiled = cuda.jit(function)
    return compiled


def device(function: Callable[P, T]) -> Callable[P, T]:
    """Compile `function` into the kernels that call it."""
    compiled: Callable[P, T] = cuda.jit(device=True)(function)
    return compiled
