"""Drawing in gray: tapered capsules, convex quadrilaterals and shadows, compiled by Numba."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

F32, F64, I64 = npt.NDArray[np.float32], npt.NDArray[np.float64], npt.NDArray[np.int64]

CAPSULE, QUAD, SHADOW, NOTHING = 0, 1, 2, 9
"""Kinds of shapes."""
FIELDS = 13
"""Numbers per shape. Capsule: x, y and radius of both ends, shade of both ends, light from the side, and amplitude,
frequency and phase of stripes. Shadow: the same ends, and in place of the first shade its strength. Quadrilateral: x
and y of four corners, shade at the top and at the bottom, and amplitude and two frequencies of a pattern."""


@numba.njit(cache=True, fastmath=True)
def draw(image: F32, shapes: F64, kinds: I64, order: I64, right: float, down: float) -> None:
    """Draw shapes [N, FIELDS] into an image [H, W], in the given order, moved by (right, down) pixels."""
    for i in order:
        if kinds[i] == 1:
            _quad(image, shapes[i], right, down)
        else:
            _capsule(image, shapes[i], kinds[i] == 2, right, down)


@numba.njit(cache=True, fastmath=True)
def _capsule(image: F32, p: F64, shadow: bool, right: float, down: float) -> None:
    height, width = image.shape
    x0, y0, r0, x1, y1, r1 = p[0] + right, p[1] + down, p[2], p[3] + right, p[4] + down, p[5]
    margin = max(r0, r1) + 1.0
    left, stop_x = max(0, int(min(x0, x1) - margin)), min(width, int(max(x0, x1) + margin) + 2)
    top, stop_y = max(0, int(min(y0, y1) - margin)), min(height, int(max(y0, y1) + margin) + 2)
    dx, dy = x1 - x0, y1 - y0
    squared = dx * dx + dy * dy + 1e-6
    for y in range(top, stop_y):
        for x in range(left, stop_x):
            u = min(max(((x - x0) * dx + (y - y0) * dy) / squared, 0.0), 1.0)
            ex, ey = x - x0 - u * dx, y - y0 - u * dy
            distance, radius = np.sqrt(ex * ex + ey * ey), r0 + (r1 - r0) * u
            cover = min(max(radius - distance + 0.5, 0.0), 1.0)
            if radius < 0.5:  # thinner than a pixel
                cover *= max(radius * 2, 0.1)
            if cover <= 0:
                continue
            if shadow:
                image[y, x] *= 1 - cover * p[6]
                continue
            out = distance / (radius + 1e-3)
            shade = p[6] + (p[7] - p[6]) * u
            shade *= 1 - 0.3 * out * out + p[8] * ex / (radius + 1e-3) - 0.12 * ey / (radius + 1e-3)
            if p[9] != 0:
                shade *= 1 + p[9] * np.sin(p[10] * u + p[11])
            image[y, x] += cover * (shade - image[y, x])


@numba.njit(cache=True, fastmath=True)
def _quad(image: F32, p: F64, right: float, down: float) -> None:
    height, width = image.shape
    left, stop_x = min(min(p[0], p[2]), min(p[4], p[6])) + right, max(max(p[0], p[2]), max(p[4], p[6])) + right
    top, stop_y = min(min(p[1], p[3]), min(p[5], p[7])) + down, max(max(p[1], p[3]), max(p[5], p[7])) + down
    area = 0.0
    for k in range(4):
        n = (k + 1) % 4
        area += p[2 * k] * p[2 * n + 1] - p[2 * n] * p[2 * k + 1]
    sign = 1.0 if area > 0 else -1.0
    for y in range(max(0, int(top) - 1), min(height, int(stop_y) + 2)):
        for x in range(max(0, int(left) - 1), min(width, int(stop_x) + 2)):
            cover = 1.0
            for k in range(4):
                n = (k + 1) % 4
                ax, ay, bx, by = p[2 * k] + right, p[2 * k + 1] + down, p[2 * n] + right, p[2 * n + 1] + down
                length = np.sqrt((bx - ax) ** 2 + (by - ay) ** 2) + 1e-6
                distance = sign * ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / length
                cover = min(cover, min(max(distance + 0.5, 0.0), 1.0))
            if cover > 0:
                shade = p[8] + (p[9] - p[8]) * (y - top) / (stop_y - top + 1e-3)
                if p[10] != 0:
                    shade *= 1 + p[10] * np.sin(p[11] * (x - left) + p[12] * (y - top))
                image[y, x] += cover * (shade - image[y, x])


@numba.njit(cache=True, fastmath=True)
def crop(wide: F32, image: F32, right: float, down: float, margin: int) -> None:
    """Fill an image with the part of a wider one, which has `margin` pixels more on each side, moved as in `draw`."""
    height, width = image.shape
    for y in range(height):
        for x in range(width):
            fx = min(max(x + margin - right, 0.0), wide.shape[1] - 2.0)
            fy = min(max(y + margin - down, 0.0), wide.shape[0] - 2.0)
            i, j = int(fy), int(fx)
            a, b = fy - i, fx - j
            upper = wide[i, j] * (1 - b) + wide[i, j + 1] * b
            image[y, x] = upper * (1 - a) + (wide[i + 1, j] * (1 - b) + wide[i + 1, j + 1] * b) * a
