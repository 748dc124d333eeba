"""Tracks of a whole recording, and every segment that post-processing considered in it, by the session's own steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..features.features import Features
from ..session.dispatch import run_job
from ..session.islands import IslandFinder
from ..session.jobs import LocateJob
from ..session.plan import BLOCK
from ..session.post import fuse, prepare_island
from ._model import Candidate, TrackStretch

if TYPE_CHECKING:
    from ..localizer import Localizer

F32 = npt.NDArray[np.float32]
MOST = 4000  # candidates kept for a report: more than that nobody can tell apart


def tracks_of(localizer: Localizer, stretch: Features) -> TrackStretch:
    """Class tracks and actionness [T, C + 1] of one stretch, in blocks with full context on both sides."""
    plan, rows = localizer.plan, stretch.data
    parts = [np.zeros((0, len(plan.labels) + 1), np.float32)]
    for at in range(0, len(rows), BLOCK):
        stop = min(at + BLOCK, len(rows))
        low, high = max(at - plan.left, 0), min(stop + plan.right, len(rows))
        job = LocateJob(np.ascontiguousarray(rows[low:high]), inner=at - low >= plan.left)
        parts.append(run_job(job, localizer.backend)[at - low : stop - low])
    return TrackStretch(np.concatenate(parts), plan.stride_s, stretch.start_s)


def candidates_of(localizer: Localizer, stretch: Features, tracks: TrackStretch) -> list[Candidate]:
    """Proposals of all islands with their fused scores, before boundary adaptation and suppression."""
    plan, post, total = localizer.plan, localizer.plan.post, len(stretch.data)
    longest = int(post.max_island_s // plan.stride_s)
    found: list[Candidate] = []
    for c, label in enumerate(plan.labels):
        finder = IslandFinder(c, post.class_thresholds[0], longest)
        for island in finder.feed(np.ascontiguousarray(tracks.values[:, c]), 0, 0) + finder.finish(total):
            window = island.window(plan.context, first=0, known=total)
            proposals, job = prepare_island(
                stretch.data[window.low : window.high],
                np.ascontiguousarray(tracks.values[window.low : window.high]),
                c,
                window.bounds,
                post,
                stride_s=plan.stride_s,
                inner=False,
            )
            if not len(proposals.label):
                continue
            scores = fuse(proposals, None if job is None else run_job(job, localizer.backend), post)
            seconds = stretch.start_s + (window.low + proposals.segments + 0.5) * plan.stride_s
            found += [Candidate(label, float(a), float(b), float(s)) for (a, b), s in zip(seconds, scores, strict=True)]
    return found


def thin_candidates(candidates: Sequence[Candidate], most: int = MOST) -> tuple[Candidate, ...]:
    """At most about `most`: per class and tenth-of-a-percent of the time the best ones, so no stretch goes empty."""
    if len(candidates) <= most:
        return tuple(candidates)
    start = min(c.start for c in candidates)
    span = max(max(c.end for c in candidates) - start, 1e-9)
    groups: dict[tuple[str, int], list[Candidate]] = {}
    for candidate in candidates:
        cell = int(1000 * ((candidate.start + candidate.end) / 2 - start) / span)
        groups.setdefault((candidate.label, cell), []).append(candidate)
    for group in groups.values():
        group.sort(key=lambda c: -c.score)
    kept: list[Candidate] = []
    rank = 0
    while len(kept) < most and rank < max(len(g) for g in groups.values()):
        layer = sorted((g[rank] for g in groups.values() if rank < len(g)), key=lambda c: -c.score)
        kept += layer[: most - len(kept)]
        rank += 1
    return tuple(kept)
