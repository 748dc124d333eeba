"""Checks at the public boundary of the kernels, so that the compiled code can trust its input."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


class KernelInputError(ValueError):
    """An array that a kernel cannot work with: says what was given, what is allowed, what to do."""

    def __init__(self, given: str, allowed: str, next_step: str) -> None:
        super().__init__(f"{given}. Allowed: {allowed}. Next: {next_step}.")
        self.given, self.allowed, self.next_step = given, allowed, next_step


def _array(value: ArrayLike, name: str, dtype: Any, ndim: tuple[int, ...]) -> Any:
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"dtype {array.dtype}")
        array = np.ascontiguousarray(array, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise KernelInputError(f"{name} is not a numeric array ({error})", "numbers", f"convert {name}") from None
    if array.ndim not in ndim:
        raise KernelInputError(
            f"{name} has shape {array.shape}", f"{' or '.join(map(str, ndim))} dimensions", f"reshape {name}"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise KernelInputError(f"{name} holds NaN or infinity", "finite numbers", f"find what produced {name}")
    return array


def segments_of(value: ArrayLike, name: str = "segments") -> F64:
    """float64 [N, 2] with start <= end; an empty list is [0, 2]."""
    array = np.asarray(value)
    if array.size == 0:
        return np.zeros((0, 2))
    array = _array(value, name, np.float64, (2,))
    if array.shape[1] != 2:
        raise KernelInputError(f"{name} has shape {array.shape}", "[N, 2]: start, end", f"reshape {name}")
    swapped = array[:, 1] < array[:, 0]
    if swapped.any():
        row = int(np.argmax(swapped))
        raise KernelInputError(
            f"{name}[{row}] ends at {array[row, 1]} before it starts at {array[row, 0]}",
            "start <= end",
            "swap the two columns or drop the row",
        )
    return array  # type: ignore[no-any-return]


def vector_of(value: ArrayLike, name: str, length: int | None = None) -> F64:
    """float64 [N]."""
    array = _array(np.asarray(value, dtype=np.float64) if np.size(value) == 0 else value, name, np.float64, (1,))
    if length is not None and len(array) != length:
        raise KernelInputError(f"{name} has {len(array)} entries", f"{length}, one per segment", f"check {name}")
    return array  # type: ignore[no-any-return]


def index_of(value: ArrayLike, name: str, length: int, below: int) -> I64:
    """int64 [length] with values in [0, below)."""
    array = np.ascontiguousarray(value, dtype=np.int64)
    if array.shape != (length,):
        raise KernelInputError(f"{name} has shape {array.shape}", f"[{length}]", f"check {name}")
    if length and (array.min() < 0 or array.max() >= below):
        raise KernelInputError(f"{name} holds {array.min()}..{array.max()}", f"0..{below - 1}", f"check {name}")
    return array


def matrix_of(value: ArrayLike, name: str, dtype: Any = np.float64) -> Any:
    """[T] becomes [T, 1]; [T, C] stays."""
    array = _array(value, name, dtype, (1, 2))
    return array[:, None] if array.ndim == 1 else array


def offsets_of(value: ArrayLike, length: int) -> I64:
    """Group offsets [G+1]: 0 = first, length = last, never decreasing."""
    array = np.ascontiguousarray(value, dtype=np.int64)
    if array.ndim != 1 or len(array) < 1 or array[0] != 0 or array[-1] != length or (np.diff(array) < 0).any():
        raise KernelInputError("group_offsets is not a partition", f"0 = o[0] <= ... <= o[-1] = {length}", "rebuild it")
    return array


def positive(value: float, name: str, *, zero: bool = True) -> float:
    """A finite-or-infinite float >= 0 (or > 0)."""
    number = float(value)
    if not (number >= 0 if zero else number > 0):
        raise KernelInputError(f"{name} is {value}", ">= 0" if zero else "> 0", f"change {name}")
    return number
