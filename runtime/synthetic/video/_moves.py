"""The ten actions, and for each a near miss: the same beginning, but not the same course.

A move picks free bodies, writes its course into their tracks over [start, end) and returns True; it returns False and
changes nothing where no body can make it now. After a near miss, and after a fall, a body goes back so slowly that
it does not count as a motion of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ._pairs import bounce, merge, split
from ._stage import F64, Body, Stage

Move = Callable[[Stage, np.random.Generator, float, float, bool], bool]


def ease(p: F64) -> F64:
    """0..1 with short soft ends: a motion that can be timed by eye."""
    soft = 0.12
    inner = np.clip((p - soft / 2) / (1 - soft), 0, 1)
    return np.where(
        p < soft,
        p**2 / (2 * soft * (1 - soft)),
        np.where(p > 1 - soft, 1 - (1 - p) ** 2 / (2 * soft * (1 - soft)), inner),
    )


def settle(stage: Stage, body: Body, start: float, seconds: float) -> tuple[Any, F64]:
    """Frames from `start` on, and a weight that sinks from 1 to 0 over `seconds` (and stays there)."""
    first = stage.frame(start)
    phase = ((np.arange(first, stage.total) + 0.5) / stage.fps - start) / seconds
    body.free_at = max(body.free_at, start + seconds)
    p = np.clip(phase, 0.0, 1.0)
    return slice(first, None), 1.0 - p * p * (3 - 2 * p)


def jump(stage: Stage, rng: np.random.Generator, start: float, end: float, near: bool) -> bool:
    """Up and down again in an arc. Near miss: it rises and stays up, then sinks slowly."""
    for body in stage.free(rng, start):
        k = stage.frame(start)
        height = rng.uniform(0.15, 0.34)
        side = float(rng.uniform(-0.22, 0.22))
        if not stage.holds(body.x[k] + side, body.y[k], body.reach(k)):
            side = -side
        if not stage.holds((body.x[k] + side, body.x[k]), (body.y[k] - height, body.y[k]), body.reach(k)):
            continue
        span = stage.span(start, end)
        p = span.ends
        body.free_at = end
        if near:
            body.shift(span, 0.5 * side * p, -height * (1 - (1 - p) ** 2))
            frames, weight = settle(stage, body, end + 0.4, float(rng.uniform(3.0, 4.5)))
            body.y[frames] += height * (1 - weight)
        else:
            body.shift(span, side * p, -height * 4 * p * (1 - p))
            squash = 1.0 + 0.22 * np.sin(np.pi * span.phase)
            if not body.upright:
                body.axis[span.first : span.last] = np.pi / 2
                body.stretch[span.first : span.last] = squash
        return True
    return False


def spin(stage: Stage, rng: np.random.Generator, start: float, end: float, near: bool) -> bool:
    """One to two and a half turns in place. Near miss: a quarter turn at the same speed."""
    for body in stage.free(rng, start):
        if near and body.upright:
            continue  # a quarter turn of something upright is a fall
        k = stage.frame(start)
        if not stage.holds(body.x[k], body.y[k], body.reach(k)):
            continue
        turns = rng.uniform(0.2, 0.32) if near else rng.uniform(1.0, 1.0 + 0.75 * (end - start))
        if body.upright:
            turns = round(turns)
        span = stage.span(start, end)
        angle = 2 * np.pi * turns * rng.choice([-1, 1]) * ease(span.ends)
        body.turn[span.first : span.last] += angle[:-1]
        body.turn[span.last :] += angle[-1]
        body.free_at = end
        return True
    return False


def pulse(stage: Stage, rng: np.random.Generator, start: float, end: float, near: bool) -> bool:
    """Grows and shrinks back. Near miss: grows, stays large, and shrinks unnoticeably."""
    for body in stage.free(rng, start):
        k = stage.frame(start)
        grow = rng.uniform(1.5, 2.1)
        if grow * body.reach(k) > 0.24 or not stage.holds(body.x[k], body.y[k], grow * body.reach(k)):
            continue
        span = stage.span(start, end)
        body.free_at = end
        if near:
            body.size[span.first : span.last] *= 1 + (grow - 1) * ease(span.phase)
            frames, weight = settle(stage, body, end, float(rng.uniform(5.0, 8.0)))
            body.size[frames] *= 1 + (grow - 1) * weight
        else:
            body.size[span.first : span.last] *= 1 + (grow - 1) * np.sin(np.pi * span.phase)
        return True
    return False


def zigzag(stage: Stage, rng: np.random.Generator, start: float, end: float, near: bool) -> bool:
    """A run with sharp turns from side to side. Near miss: a straight run as long."""
    for body in stage.free(rng, start):
        k = stage.frame(start)
        for _ in range(16):
            way, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.75)
            dx, dy = length * math.cos(way), length * math.sin(way)
            if stage.holds(body.x[k] + dx, body.y[k] + dy, body.reach(k)) and not stage.crowd(
                body, body.x[k] + dx, body.y[k] + dy, stage.frame(end)
            ):
                break
        else:
            continue
        bends = int(rng.integers(3, 6))
        wide = 0.0 if near else rng.uniform(0.06, 0.11)
        span = stage.span(start, end)
        p = span.ends
        side = wide * (2 / np.pi) * np.arcsin(np.sin(np.pi * bends * p))
        x, y = dx * p - dy / length * side, dy * p + dx / length * side
        if not stage.holds(body.x[k] + x, body.y[k] + y, body.reach(k)):
            continue
        body.shift(span, x, y)
        if body.kind == "figure":
            stride = 0.55 * np.sin(2 * np.pi * 2.2 * (end - start) * span.phase)
            body.limbs[span.first : span.last, 2] += stride
            body.limbs[span.first : span.last, 3] -= stride
        body.free_at = end
        return True
    return False


def hide(stage: Stage, rng: np.random.Generator, start: float, end: float, near: bool) -> bool:
    """Behind a block, out of sight, and back. Near miss: the same way before the block, or only up to its edge."""
    for body in stage.free(rng, start):
        k = stage.frame(start)
        reach, x, y = body.reach(k), float(body.x[k]), float(body.y[k])
        if stage.covered(body, k):
            continue
        for top, left, bottom, right in stage.blocks:
            low, high = max(top + 0.8 * reach, 0.9 * reach), min(bottom - 0.8 * reach, 1 - 0.9 * reach)
            if 1.5 * reach > right - left or low > high:
                continue
            aim_x, aim_y = 0.5 * (left + right), min(max(y + rng.uniform(-0.1, 0.1), low), high)
            way = math.hypot(aim_x - x, aim_y - y)
            if not 0.2 < way < 0.5 * (end - start):
                continue
            before = near and rng.random() < 0.5
            if near and not before:
                edge = left - 0.9 * reach if x < aim_x else right + 0.9 * reach
                if not min(x, aim_x) < edge < max(x, aim_x) or abs(edge - x) < 0.12:
                    continue
                aim_x = edge
            stay = rng.uniform(0.25, 0.4)
            span = stage.span(start, end)
            there = np.clip(np.minimum(span.ends, 1 - span.ends) / (0.5 - stay / 2), 0, 1)
            body.shift(span, (aim_x - x) * there, (aim_y - y) * there)
            if not near:
                body.behind[span.first : span.last] = True
            body.free_at = end
            return True
    return False


def wave(stage: Stage, rng: np.random.Generator, start: float, end: float, near: bool) -> bool:
    """A figure raises an arm, swings it several times and lowers it. Near miss: it raises and lowers it once."""
    for body in stage.free(rng, start):
        if body.kind != "figure":
            continue
        span = stage.span(start, end)
        p, length = span.phase, end - start
        part = 0.5 if near else min(0.3 / length, 0.25)
        lifted = np.clip(np.minimum(p, 1 - p) / part, 0, 1) if not near else np.sin(np.pi * p)
        swings = max(2, round(rng.uniform(1.4, 2.4) * length * (1 - 2 * part)))
        inner = np.clip((p - part) / max(1 - 2 * part, 1e-6), 0, 1)
        angle = lifted * rng.uniform(2.1, 2.5)
        if not near:
            angle = angle + rng.uniform(0.45, 0.65) * np.sin(2 * np.pi * swings * inner)
        arm = int(rng.integers(2))
        body.limbs[span.first : span.last, arm] += angle
        body.free_at = end
        return True
    return False


def fall(stage: Stage, rng: np.random.Generator, start: float, end: float, near: bool) -> bool:
    """Something upright tips over to lie on the ground. Near miss: it leans over and comes back."""
    for body in stage.free(rng, start):
        if not body.upright:
            continue
        k = stage.frame(start)
        half = body.radius * float(body.size[k])
        for side in rng.permutation([-1.0, 1.0]):
            if stage.holds(body.x[k] + 1.9 * half * side, body.y[k] + half * 0.8, 0.5 * half):
                break
        else:
            continue
        span = stage.span(start, end)
        p = span.ends
        full = rng.uniform(0.45, 0.7) if near else rng.uniform(1.4, 1.6)
        angle = side * (full * np.sin(np.pi * p) if near else full * p**1.6)
        body.shift(span, half * np.sin(angle), half * (1 - np.cos(angle)))
        body.turn[span.first : span.last] += angle[:-1]
        body.free_at = end
        if not near:
            rest = end + float(rng.uniform(0.8, 2.5))
            body.turn[span.last :] += angle[-1]
            frames, weight = settle(stage, body, rest, float(rng.uniform(3.0, 4.5)))
            back = angle[-1] * weight
            body.turn[frames] -= angle[-1] - back
            body.x[frames] += half * (np.sin(back) - np.sin(angle[-1]))
            body.y[frames] += half * (np.cos(angle[-1]) - np.cos(back))
        return True
    return False


# Label -> (the move, shortest and longest length of an action, of a near miss), in seconds.
MOVES: dict[str, tuple[Move, tuple[float, float], tuple[float, float]]] = {
    "bounce": (bounce, (0.9, 2.4), (0.9, 2.4)),
    "fall": (fall, (0.6, 1.6), (0.7, 1.8)),
    "hide": (hide, (1.4, 4.0), (1.2, 3.5)),
    "jump": (jump, (0.6, 1.6), (0.35, 0.8)),
    "merge": (merge, (0.9, 2.4), (0.9, 2.4)),
    "pulse": (pulse, (0.7, 2.6), (0.4, 1.3)),
    "spin": (spin, (0.8, 2.8), (0.25, 0.7)),
    "split": (split, (0.7, 2.0), (0.7, 1.8)),
    "wave": (wave, (1.1, 3.8), (0.7, 1.6)),
    "zigzag": (zigzag, (1.2, 3.4), (0.8, 2.2)),
}
