"""Rows of features in a `.npy` or raw float32 file, read in blocks, also while the file grows."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..features.features import not_features
from ..text.file_kinds import HEAD_BYTES, kind_of

F32 = npt.NDArray[np.float32]
RAW_SUFFIXES = (".f32", ".raw", ".bin")
_LONGEST_HEADER = 1 << 16


@dataclass(frozen=True, slots=True)
class RowLayout:
    """Layout of the rows in a file. declared: number of rows in the header; None for raw files."""

    offset: int
    dtype: np.dtype[np.generic]
    dim: int
    declared: int | None

    @property
    def row_bytes(self) -> int:
        return self.dim * self.dtype.itemsize

    def rows_in(self, size: int) -> int:
        """Return the number of complete rows in a file of `size` bytes."""
        return max(size - self.offset, 0) // self.row_bytes

    def read(self, file: BinaryIO, first: int, count: int) -> F32:
        """Read rows first .. first + count - 1, fewer at the end of the file. Returns float32 [rows, dim]."""
        file.seek(self.offset + first * self.row_bytes)
        data = file.read(count * self.row_bytes)
        whole = len(data) // self.row_bytes
        rows = np.frombuffer(data[: whole * self.row_bytes], self.dtype).reshape(whole, self.dim)
        return rows.astype(np.float32)


def raw_layout(dim: int) -> RowLayout:
    """Return the layout of a file of little-endian float32 without a header."""
    return RowLayout(0, np.dtype("<f4"), dim, None)


def npy_layout(file: BinaryIO, path: Path, *, dim: int) -> RowLayout | None:
    """Read the header of a `.npy` file.

    Args:
        file: The open file.
        path: Its path for messages.
        dim: Required dimension of the features.

    Returns:
        The layout; None while the header is incomplete.

    Raises:
        InputError: The array does not contain real numbers [T, dim] in C order.
    """
    file.seek(0)
    head = file.read(max(HEAD_BYTES, 12))
    if head[:6] != b"\x93NUMPY"[: len(head[:6])]:
        if kind := kind_of(head):
            raise not_features(path, kind)
        raise _unreadable(path, "no .npy header")
    if len(head) < 12:
        return None
    wide = head[6] >= 2
    start = 12 if wide else 10
    length = int.from_bytes(head[8:start], "little")
    if length > _LONGEST_HEADER:
        raise _unreadable(path, f"a header of {length} bytes")
    if os.fstat(file.fileno()).st_size < start + length:
        return None
    file.seek(0)
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_2_0 if wide else np.lib.format.read_array_header_1_0
        shape, fortran, dtype = read(file)
    except Exception as error:  # noqa: BLE001 - NumPy's parser lets any exception through for a damaged header
        raise _unreadable(path, str(error)) from None
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise _unreadable(path, f"version {version[0]}.{version[1]}")
    if dtype.kind not in "fiu" or dtype.hasobject:
        raise InputError(
            "features-dtype", f"{path} has dtype {dtype}", "float32 or any other real type", "convert with astype"
        )
    if any(isinstance(n, bool) or n < 0 for n in shape):  # NumPy's parser accepts both
        raise _unreadable(path, f"shape {shape}")
    if len(shape) != 2 or fortran:
        raise InputError(
            "features-shape",
            f"{path} has shape {shape}{' in Fortran order' if fortran else ''}",
            "[snippets, dimension] in C order",
            "save numpy.ascontiguousarray of it",
        )
    if shape[1] != dim:
        raise InputError(
            "features-dimension",
            f"{path} has dimension {shape[1]}",
            f"{dim}, which this bundle was trained on",
            "extract features with the backbone named in the bundle's feature spec",
        )
    return RowLayout(start + length, dtype, dim, shape[0])


def _unreadable(path: Path, why: str) -> InputError:
    return InputError(
        "features-unreadable",
        f"{path} is not a readable .npy array ({why})",
        "a complete .npy file without pickled objects",
        "write it again with numpy.save",
    )
