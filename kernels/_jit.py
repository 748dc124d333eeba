"""One compile decorator for every kernel: lazy, cached on disk where that is possible, GIL released.

Numba raises while *decorating* when it finds no place for its cache (a read-only install under an account
without a home). A detector on such a box must still start, so that case compiles in memory instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def jit(function: Callable[..., Any]) -> Any:
    """Compile `function` on first call. No fastmath: NaN and ordering keep their IEEE meaning."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:
        return numba.njit(cache=False, nogil=True, error_model="numpy")(function)
