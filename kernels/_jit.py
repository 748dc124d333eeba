"""The compile decorator of all kernels: lazy, cached on disk if possible, without the GIL.

Numba raises an error in the decorator if it cannot create its cache (a read-only installation under an account without
a home directory). In this case the kernels are compiled in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numba


def jit(types: str | Callable[..., Any], *, writes: Sequence[str] = ()) -> Any:
    """Compile a function on first call. No fastmath: NaN and ordering keep their IEEE meaning.

    Args:
        types: The function; or, for a decorator with arguments, the declared types, which document the kernel.
        writes: Names of the array arguments that the kernel writes to.
    """
    if isinstance(types, str):
        return jit
    function = types
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:
        return numba.njit(cache=False, nogil=True, error_model="numpy")(function)
