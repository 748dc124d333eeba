"""Twin of `find_islands`: one track, known as a whole."""

from __future__ import annotations

import numpy as np

from .._validate import F32

Place = tuple[int, float, bool]
"""A snippet, the distance from its center, and whether it is an edge."""


def find_islands(track: F32, threshold: float, longest: int, *, final: bool) -> list[tuple[Place, Place, int]]:
    """Start, end and the snippet at which the end was known, of every island of a track float32 [T] that has closed."""
    above = track > np.float32(threshold)
    found: list[tuple[Place, Place, int]] = []
    start: Place | None = None

    def crossing(t: int) -> Place:
        before, after = float(track[t - 1]), float(track[t])
        return t - 1, (float(np.float32(threshold)) - before) / (after - before), False

    t = 0
    while t < len(track):
        if start is None:
            if above[t]:
                start = (0, -0.5, True) if t == 0 else crossing(t)
            t += 1
            continue
        falls = np.flatnonzero(~above[t:])
        fall = t + int(falls[0]) if len(falls) else len(track)
        limit = start[0] + longest
        if fall > limit and limit < len(track):
            first = start[0] + longest // 2
            lowest = first + int(np.argmin(track[first:limit]))
            found.append((start, (lowest, 0.5, True), limit))
            start = (lowest + 1, -0.5, True)
            t = limit + 1
        elif fall < len(track):
            found.append((start, crossing(fall), fall))
            start = None
            t = fall + 1
        else:
            break
    if final and start is not None:
        found.append((start, (len(track) - 1, 0.5, True), len(track) - 1))
    return found
