"""Bodies and their tracks: where everything is in every frame, before anything is drawn.

Lengths are in units of the frame's height, y down: the picture covers x in [0, width], y in [0, 1]. Track entry k is
the state at the middle of frame k, (k + 0.5) / fps seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from punctum.kernels._draw import BINS

from ...datatypes import compact

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
REST_S = 0.35  # a body is still for at least this long between two motions, so that each has a clear start and end
# Mean length and how far it varies (standard deviation of the logarithm is 0.35) are in _moves; these are the poses.
ARMS = 0.25


@compact
@dataclass(slots=True, eq=False, repr=False)
class Body:
    """One shape or stick figure. `radius` is its mean radius (half height of a figure) at size 1."""

    kind: str
    radius: float
    outline: F32
    texture: int
    frequency: float
    colors: F32  # [T, 2, 3]
    x: F64
    y: F64
    size: F64
    turn: F64
    stretch: F64
    axis: F64
    alpha: F64
    behind: npt.NDArray[np.bool_]
    limbs: F64  # [T, 4]
    wiggle: tuple[F64, F64]
    actor: bool = True
    free_at: float = 0.0
    partner: int | None = None  # of a merged body: who is inside
    inside: bool = False

    @property
    def upright(self) -> bool:
        """Whether it stands on something, and can fall over."""
        return self.kind in ("figure", "pillar")

    def reach(self, frame: int) -> float:
        """How far from its center it goes."""
        return self.radius * float(self.size[frame]) * float(self.outline.max())

    def shift(self, span: Span, dx: F64 | float, dy: F64 | float) -> None:
        """Add a displacement over the span's phase; what it is at the end stays."""
        for track, delta in ((self.x, dx), (self.y, dy)):
            values = np.broadcast_to(np.asarray(delta, np.float64), span.ends.shape)
            track[span.first : span.last] += values[:-1]
            track[span.last :] += values[-1]


@compact
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Span:
    """Frames [first, last) of a motion, and its phase 0..1 in each, with a last entry for the end itself."""

    first: int
    last: int
    ends: F64

    @property
    def phase(self) -> F64:
        return self.ends[:-1]


@dataclass(slots=True)
class Stage:
    """Everything in the picture except the light."""

    fps: float
    total: int
    width: float
    bodies: list[Body] = field(default_factory=list)
    blocks: list[tuple[float, float, float, float]] = field(default_factory=list)  # top, left, bottom, right

    def frame(self, time_s: float) -> int:
        """The first frame whose middle is at or after `time_s`."""
        return min(max(math.ceil(time_s * self.fps - 0.5 - 1e-9), 0), self.total - 1)

    def span(self, start: float, end: float) -> Span:
        first, last = self.frame(start), max(self.frame(end), self.frame(start) + 1)
        phase = ((np.arange(first, last) + 0.5) / self.fps - start) / (end - start)
        return Span(first, last, np.append(np.clip(phase, 0.0, 1.0), 1.0))

    def free(self, rng: np.random.Generator, start: float) -> Iterator[Body]:
        """Actors that have nothing to do at `start`, in random order, those in the open before those in a crowd."""
        frame = self.frame(start)
        order = [self.bodies[i] for i in rng.permutation(len(self.bodies))]
        idle = [b for b in order if b.actor and not b.inside and b.free_at + REST_S <= start]
        yield from sorted(idle, key=lambda b: self.crowd(b, b.x[frame], b.y[frame], frame))

    def holds(self, x: Any, y: Any, reach: float) -> bool:
        """Whether a body stays in the picture on its whole way."""
        room = 0.8 * reach + 0.01
        return bool(np.all(np.asarray(x) >= room) and np.all(np.asarray(x) <= self.width - room)) and bool(
            np.all(np.asarray(y) >= room) and np.all(np.asarray(y) <= 1.0 - room)
        )

    def crowd(self, body: Body, x: float, y: float, frame: int, *others: Body) -> bool:
        """Whether a body at (x, y) would cover another one. `others` do not count."""
        return any(
            math.hypot(b.x[frame] - x, b.y[frame] - y) < 0.85 * (b.reach(frame) + body.reach(frame))
            for b in self.bodies
            if b.actor and b is not body and not b.inside and b not in others
        )

    def covered(self, body: Body, frame: int) -> bool:
        """Whether the body is before or behind a block."""
        reach, x, y = body.reach(frame), body.x[frame], body.y[frame]
        return any(t - reach < y < b + reach and left - reach < x < r + reach for t, left, b, r in self.blocks)


def smooth_noise(rng: np.random.Generator, total: int, fps: float, period_s: float) -> F64:
    """A slow random course with values of about unit size: three sines of periods around `period_s`."""
    times = np.arange(total) / fps
    sines = [
        rng.normal() * np.sin(2 * np.pi * (times / (period_s * rng.uniform(0.6, 1.6)) + rng.random())) for _ in range(3)
    ]
    return np.asarray(np.sum(sines, axis=0) * 0.8, np.float64)


def make_outline(rng: np.random.Generator, kind: str) -> F32:
    """Rim over the angle, scaled so that the area is that of a disc of radius 1."""
    angle = np.arange(BINS) * 2 * np.pi / BINS
    rim = np.ones(BINS)
    if kind in ("box", "pillar"):
        long, wide = (1.0, 0.42) if kind == "pillar" else (1.0, rng.uniform(0.75, 1.0))
        with np.errstate(divide="ignore"):
            rim = np.minimum(wide / np.abs(np.cos(angle)), long / np.abs(np.sin(angle)))
    elif kind == "polygon":
        sides = int(rng.choice([3, 5, 6]))
        rim = np.cos(np.pi / sides) / np.cos((angle % (2 * np.pi / sides)) - np.pi / sides)
    elif kind == "star":
        points = int(rng.choice([4, 5, 6]))
        rim = 1.0 + 0.32 * np.cos(points * angle)
    elif kind == "blob":
        for k in (2, 3, 4):
            rim = rim + rng.uniform(0.06, 0.16) * np.cos(k * angle + rng.uniform(0, 6.3))
    if kind == "pillar":
        return np.asarray(rim, np.float32)  # its radius is half its height, as with a figure
    return np.asarray(rim / math.sqrt(float(np.mean(rim**2))), np.float32)
