"""Guesses at a tick: the islands that are not closed yet, scored on what is known so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._buffer import RowBuffer
from ._islands import EDGE, Island, IslandFinder
from ._jobs import Steps
from ._post import finish_island, prepare_island
from .config import PostProcess
from .live import Reporter, Saying
from .plan import Plan

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Window:
    """A view of a session at a tick. tail float32 [n, C + 1]: guessed tracks of the snippets after `tracks`."""

    plan: Plan
    post: PostProcess
    features: RowBuffer
    tracks: RowBuffer
    tail: F32
    finders: list[IslandFinder]
    waiting: list[Island]
    start_s: float
    prefix: str

    def islands(self) -> list[Island]:
        """Closed ones that wait for their surroundings, and all that the guessed tail makes of the others."""
        known, first = self.features.end, self.tracks.end
        found = list(self.waiting)
        level = np.float32(self.post.class_thresholds[0])
        hot = (self.tail[:, :-1].max(axis=0) > level).tolist() if len(self.tail) else [False] * len(self.finders)
        for c, finder in enumerate(self.finders):
            if not hot[c] and finder.open is None:
                continue
            ahead = finder.copy()
            low = max(first - 1, self.tracks.base) if finder.open is None else finder.open[0]
            low = max(low, self.tracks.base)
            column = np.concatenate([self.tracks.slice(low, first)[:, c], self.tail[:, c]])
            found += ahead.feed(column, low, first)
            found += ahead.finish(known)
        return found


def provisional(window: Window, reporter: Reporter) -> Steps[list[Saying]]:
    """Score every island that is not final and let the reporter decide what to say."""
    plan, post = window.plan, window.post
    known, settled, base = window.features.end, window.tracks.end, window.tracks.base
    now_s = window.start_s + known * plan.stride_s
    islands = window.islands()
    prepared, jobs, alive = [], [], []
    for island in islands:
        low = island.start if island.start_offset == -EDGE else island.start - plan.context
        low = max(low, base, 0)
        high = known if island.end_offset != EDGE else min(island.end + 1, known)
        high = min(high, island.end + plan.context + 1)
        tracks = np.concatenate(
            [window.tracks.slice(low, min(high, settled)), window.tail[max(low - settled, 0) : max(high - settled, 0)]]
        )
        bounds = (island.start - low + island.start_offset, island.end - low + island.end_offset)
        found, job = prepare_island(
            window.features.slice(low, high), tracks, island.label, bounds, post, stride_s=plan.stride_s, inner=False
        )
        prepared.append((island, low, found, job is not None))
        if job is not None:
            jobs.append(job)
        edges = (island.start + island.start_offset, island.end + island.end_offset)
        alive.append((island.label, *(window.start_s + (x + 0.5) * plan.stride_s for x in edges)))
    answers = iter((yield jobs) if jobs else [])
    said: list[Saying] = []
    for island, low, found, asked in prepared:
        segments, scores = finish_island(found, next(answers) if asked else None, post)
        seconds = window.start_s + (low + segments + 0.5) * plan.stride_s
        key = f"{window.prefix}/{plan.labels[island.label]}"
        said += reporter.guess(island.label, seconds, scores, now_s=now_s, key=key)
    return said + reporter.sweep(alive)
