"""Moves of two bodies: bounce, merge, split, and their near misses."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ._stage import REST_S, Body, Stage


def _pairs(stage: Stage, rng: np.random.Generator, start: float, *, plain: bool) -> Iterator[tuple[Body, Body]]:
    """Free bodies that are near enough to meet. plain: shapes that are not merged ones already."""
    frame = stage.frame(start)
    free = [b for b in stage.free(rng, start) if not plain or (b.partner is None and not b.upright)]
    for i, a in enumerate(free):
        for b in free[i + 1 :]:
            away = math.hypot(a.x[frame] - b.x[frame], a.y[frame] - b.y[frame])
            if 0.11 < away - a.reach(frame) - b.reach(frame) < 0.75:
                yield a, b


def _touch(body: Body, frame: int) -> float:
    """Distance at which it touches another, seen from any side; a figure is slim."""
    return (0.5 if body.upright else 0.95) * body.radius * float(body.size[frame])


def bounce(stage: Stage, rng: np.random.Generator, start: float, end: float, near: bool) -> bool:
    """Two bodies run into each other and are thrown back. Near miss: they pass each other without touching."""
    frame = stage.frame(start)
    for a, b in _pairs(stage, rng, start, plain=False):
        dx, dy = b.x[frame] - a.x[frame], b.y[frame] - a.y[frame]
        away = math.hypot(dx, dy)
        ux, uy = dx / away, dy / away
        span = stage.span(start, end)
        p = span.ends
        if near:
            side = 0.5 * (a.reach(frame) + b.reach(frame)) + 0.03
            bow, cross = side * np.sin(np.pi * p), away * p * rng.uniform(0.85, 1.0)
            ax, ay = ux * cross - uy * bow, uy * cross + ux * bow
            bx, by = -ax, -ay
        else:
            share, hit = rng.uniform(0.35, 0.65), rng.uniform(0.4, 0.55)
            way = away - _touch(a, frame) - _touch(b, frame)
            kick = rng.uniform(0.5, 1.0)
            there = np.where(p < hit, p / hit, 1 - kick * (p - hit) / (1 - hit))
            veer = rng.uniform(-0.5, 0.5) * way * np.clip((p - hit) / (1 - hit), 0, 1)
            ax, ay = share * (ux * way * there - uy * veer), share * (uy * way * there + ux * veer)
            bx, by = (share - 1) * (ux * way * there - uy * veer), (share - 1) * (uy * way * there + ux * veer)
        if not stage.holds(a.x[frame] + ax, a.y[frame] + ay, a.reach(frame)) or not stage.holds(
            b.x[frame] + bx, b.y[frame] + by, b.reach(frame)
        ):
            continue
        for body, x, y in ((a, ax, ay), (b, bx, by)):
            if stage.crowd(body, body.x[frame] + float(x[-1]), body.y[frame] + float(y[-1]), stage.frame(end), a, b):
                break
        else:
            a.shift(span, ax, ay)
            b.shift(span, bx, by)
            a.free_at = b.free_at = end
            return True
    return False


def merge(stage: Stage, rng: np.random.Generator, start: float, end: float, near: bool) -> bool:
    """Two shapes meet and become one. Near miss: they meet closely, wait, and part slowly."""
    frame = stage.frame(start)
    for a, b in _pairs(stage, rng, start, plain=True):
        dx, dy = b.x[frame] - a.x[frame], b.y[frame] - a.y[frame]
        away = math.hypot(dx, dy)
        share = rng.uniform(0.3, 0.7)
        span = stage.span(start, end)
        p = span.ends
        if near:
            gap = a.reach(frame) + b.reach(frame) + 0.015
            there = np.clip(p / 0.75, 0, 1) * (1 - gap / away)
        else:
            meet = rng.uniform(0.5, 0.65)
            contact = 1 - (_touch(a, frame) + _touch(b, frame)) / away
            there = np.where(p < meet, contact * p / meet, contact + (1 - contact) * (p - meet) / (1 - meet))
        if stage.crowd(a, a.x[frame] + share * dx, a.y[frame] + share * dy, stage.frame(end), a, b):
            continue
        a.shift(span, share * dx * there, share * dy * there)
        b.shift(span, (share - 1) * dx * there, (share - 1) * dy * there)
        a.free_at = b.free_at = end
        if near:
            _part(stage, rng, a, b, end + float(rng.uniform(0.5, 1.2)))
            return True
        into = np.clip((span.phase - meet) / (1 - meet), 0, 1)
        size_a, size_b = a.size[span.first].item(), b.size[span.first].item()
        gained = (b.radius * size_b / (a.radius * size_a)) ** 2
        a.size[span.first : span.last] *= np.sqrt(1 + gained * into)
        a.size[span.last :] *= math.sqrt(1 + gained)
        b.size[span.first : span.last] *= np.sqrt(1 - into)
        b.alpha[span.last :] = 0.0
        b.inside = True
        b.colors[span.last :] = a.colors[span.last]
        a.partner = stage.bodies.index(b)
        return True
    return False


def _part(stage: Stage, rng: np.random.Generator, a: Body, b: Body, start: float) -> None:
    """The two move a little away from each other, slowly."""
    frame, seconds = stage.frame(start), float(rng.uniform(2.5, 4.0))
    dx, dy = b.x[frame] - a.x[frame], b.y[frame] - a.y[frame]
    away = math.hypot(dx, dy)
    span = stage.span(start, start + seconds)
    p = span.ends * span.ends * (3 - 2 * span.ends)
    for body, sign in ((a, -1.0), (b, 1.0)):
        x, y = sign * 0.12 * dx / away * p, sign * 0.12 * dy / away * p
        if stage.holds(body.x[frame] + x, body.y[frame] + y, body.reach(frame)):
            body.shift(span, x, y)
        body.free_at = max(body.free_at, start + seconds)


def split(stage: Stage, rng: np.random.Generator, start: float, end: float, near: bool) -> bool:
    """One shape becomes two that move apart. Near miss: it stretches as if to split, and shrinks back."""
    frame = stage.frame(start)
    for a in stage.free(rng, start):
        if a.upright if near else a.partner is None:
            continue
        for _ in range(12):
            way = rng.uniform(0, 2 * np.pi)
            ux, uy = math.cos(way), math.sin(way)
            if near:
                if stage.holds(a.x[frame], a.y[frame], 1.5 * a.reach(frame)):
                    break
                continue
            b = stage.bodies[a.partner or 0]
            way_a, way_b = 0.5 * (a.radius + b.radius) * rng.uniform(1.4, 2.2, 2)
            ax, ay = a.x[frame] + way_a * ux, a.y[frame] + way_a * uy
            bx, by = a.x[frame] - way_b * ux, a.y[frame] - way_b * uy
            if (
                stage.holds(ax, ay, a.radius * 1.3)
                and stage.holds(bx, by, b.radius * 1.3)
                and not stage.crowd(a, ax, ay, stage.frame(end), a, b)
                and not stage.crowd(b, bx, by, stage.frame(end), a, b)
            ):
                break
        else:
            continue
        span = stage.span(start, end)
        p = span.phase
        a.free_at = end
        if near:
            a.axis[span.first : span.last] = way
            a.stretch[span.first : span.last] = 1 + rng.uniform(0.35, 0.5) * np.sin(np.pi * p)
            return True
        bulge = rng.uniform(0.25, 0.4)
        going = np.clip((span.ends - bulge) / (1 - bulge), 0, 1)
        apart = np.where(span.ends < bulge, 0.0, 0.3 + 0.7 * going)
        large = a.size[span.first].item()
        full = a.radius * large
        # Two discs in the place of one: their areas add up to its area at any time.
        rest_a = a.radius / math.hypot(a.radius, b.radius) * full / a.radius
        rest_b = b.radius / math.hypot(a.radius, b.radius) * full / b.radius
        split_at = span.first + int(np.searchsorted(p, bulge))
        a.axis[span.first : split_at] = b.axis[span.first : split_at] = way
        a.stretch[span.first : split_at] = 1 + 0.45 * p[: split_at - span.first] / bulge
        x0, y0 = a.x[span.first :].copy(), a.y[span.first :].copy()
        a.size[split_at:] *= rest_a / large
        a.shift(span, way_a * ux * apart, way_a * uy * apart)
        b.x[span.first :] = x0 - np.append(way_b * ux * apart[:-1], np.full(stage.total - span.last, way_b * ux))
        b.y[span.first :] = y0 - np.append(way_b * uy * apart[:-1], np.full(stage.total - span.last, way_b * uy))
        b.size[span.first :] *= rest_b / b.size[span.first].item()
        b.alpha[split_at:] = 1.0
        b.inside = False
        b.free_at = end + REST_S
        b.partner = a.partner = None
        return True
    return False
