"""Validation of arguments in the public functions, so that the compiled code can rely on its input."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


class KernelInputError(ValueError):
    """An argument of a kernel is invalid.

    Args:
        given: What is wrong, as a sentence.
        allowed: The permitted values. Printed as "Allowed: ...".
        next_step: What to do about it. Printed as "Next: ...".
        required: What is missing. Printed as "Required: ...". Used instead of `allowed`.
    """

    def __init__(self, given: str, allowed: str = "", next_step: str = "", *, required: str = "") -> None:
        parts = ((required, "Required: "), (allowed, "Allowed: "), (next_step, "Next: "))
        super().__init__(" ".join([f"{given}.", *(f"{word}{text}." for text, word in parts if text)]))
        self.given, self.allowed, self.next_step, self.required = given, allowed, next_step, required


class KernelsUnavailableError(ImportError):
    """The kernels cannot run: no compiled form fits this machine, and Numba is not installed.

    Args:
        given: What is wrong, as a sentence.
        required: What is missing. Printed as "Required: ...".
        next_step: What to do about it. Printed as "Next: ...".
    """

    def __init__(self, given: str, required: str, next_step: str) -> None:
        super().__init__(f"{given}. Required: {required}. Next: {next_step}.")
        self.given, self.required, self.next_step = given, required, next_step


def _plain(value: ArrayLike, dtype: Any) -> Any:
    """Contiguous and aligned, of this type: what the kernels are compiled for."""
    array = np.ascontiguousarray(value, dtype=dtype)
    return array if array.flags.aligned else array.copy()


def _array(value: ArrayLike, name: str, dtype: Any, ndim: tuple[int, ...]) -> Any:
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"dtype {array.dtype}")
        array = _plain(array, dtype)
    except (TypeError, ValueError) as error:
        raise KernelInputError(f"{name} is not a numeric array ({error})", "numbers", f"convert {name}") from None
    if array.ndim not in ndim:
        raise KernelInputError(
            f"{name} has shape {array.shape}", f"{' or '.join(map(str, ndim))} dimensions", f"reshape {name}"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise KernelInputError(f"{name} contains NaN or infinity", "finite numbers", f"check what computed {name}")
    return array


def segments_of(value: ArrayLike, name: str = "segments") -> F64:
    """Convert to float64 [N, 2] with start <= end; an empty list becomes [0, 2]."""
    if np.size(value) == 0:
        return np.zeros((0, 2))
    array: F64 = _array(value, name, np.float64, (2,))
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
    return array


def vector_of(value: ArrayLike, name: str, length: int | None = None) -> F64:
    """Convert to float64 [N]."""
    array: F64 = _array(np.asarray(value, dtype=np.float64) if np.size(value) == 0 else value, name, np.float64, (1,))
    if length is not None and len(array) != length:
        raise KernelInputError(f"{name} has {len(array)} entries", f"{length}, one per segment", f"check {name}")
    return array


def index_of(value: ArrayLike, name: str, length: int, below: int) -> I64:
    """Convert to int64 [length] with values in [0, below)."""
    array: I64 = _plain(value, np.int64)
    if array.shape != (length,):
        raise KernelInputError(f"{name} has shape {array.shape}", f"[{length}]", f"check {name}")
    if length and (array.min() < 0 or array.max() >= below):
        raise KernelInputError(
            f"{name} has values from {array.min()} to {array.max()}", f"0 to {below - 1}", f"check {name}"
        )
    return array


def matrix_of(value: ArrayLike, name: str, dtype: Any = np.float64) -> Any:
    """Convert [T] to [T, 1]; [T, C] stays."""
    array = _array(value, name, dtype, (1, 2))
    return array[:, None] if array.ndim == 1 else array


def offsets_of(value: ArrayLike, length: int) -> I64:
    """Convert to group offsets, int64 [G + 1]: first 0, last `length`, never decreasing."""
    array: I64 = _plain(value, np.int64)
    if array.ndim != 1 or len(array) < 1 or array[0] != 0 or array[-1] != length or (np.diff(array) < 0).any():
        raise KernelInputError("group_offsets is not a partition", f"0 = o[0] <= ... <= o[-1] = {length}", "rebuild it")
    return array


def positive(value: float, name: str, *, zero: bool = True) -> float:
    """Convert to a float >= 0 (with zero False: > 0); infinity is allowed."""
    number = float(value)
    if not (number >= 0 if zero else number > 0):
        raise KernelInputError(f"{name} is {value}", ">= 0" if zero else "> 0", f"change {name}")
    return number
