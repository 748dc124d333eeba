"""Background texture, camera motion, light and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...datatypes import compact
from ._stage import F32, F64, smooth_noise

MARGIN = 10  # pixels of texture beyond the picture, for the camera's motion, in units of height / 120
NOISE_ROOM = 32


@compact
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Camera:
    """Per frame: shift in pixels, gain and slope of the light, and the place in `noise` float32 [H + 32, W + 32, 3]."""

    shift: F64  # [T, 2], y and x
    gain: F64
    slope: F64
    noise: F32
    place: npt.NDArray[np.int64]  # [T, 2]


def make_texture(rng: np.random.Generator, height: int, width: int, strength: float = 1.0) -> F32:
    """float32 [height, width, 3] in 0..255: noise of several sizes over a color, a gradient, maybe stripes."""
    base = rng.uniform(50, 205, 3)
    picture = np.zeros((height, width, 3)) + base
    for cells in (2, 4, 9, 20):
        tint = rng.normal(0, 1, 3) * 0.5 + 1.0
        grid = rng.normal(0, 1, (cells + 1, cells + 2))
        picture += strength * rng.uniform(4, 14) * _enlarge(grid, height, width)[..., None] * tint
    rows, columns = np.mgrid[0:height, 0:width] / height
    for _ in range(int(rng.integers(0, 3))):
        way, rate = rng.uniform(0, np.pi), rng.uniform(2, 12)
        wave = np.sin(2 * np.pi * rate * (np.cos(way) * columns + np.sin(way) * rows))
        picture += strength * rng.uniform(3, 10) * wave[..., None]
    for _ in range(int(rng.integers(2, 6))):  # furniture
        tall, wide = rng.uniform(0.08, 0.4, 2)
        y, x = rng.uniform(0, 1 - tall), rng.uniform(0, width / height)
        inside = (rows >= y) & (rows < y + tall) & (columns >= x) & (columns < x + wide)
        picture[inside] += strength * rng.normal(0, 18, 3)
    return np.clip(picture, 0, 255).astype(np.float32)


def _enlarge(grid: F64, height: int, width: int) -> F64:
    """Bilinear."""
    y = np.linspace(0, grid.shape[0] - 1.001, height)
    x = np.linspace(0, grid.shape[1] - 1.001, width)
    i, j = y.astype(int), x.astype(int)
    fy, fx = (y - i)[:, None], (x - j)[None]
    top = grid[i][:, j] * (1 - fx) + grid[i][:, j + 1] * fx
    low = grid[i + 1][:, j] * (1 - fx) + grid[i + 1][:, j + 1] * fx
    return np.asarray(top * (1 - fy) + low * fy, np.float64)


def make_camera(rng: np.random.Generator, total: int, fps: float, height: int, width: int) -> Camera:
    """Shake, lighting drift, occasional flicker and sensor noise of one video."""
    unit = height / 120.0
    shift = np.stack([2.0 * smooth_noise(rng, total, fps, 11.0) for _ in range(2)], axis=1)
    shake = rng.choice([0.0, rng.uniform(0.2, 0.9)])
    shift = (shift + shake * np.stack([smooth_noise(rng, total, fps, 0.5) for _ in range(2)], axis=1)) * unit
    gain = 1.0 + rng.uniform(0.02, 0.1) * smooth_noise(rng, total, fps, 9.0)
    gain += rng.uniform(0.0, 0.05) * smooth_noise(rng, total, fps, 2.0)
    for _ in range(int(rng.poisson(total / fps / 25.0))):
        first, length = int(rng.integers(0, total)), int(rng.integers(1, max(2, round(0.3 * fps))))
        gain[first : first + length] *= rng.uniform(0.7, 1.3, gain[first : first + length].shape)
    sigma = rng.uniform(1.5, 6.0)
    gray = rng.normal(0, 1, (height + NOISE_ROOM, width + NOISE_ROOM, 1))
    noise = sigma * (0.8 * gray + 0.6 * rng.normal(0, 1, (height + NOISE_ROOM, width + NOISE_ROOM, 3)))
    return Camera(
        shift=np.clip(shift, -(MARGIN - 2) * unit, (MARGIN - 2) * unit),
        gain=np.clip(gain, 0.55, 1.5),
        slope=0.08 * smooth_noise(rng, total, fps, 12.0),
        noise=noise.astype(np.float32),
        place=rng.integers(0, NOISE_ROOM, (total, 2)),
    )
