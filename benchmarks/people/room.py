"""Camera, walls and furniture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .raster import FIELDS
from .skeleton import F64, about_z

Bool = npt.NDArray[np.bool_]

HEIGHT, WIDTH = 96, 128
"""Size of the pictures that are drawn, in pixels."""
MARGIN = 10
"""Pixels that the background extends beyond the picture on each side, for a camera that shakes."""
NEAREST_M = 0.3  # furniture that comes closer to the camera is left out

# Normal and corners of the visible faces of the unit cube.
_FACES = (
    ((0, 0, 1), ((0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1))),
    ((0, -1, 0), ((0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1))),
    ((0, 1, 0), ((0, 1, 0), (1, 1, 0), (1, 1, 1), (0, 1, 1))),
    ((-1, 0, 0), ((0, 0, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1))),
    ((1, 0, 0), ((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1))),
)


class Camera:
    """A pinhole camera at (0, 0, height) that looks along +y, x to the right and z up.

    height: meters. pitch: radians downwards. focal: focal length as a share of the picture's height. roll: radians.
    """

    def __init__(self, height: float, pitch: float, focal: float, roll: float) -> None:
        self.height, self.focal = height, focal
        c, s = np.cos(pitch), np.sin(pitch)
        down = np.array([[1, 0, 0], [0, -s, -c], [0, c, -s]])
        a, b = np.cos(roll), np.sin(roll)
        self.turn = np.array([[a, -b, 0], [b, a, 0], [0, 0, 1]]) @ down

    @property
    def place(self) -> F64:
        return np.array([0, 0, self.height])

    def project(self, points: F64) -> tuple[F64, F64, F64, F64]:
        """Points [..., 3] in meters -> x and y in pixels, depth in meters, pixels per meter there, each [...]."""
        seen = (points - self.place) @ self.turn.T
        scale = self.focal * HEIGHT / np.maximum(seen[..., 2], 0.15)
        return seen[..., 0] * scale + WIDTH / 2, seen[..., 1] * scale + HEIGHT / 2, seen[..., 2], scale


@dataclass(frozen=True, slots=True)
class Box:
    """A piece of furniture: center on the ground [2], direction, size (depth, width, height), height above ground."""

    center: F64
    yaw: float
    size: tuple[float, float, float]
    above: float
    shade: float

    def faces(self, camera: Camera, pattern: tuple[float, float, float]) -> list[tuple[F64, float]]:
        """Shapes of the visible faces and their depth; the top counts as behind everything that stands on it."""
        turn, found = about_z(np.array(self.yaw)), []
        for normal, corners in _FACES:
            points = (np.array(corners) * 1.0 - np.array([0.5, 0.5, 0])) * np.array(self.size)
            points = points @ turn.T + np.array([self.center[0], self.center[1], self.above])
            if (points.mean(0) - camera.place) @ (turn @ np.array(normal)) > 0:
                continue
            x, y, depth, _ = camera.project(points)
            if depth.min() < NEAREST_M:
                continue
            shape = np.zeros(FIELDS)
            shape[0:8:2], shape[1:8:2] = x, y
            shade = self.shade * (1.15 if normal[2] else 0.75 + 0.25 * abs((turn @ np.array(normal))[0]))
            shape[8], shape[9], shape[10:13] = shade, shade * 0.85, pattern
            found.append((shape, float(depth.max() + 0.05 if normal[2] else depth.mean())))
        return found


@dataclass(frozen=True, slots=True)
class Room:
    """What surrounds the people. depth: of the back wall; half: of the width, both in meters."""

    depth: float
    half: float
    outdoor: bool

    def picture(self, camera: Camera, rng: np.random.Generator) -> F64:
        """The background [HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN]: ground and walls, patterns, pictures and doors."""
        shape = HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN
        rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(float)
        focal = camera.focal * HEIGHT
        x, y = (columns - MARGIN - WIDTH / 2) / focal, (rows - MARGIN - HEIGHT / 2) / focal
        rays = np.stack([x, y, np.ones_like(x)], -1) @ camera.turn
        nearest, image = np.full(shape, 1e9), np.full(shape, rng.uniform(0.4, 0.9))
        planes = self._planes(rng)
        base = rng.uniform(0.3, 0.9)
        for name, axis, at in planes:
            slope = rays[..., axis]
            reach = (at - camera.place[axis]) / np.where(np.abs(slope) < 1e-6, 1e-6, slope)
            seen = (reach > 0.05) & (reach < nearest)
            points = camera.place + rays * reach[..., None]
            u, v = ((1, 2), (0, 2), (0, 1))[axis]
            shade = self._surface(name, axis, points[..., u], points[..., v], base, rng)
            image, nearest = np.where(seen, shade, image), np.where(seen, reach, nearest)
        image = image * (
            1 + 0.08 * _clouds(rng, shape, 24) + 0.05 * _clouds(rng, shape, 6) + 0.03 * rng.normal(0, 1, shape)
        )
        lamp_x, lamp_y = rng.uniform(0, shape[1]), rng.uniform(-0.3 * shape[0], shape[0])
        spread, share = rng.uniform(0.4, 2.0) * shape[1], rng.uniform(0, 0.7)
        distance = (columns - lamp_x) ** 2 + (rows - lamp_y) ** 2
        return np.clip(image * (1 - share + share * np.exp(-distance / (2 * spread * spread))), 0.01, 1.3)

    def _planes(self, rng: np.random.Generator) -> list[tuple[str, int, float]]:
        """Name, axis of the normal, and place on that axis."""
        planes = [("ground", 2, 0.0), ("back", 1, self.depth), ("left", 0, -self.half), ("right", 0, self.half)]
        if not self.outdoor:
            return [*planes, ("ceiling", 2, rng.uniform(2.3, 3.2))]
        return planes[:2] if rng.random() < 0.6 else planes

    def _surface(self, name: str, axis: int, u: F64, v: F64, base: float, rng: np.random.Generator) -> F64:
        """Shades at the coordinates (u, v) of a plane, in meters."""
        ground = name == "ground"
        shade = rng.uniform(0.15, 0.8) if ground else np.clip(base * rng.uniform(0.75, 1.15), 0.1, 0.95)
        found = np.full(u.shape, shade)
        if ground or rng.random() < 0.3:
            kind, frequency, size = rng.integers(5), 2 * np.pi / rng.uniform(0.3, 1.2), rng.uniform(0.05, 0.35)
            if kind == 0:  # tiles
                found *= 1 + size * np.sign(np.sin(frequency * u) * np.sin(frequency * v))
            elif kind == 1:  # stripes
                found *= 1 + size * np.sin(frequency * u)
            elif kind == 2:  # joints
                joints = [np.abs(np.sin(frequency * each / 2)) < 0.08 for each in (u, v)]
                found *= 1 + size * joints[0] + size * joints[1]
            if ground and not self.outdoor and rng.random() < 0.4:
                found = self._carpet(found, u, v, rng)
        if name in ("back", "left", "right"):
            for _ in range(rng.integers(0, 14 if self.outdoor else 6)):
                found = self._picture_or_door(found, axis, u, v, rng)
        return found

    def _carpet(self, found: F64, u: F64, v: F64, rng: np.random.Generator) -> F64:
        left, near = rng.uniform(-self.half, self.half / 2), rng.uniform(1.2, self.depth - 0.5)
        inside = (u > left) & (u < left + rng.uniform(1, 2.5)) & (v > near) & (v < near + rng.uniform(1, 2))
        return np.where(inside, rng.uniform(0.1, 0.9) * (1 + 0.2 * np.sin(8 * u) * np.sin(8 * v)), found)

    def _picture_or_door(self, found: F64, axis: int, u: F64, v: F64, rng: np.random.Generator) -> F64:
        width, height, low = rng.uniform(0.3, 1.4), rng.uniform(0.3, 1.2), rng.uniform(0.6, 1.8)
        if rng.random() < 0.35:
            low, height, width = 0.0, rng.uniform(1.8, 2.1), rng.uniform(0.7, 1.0)
        left = rng.uniform(-self.half, self.half) if axis == 1 else rng.uniform(1, self.depth)
        if self.outdoor:
            low, left = rng.uniform(0, 6), left * 1.5
        inside = _within(u, v, left, low, width, height, 0.0)
        frame = inside & ~_within(u, v, left, low, width, height, 0.05)
        shade, pattern = rng.uniform(0.05, 1.0), np.ones_like(u)
        if rng.random() < 0.5:
            size, frequency = rng.uniform(0, 0.5), rng.uniform(5, 30)
            pattern = 1 + size * np.sin(frequency * u) * np.sin(rng.uniform(2, 30) * v)
        found = np.where(inside, shade * pattern, found)
        return np.where(frame, shade * rng.uniform(0.3, 1.5), found)


def _within(u: F64, v: F64, left: float, low: float, width: float, height: float, rim: float) -> Bool:
    across = (u > left + rim) & (u < left + width - rim)
    return across & (v > low + rim) & (v < low + height - rim)


def _clouds(rng: np.random.Generator, shape: tuple[int, int], scale: int) -> F64:
    """Smooth noise: bilinear interpolation between normal values on a grid of `scale` pixels."""
    grid = rng.normal(0, 1, (max(2, shape[0] // scale + 2), max(2, shape[1] // scale + 2)))
    y, x = np.linspace(0, grid.shape[0] - 1.01, shape[0]), np.linspace(0, grid.shape[1] - 1.01, shape[1])
    i, j = y.astype(int), x.astype(int)
    a, b = (y - i)[:, None], (x - j)[None]
    upper = grid[i][:, j] * (1 - b) + grid[i][:, j + 1] * b
    return upper * (1 - a) + (grid[i + 1][:, j] * (1 - b) + grid[i + 1][:, j + 1] * b) * a
