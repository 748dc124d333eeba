"""Exact area resampling of images, so that the input of a network does not depend on the version of an image library.

A result pixel is the mean of the source over the rectangle it covers. Pixels at its border count by the fraction
inside. No filter, no rounding, no choice of corners; enlarging blends neighbors by the same rule.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._jit import jit
from ._validate import F32, KernelInputError


@jit
def _add(row, source, share):  # type: ignore[no-untyped-def]
    for k in range(len(row)):
        row[k] += share * np.float32(source[k])


@jit
def _shrink(row, left, step, width, channels, scale, out):  # type: ignore[no-untyped-def]
    """One row of `width` pixels, from `left` on, to the cells of one row of the result."""
    for j in range(len(out)):
        x0 = min(left + j * step, width)
        x1 = min(left + (j + 1) * step, width)
        start = int(min(x0, width - 1.0))
        last = max(int(np.ceil(x1)) - 1, start)
        share = scale / (x1 - x0)
        head = min(x1, start + 1.0) - x0
        tail = x1 - last
        for c in range(channels):
            total = head * row[start * channels + c]
            if last > start:
                for k in range((start + 1) * channels + c, last * channels, channels):
                    total += row[k]
                total += tail * row[last * channels + c]
            out[j, c] = total * share


@jit("void(u1[:, :, ::1], f8, f8, f8, f8, f4[::1], f4[:, :, ::1])", writes=("row", "out"))
def _resize(image, top, left, step_y, step_x, row, out):  # type: ignore[no-untyped-def]
    """Rows first: adding whole rows is a plain loop over bytes, and leaves few rows to go through pixel by pixel."""
    height, width, channels = image.shape
    first = int(min(left, width - 1.0))
    end = min(int(np.ceil(left + len(out[0]) * step_x)), width)
    part = row[: (end - first) * channels]
    for i in range(len(out)):
        y0 = min(top + i * step_y, float(height))
        y1 = min(top + (i + 1) * step_y, float(height))
        part[:] = 0.0
        for y in range(int(min(y0, height - 1.0)), min(int(np.ceil(y1)), height)):
            share = np.float32(min(y1, y + 1.0) - max(y0, float(y)))
            _add(part, image[y, first:end].reshape(len(part)), share)
        _shrink(part, left - first, step_x, float(end - first), channels, 1.0 / (y1 - y0), out[i])


def resize_area(
    image: ArrayLike, height: int, width: int, *, crop: tuple[float, float, float, float] | None = None, out: Any = None
) -> F32:
    """Mean of an image over each cell of a grid (exact area resampling).

    Args:
        image: uint8 [H, W, C].
        height: rows of the grid.
        width: columns of the grid.
        crop: (top, left, height, width) in source pixels, fractions allowed: the part of the image that the grid
            covers. Default: the whole image.
        out: contiguous float32 [height, width, C] to write into.

    Returns:
        float32 [height, width, C] in 0..255.

    Raises:
        KernelInputError: the image, the size, the crop or `out` is not valid.

    Example:
        >>> import numpy as np
        >>> from punctum import kernels
        >>> image = np.array([[[0], [100]], [[200], [100]]], np.uint8)
        >>> kernels.resize_area(image, 1, 1).tolist()
        [[[100.0]]]
    """
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or 0 in array.shape:
        raise KernelInputError(
            f"image has dtype {array.dtype} and shape {array.shape}", "uint8 [H, W, C], not empty", "convert the image"
        )
    if height < 1 or width < 1:
        raise KernelInputError(f"The size is {height} x {width}", "1 x 1 or more", "change height and width")
    rows, columns, channels = array.shape
    top, left, tall, wide = map(float, (0, 0, rows, columns) if crop is None else crop)
    slack = 1e-6 * max(rows, columns)
    fits = -slack <= top and -slack <= left and top + tall <= rows + slack and left + wide <= columns + slack
    if not (tall > 0 and wide > 0 and fits):
        raise KernelInputError(
            f"crop is {crop}", f"top, left, height, width inside {rows} x {columns}", "clip the window to the image"
        )
    if out is None:
        out = np.empty((height, width, channels), np.float32)
    elif out.shape != (height, width, channels) or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise KernelInputError(
            "out has the wrong shape or type", f"contiguous float32 [{height}, {width}, {channels}]", "allocate it"
        )
    row = np.empty(columns * channels, np.float32)
    _resize(np.ascontiguousarray(array), max(top, 0.0), max(left, 0.0), tall / height, wide / width, row, out)
    resized: F32 = out
    return resized
