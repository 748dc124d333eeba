"""One decorator for every kernel: compiled on first call, kept on disk where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import cuda


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function` on first launch. No fastmath: NaN, division and ordering keep their IEEE meaning."""
    try:
        return cuda.jit(cache=True)(function)
    except RuntimeError:  # no place for a cache
        return cuda.jit(function)
