"""The twin of `resize_area`: coverage matrices, two matrix products."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike


def coverage(cells: int, begin: float, length: float, pixels: int) -> npt.NDArray[np.float64]:
    """[cells, pixels]: the part of each cell's length that lies in each pixel; rows sum to 1."""
    edges = begin + length * np.arange(cells + 1) / cells
    left = np.arange(pixels)
    overlap = np.minimum(edges[1:, None], left + 1.0) - np.maximum(edges[:-1, None], left)
    overlap = np.maximum(overlap, 0.0)
    return np.asarray(overlap / overlap.sum(axis=1, keepdims=True))


def resize_area(
    image: ArrayLike, height: int, width: int, *, crop: tuple[float, float, float, float] | None = None
) -> npt.NDArray[np.float32]:
    """uint8 [H, W, C] -> float32 [height, width, C]: the mean over each cell of the window."""
    image = np.asarray(image, np.float64)
    top, left, tall, wide = crop or (0.0, 0.0, *image.shape[:2])
    vertical = coverage(height, top, tall, image.shape[0])
    horizontal = coverage(width, left, wide, image.shape[1])
    return np.asarray(np.einsum("iy,yxc,jx->ijc", vertical, image, horizontal, optimize=True), np.float32)
