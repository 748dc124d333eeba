"""The content of a scene: bodies with idle motion, blocks that hide them, colors that contrast with the background."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ._stage import ARMS, F32, Body, Stage, make_outline, smooth_noise

F64 = npt.NDArray[np.float64]
KINDS = ("disc", "box", "polygon", "star", "blob")
_CONTRAST = 75.0  # smallest distance of a body's main color to the background's mean, of 255


def furnish(stage: Stage, rng: np.random.Generator, background: F32) -> None:
    """Fill the stage with blocks, actors and distractors. background: colors to stand out from, float32 [n, 3]."""
    for _ in range(2 if rng.random() < 0.25 else 1):
        wide, tall = rng.uniform(0.27, 0.36), rng.uniform(0.42, 0.75)
        left = rng.uniform(0.05, stage.width - wide - 0.05)
        top = rng.choice([0.0, rng.uniform(0.1, 0.9 - tall) if tall < 0.8 else 0.0, 1.0 - tall])
        stage.blocks.append((float(top), float(left), float(top + tall), float(left + wide)))
    kinds = ["figure"] * int(rng.integers(1, 3)) + ["pillar"] * int(rng.random() < 0.45)
    kinds += [str(kind) for kind in rng.choice(KINDS, int(rng.integers(3, 5)))]
    for kind in kinds:
        _add(stage, rng, kind, background)
    shapes = [b for b in stage.bodies if not b.upright]
    for body in shapes[: int(rng.integers(1, len(shapes) - 1))]:
        _fill(stage, rng, body, background)
    for _ in range(int(rng.integers(1, 3))):
        _add_distractor(stage, rng, background)


def make_body(stage: Stage, rng: np.random.Generator, kind: str, background: F32, at: tuple[float, float]) -> Body:
    """A body that idles around `at`: it drifts a little, turns slowly, and a blob wobbles."""
    total, fps = stage.total, stage.fps
    low, high = {"figure": (0.16, 0.21), "pillar": (0.12, 0.16)}.get(kind, (0.065, 0.105))
    upright = kind in ("figure", "pillar")
    drift = rng.uniform(0.004, 0.016)
    wiggle = (drift * smooth_noise(rng, total, fps, 7.0), drift * smooth_noise(rng, total, fps, 7.0))
    if upright:
        turn = 0.03 * smooth_noise(rng, total, fps, 5.0)
    else:
        turn = rng.uniform(0, 6.28) + rng.uniform(0.1, 0.5) * smooth_noise(rng, total, fps, 9.0)
    sway = np.stack([0.12 * smooth_noise(rng, total, fps, 3.0) for _ in range(4)], axis=1)
    sway[:, :2] += ARMS
    sway[:, 2:] = 0.22 + 0.3 * np.abs(sway[:, 2:] - 0.1)
    return Body(
        kind=kind,
        radius=float(rng.uniform(low, high)),
        outline=make_outline(rng, kind),
        texture=int(rng.integers(4)),
        frequency=float(rng.uniform(4.0, 7.0)),
        colors=np.repeat(_colors(rng, background)[None], total, axis=0),
        x=at[0] + wiggle[0],
        y=at[1] + wiggle[1],
        size=1.0 + rng.uniform(0.0, 0.03) * smooth_noise(rng, total, fps, 6.0),
        turn=turn,
        stretch=1.0 + rng.uniform(0.0, 0.05) * smooth_noise(rng, total, fps, 4.0),
        axis=rng.uniform(0, 6.28) + 0.4 * smooth_noise(rng, total, fps, 9.0),
        alpha=np.ones(total),
        behind=np.zeros(total, bool),
        limbs=sway,
        wiggle=wiggle,
    )


def _colors(rng: np.random.Generator, background: F32) -> F32:
    """Two colors, the first far from the background and the second far from the first."""
    main = rng.uniform(10, 245, 3)
    while np.linalg.norm(main - background, axis=1).min() < _CONTRAST:
        main = rng.uniform(10, 245, 3)
    other = rng.uniform(10, 245, 3)
    while (
        np.linalg.norm(other - main) < _CONTRAST or np.linalg.norm(other - background, axis=1).min() < 0.6 * _CONTRAST
    ):
        other = rng.uniform(10, 245, 3)
    return np.stack([main, other]).astype(np.float32)


def _add(stage: Stage, rng: np.random.Generator, kind: str, background: F32) -> None:
    """Add an actor at the least crowded of several random places."""
    body = make_body(stage, rng, kind, background, (0.0, 0.0))
    room = body.reach(0) + 0.03
    best, place = -math.inf, (0.0, 0.0)
    for _ in range(24):
        x, y = rng.uniform(room, stage.width - room), rng.uniform(room, 1.0 - room)
        gap = min((math.hypot(b.x[0] - x, b.y[0] - y) - b.reach(0) - room for b in stage.bodies), default=1.0)
        body.x, body.y = x + body.wiggle[0], y + body.wiggle[1]
        gap -= 0.15 * stage.covered(body, 0)
        if gap > best:
            best, place = gap, (x, y)
    body.x, body.y = place[0] + body.wiggle[0], place[1] + body.wiggle[1]
    stage.bodies.append(body)


def _fill(stage: Stage, rng: np.random.Generator, body: Body, background: F32) -> None:
    """Make `body` a merged one: it contains another body of the same colors, and their areas add up."""
    inner = make_body(stage, rng, str(rng.choice(KINDS)), background, (float(body.x[0]), float(body.y[0])))
    inner.alpha[:] = 0.0
    inner.inside = True
    inner.colors[:] = body.colors
    body.size *= math.hypot(body.radius, inner.radius) / body.radius
    body.partner = len(stage.bodies)
    stage.bodies.append(inner)


def _add_distractor(stage: Stage, rng: np.random.Generator, background: F32) -> None:
    """A body that repeatedly drifts across the picture and turns slowly, in front of the blocks or behind them."""
    body = make_body(stage, rng, str(rng.choice(KINDS)), background, (0.0, 0.0))
    body.actor = False
    body.radius *= rng.uniform(0.45, 0.85)
    times = np.arange(stage.total) / stage.fps
    way, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.07)
    rim = 2.0 * body.radius + 0.05
    for track, length, part in ((body.x, stage.width, math.cos(way)), (body.y, 1.0, math.sin(way))):
        track += (rng.uniform(0, length) + rim + speed * part * times) % (length + 2 * rim) - rim
    body.turn = body.turn + rng.uniform(-0.5, 0.5) * times
    body.behind[:] = rng.random() < 0.5
    stage.bodies.append(body)
