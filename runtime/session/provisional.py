"""Guesses at a tick: the islands that are not closed yet, scored on what is known so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..bundle.config import PostProcess
from ..datatypes import compact
from ..live import Reporter, Saying
from .buffer import RowBuffer
from .islands import Island, IslandFinder
from .jobs import Head, ScoreJob, Steps, check_heads
from .plan import Plan
from .post import Proposals, finish_islands, prepare_island

F32 = npt.NDArray[np.float32]


@compact
@dataclass(frozen=True, slots=True, eq=False, repr=False)
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
            low = max(first - 1, self.tracks.base) if finder.open is None else finder.open.index
            low = max(low, self.tracks.base)
            column = np.concatenate([self.tracks.slice(low, first)[:, c], self.tail[:, c]])
            found += ahead.feed(column, low, first)
            found += ahead.finish(known)
        return found


def provisional(window: Window, reporter: Reporter) -> Steps[list[Saying]]:
    """Score every island that is not final, all in one run, and let the reporter decide what to say."""
    plan, post = window.plan, window.post
    now_s = window.start_s + window.features.end * plan.stride_s
    spans = [(island, *_span(window, island)) for island in window.islands()]
    if not spans:
        return reporter.sweep([])
    first, last = min(low for _, low, _ in spans), max(high for *_, high in spans)
    features, tracks = window.features.slice(first, last), _tracks(window, first, last)
    prepared: list[Proposals] = []
    alive: list[tuple[int, float, float]] = []
    asked: list[tuple[int, Proposals]] = []
    for island, low, high in spans:
        rows = slice(low - first, high - first)
        found, job = prepare_island(
            features[rows], tracks[rows], island.label, island.bounds(low), post, stride_s=plan.stride_s, inner=False
        )
        prepared.append(found)
        if job is not None:
            asked.append((low, found))
        start_s, end_s = (
            window.start_s + (place.position + 0.5) * plan.stride_s for place in (island.start, island.end)
        )
        alive.append((island.label, start_s, end_s))
    heads: list[Head] = []
    if asked:
        # One window around all of them. Only an island that was cut can see a difference, beyond its cut; these are
        # guesses, and the final answer is scored in its own window.
        job = ScoreJob(
            features,
            tracks,
            np.concatenate([(found.segments + (low - first)).astype(np.float32) for low, found in asked]),
            np.concatenate([found.label for _, found in asked]),
            False,
        )
        heads = yield [job]
        check_heads(heads, [job], len(plan.labels), post.fusion)
    said: list[Saying] = []
    for (island, low, _), (segments, scores) in zip(spans, finish_islands(prepared, heads, post), strict=True):
        seconds = window.start_s + (low + segments + 0.5) * plan.stride_s
        key = f"{window.prefix}/{plan.labels[island.label]}"
        said += reporter.guess(island.label, seconds, scores, now_s=now_s, key=key)
    return said + reporter.sweep(alive)


def _span(window: Window, island: Island) -> tuple[int, int]:
    """Snippets that scoring an island may read, as far as they are known."""
    known, context = window.features.end, window.plan.context
    low = island.start.index if island.start.edge else island.start.index - context
    high = min(island.end.index + 1, known) if island.end.edge else known
    return max(low, window.tracks.base, 0), min(high, island.end.index + context + 1)


def _tracks(window: Window, low: int, high: int) -> F32:
    """Settled tracks and the guessed ones after them."""
    settled = window.tracks.end
    guessed = window.tail[max(low - settled, 0) : max(high - settled, 0)]
    return np.concatenate([window.tracks.slice(low, min(high, settled)), guessed])
