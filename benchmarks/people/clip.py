"""One clip: who acts, drawn frame by frame, with labels. `picture.develop` makes of it what a camera records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .labels import LABELS, MEASURES
from .person import FPS, Person
from .raster import CAPSULE, F32, FIELDS, I64, NOTHING, QUAD, SHADOW, crop, draw
from .room import HEIGHT, MARGIN, WIDTH, Camera, Room
from .scenario import stage
from .skeleton import F64, FREE, PARTS, joints

RATE = 10
"""Frames per second of a clip."""
_HIDDEN_M = 0.35  # parts of the body that come closer to the camera are not drawn


@dataclass(frozen=True, slots=True)
class Clip:
    """frames: light [T, 48, 64], 1 is white under full light. labels: 0 or 1 [T, L]. measures: [T, M]."""

    frames: F32
    labels: F32
    measures: F32


@dataclass(slots=True)
class _Shapes:
    """Shapes over time: numbers [T, FIELDS], kinds [T] and depths [T] of each."""

    numbers: list[F64]
    kinds: list[I64]
    depths: list[F64]

    def add(self, numbers: F64, kind: I64, depth: F64) -> None:
        self.numbers.append(numbers)
        self.kinds.append(kind)
        self.depths.append(depth)


def make_clip(seed: int, seconds: float = 20.0) -> Clip:
    """A clip. The same arguments give the same frames.

    Args:
        seed: Seed of the generator.
        seconds: Length.
    """
    rng = np.random.default_rng([7, seed])
    place = stage(rng, seconds)
    count, camera = place.frames, place.camera
    blurred = rng.random() < 0.4  # motion blur: two exposures per frame
    background = place.room.picture(camera, rng).astype(np.float32)
    shapes = _Shapes([], [], [])
    for box in place.boxes:
        pattern = (rng.uniform(0, 0.3), rng.uniform(0, 2), rng.uniform(0, 2)) if rng.random() < 0.3 else (0.0, 0.0, 0.0)
        for numbers, depth in box.faces(camera, pattern):
            shapes.add(np.tile(numbers, (count, 1)), np.full(count, QUAD), np.full(count, depth))
    labels, measures = np.zeros((count, len(LABELS)), np.float32), np.zeros((count, len(MEASURES)), np.float32)
    measures[:, 0] = 2.0
    side_light = rng.uniform(-0.3, 0.3)
    shadow, sun = rng.uniform(0, 0.35) if rng.random() < 0.6 else 0.0, rng.uniform(-1, 1, 2)
    for person in place.people:
        poses, places, yaw = (np.array(each[:count]) for each in (person.poses, person.places, person.yaw))
        waves = np.outer(np.arange(count) / FPS, rng.uniform(0.5, 2, len(FREE))) + rng.uniform(0, 6, len(FREE))
        body = joints(poses + 0.012 * np.sin(waves) * FREE, yaw, places, person.height)
        _describe(person, body, places, camera, labels, measures)
        _add_body(shapes, body, person.height, camera, side_light, rng)
        if shadow:
            _add_shadow(shapes, body, person.height, camera, shadow, sun)
    if rng.random() < 0.25:
        _add_door(shapes, count, camera, place.room, rng)
    frames = _draw(shapes, background, blurred, count, rng)
    return Clip(frames, labels[:: FPS // RATE], measures[:: FPS // RATE])


def _describe(person: Person, body: dict[str, F64], places: F64, camera: Camera, labels: F32, measures: F32) -> None:
    """Enter the labels and measures of a person where it is in view."""
    x, y, depth, scale = camera.project(body["pelvis"])
    seen = (depth > 0.5) & (x > 0) & (x < WIDTH) & (y > -10) & (y < HEIGHT + 15)
    np.maximum(labels, np.array(person.labels[: len(labels)]) * seen[:, None], out=labels)
    head = body["head"][:, 2] / person.height
    fallen = np.gradient(body["neck"][:, 2]) * FPS
    speed = np.hypot(*np.gradient(places, axis=0).T) * FPS
    measures[:, 0] = np.where(seen, np.minimum(measures[:, 0], head), measures[:, 0])
    measures[:, 1] = np.where(seen, np.minimum(measures[:, 1], fallen), measures[:, 1])
    measures[:, 2] += seen
    measures[:, 3] = np.maximum(measures[:, 3], seen * speed)
    measures[:, 4] = np.maximum(measures[:, 4], seen * np.minimum(scale * person.height / HEIGHT, 1.5))


def _add_body(
    shapes: _Shapes, body: dict[str, F64], height: float, camera: Camera, light: float, rng: np.random.Generator
) -> None:
    bulk = rng.uniform(0.85, 1.35)
    ranges = {
        "shirt": (0.03, 0.95),
        "trousers": (0.03, 0.8),
        "shoes": (0.02, 0.5),
        "skin": (0.25, 0.75),
        "hair": (0.03, 0.5),
    }
    shades = {name: rng.uniform(*each) for name, each in ranges.items()}
    shades["sleeves"] = shades["shirt"] if rng.random() < 0.7 else shades["skin"]
    stripes = (rng.uniform(0.1, 0.4), rng.uniform(5, 25), rng.uniform(0, 6)) if rng.random() < 0.35 else (0, 0, 0)
    for start, end, first, last, cover in PARTS:
        size = height * (bulk if cover in ("shirt", "trousers", "sleeves") else 1)
        numbers, depth, shown = _capsule(camera, body[start], body[end], first * size, last * size)
        numbers[:, 6], numbers[:, 7], numbers[:, 8] = shades[cover] * 1.05, shades[cover] * 0.9, light
        if cover == "shirt":
            numbers[:, 9:12] = stripes
        shapes.add(numbers, np.where(shown, CAPSULE, NOTHING), depth - (0.06 if cover == "hair" else 0))


def _add_shadow(
    shapes: _Shapes, body: dict[str, F64], height: float, camera: Camera, strength: float, sun: F64
) -> None:
    """The shadow of trunk and legs on the ground."""
    for start, end, radius in (("pelvis", "neck", 0.1), ("hip_l", "ankle_l", 0.06), ("hip_r", "ankle_r", 0.06)):
        ends = [body[start].copy(), body[end].copy()]
        for each in ends:
            each[:, :2] += sun * each[:, 2:] * 0.5
            each[:, 2] = 0
        numbers, _, shown = _capsule(camera, *ends, radius * height, radius * height)
        numbers[:, 6] = strength
        shapes.add(numbers, np.where(shown, SHADOW, NOTHING), np.full(len(numbers), 1e6))


def _capsule(camera: Camera, start: F64, end: F64, first: float, last: float) -> tuple[F64, F64, np.ndarray]:
    """Numbers of a capsule between two moving points with radii in meters, its depth, and whether to draw it."""
    x0, y0, depth0, scale0 = camera.project(start)
    x1, y1, depth1, scale1 = camera.project(end)
    numbers = np.zeros((len(start), FIELDS))
    numbers[:, :6] = np.stack([x0, y0, first * scale0, x1, y1, last * scale1], 1)
    return numbers, (depth0 + depth1) / 2, (depth0 > _HIDDEN_M) & (depth1 > _HIDDEN_M)


def _add_door(shapes: _Shapes, count: int, camera: Camera, room: Room, rng: np.random.Generator) -> None:
    """A door that opens or a curtain that moves in the back wall."""
    times, width, left = np.arange(count) / FPS, rng.uniform(0.3, 1.0), rng.uniform(-room.half, room.half)
    opened = np.clip((times - rng.uniform(0, count / FPS)) / rng.uniform(0.5, 2), 0, 1)
    if rng.random() < 0.5:
        widths = width * np.cos(opened * 1.3)
    else:
        widths = width * (1 + 0.15 * np.sin(times * rng.uniform(0.5, 3)))
    corners = np.zeros((count, 4, 3))
    for k, (share, up) in enumerate(((0, 0), (1, 0), (1, 2.0), (0, 2.0))):
        corners[:, k, 0], corners[:, k, 1], corners[:, k, 2] = left + share * widths, room.depth - 0.05, up
    x, y, _, _ = camera.project(corners)
    numbers = np.zeros((count, FIELDS))
    numbers[:, 0:8:2], numbers[:, 1:8:2] = x, y
    numbers[:, 8:10] = rng.uniform(0.1, 0.9)
    shapes.add(numbers, np.full(count, QUAD), np.full(count, 99.0))


def _draw(shapes: _Shapes, background: F32, blurred: bool, count: int, rng: np.random.Generator) -> F32:
    """Frames [T, 48, 64] at RATE, seen by a camera that shakes in a quarter of the clips."""
    numbers = np.clip(np.stack(shapes.numbers, 1), -1e4, 1e4)
    kinds, depths = np.stack(shapes.kinds, 1), np.stack(shapes.depths, 1)
    times, right, down = np.arange(count) / FPS, np.zeros(count), np.zeros(count)
    if rng.random() < 0.25:
        size = rng.choice([0.3, 1.0, 3.0])
        for speeds, moved, share in (((0.3, 0.9, 2.1), right, 0.5), ((0.4, 1.1, 2.7), down, 0.4)):
            for speed in speeds:
                moved += size * rng.normal(0, share) * np.sin(2 * np.pi * speed * times + rng.uniform(0, 6))
    step = 1 if blurred else FPS // RATE
    frames = np.empty((-(-count // step), HEIGHT, WIDTH), np.float32)
    for n, i in enumerate(range(0, count, step)):
        crop(background, frames[n], right[i], down[i], MARGIN)
        order = np.argsort(-depths[i], kind="stable")
        draw(frames[n], numbers[i], kinds[i], order[kinds[i][order] != NOTHING], right[i], down[i])
    if blurred:
        frames = (frames[0::2] + frames[1::2]) / 2
    small: F32 = frames.reshape(-1, HEIGHT // 2, 2, WIDTH // 2, 2).mean((2, 4)).astype(np.float32)
    return small
