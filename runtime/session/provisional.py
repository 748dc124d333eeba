"""The stage at a tick: provisional scores of the islands that are not closed, from what is known so far."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..bundle.config import PostProcess
from .islands import Island
from .jobs import ScoreJob, ScorerOutput, Steps
from .outputs import check_scores
from .plan import Plan
from .post import finish_islands, propose_islands
from .reporter import Change, Reporter
from .section import Section

F32 = npt.NDArray[np.float32]


def report_provisional(
    section: Section, plan: Plan, post: PostProcess, reporter: Reporter, prefix: str
) -> Steps[list[Change]]:
    """Score all islands that are not final, in one run of the center scorer, and decide what to report.

    Args:
        section: Its provisional tracks reach up to the tick.
        plan: The configuration.
        post: The settings to use, which are not `plan.post` while a session scores with reduced effort.
        reporter: Knows what was reported before.
        prefix: How event ids begin.
    """
    islands = islands_so_far(section, post)
    if not islands:
        return reporter.retract_outside([])
    windows = [island.window(plan.context, first=section.tracks.base, known=section.features.end) for island in islands]
    first, last = min(w.low for w in windows), max(w.high for w in windows)
    tracks = _tracks(section, first, last)
    found = propose_islands(
        tracks,
        [(island.label, w.low - first, w.high - first) for island, w in zip(islands, windows, strict=True)],
        [w.bounds for w in windows],
        post,
        stride_s=plan.stride_s,
    )
    outputs: list[ScorerOutput] = []
    if post.fusion.needs_head and len(found.every.label):
        # One window around all islands. This differs from scoring each in its own window only for an island that was
        # cut, beyond the cut; final scores are computed in the island's own window.
        shift = np.repeat([float(w.low - first) for w in windows], np.diff(found.ends))
        segments = (found.every.segments + shift[:, None]).astype(np.float32)
        job = ScoreJob(section.features.slice(first, last), tracks, segments, found.every.label, False)
        outputs = yield [job]
        check_scores(outputs, [job], len(plan.labels), post.fusion)
    changes: list[Change] = []
    scored = finish_islands(found, outputs, post)
    for island, window, (segments, scores) in zip(islands, windows, scored, strict=True):
        seconds = section.start_s + (window.low + segments + 0.5) * plan.stride_s
        own = f"{prefix}/{plan.labels[island.label]}"
        changes += reporter.report(island.label, seconds, scores, now_s=section.now_s, prefix=own)
    spans = [(island.label, section.time_of(island.start), section.time_of(island.end)) for island in islands]
    return changes + reporter.retract_outside(spans)


def islands_so_far(section: Section, post: PostProcess) -> list[Island]:
    """Closed islands whose context is incomplete, and the islands in the provisional tracks."""
    known, first, base = section.features.end, section.tracks.end, section.tracks.base
    tail = section.provisional
    islands = list(section.pending)
    level = np.float32(post.class_thresholds[0])
    active = (tail[:, :-1].max(axis=0) > level).tolist() if len(tail) else [False] * len(section.finders)
    for c, finder in enumerate(section.finders):
        if not active[c] and finder.open is None:
            continue
        ahead = finder.copy()
        low = max(first - 1 if finder.open is None else finder.open.index, base)
        column = np.concatenate([section.tracks.slice(low, first)[:, c], tail[:, c]])
        islands += ahead.feed(column, low, first)
        islands += ahead.finish(known)
    return islands


def _tracks(section: Section, low: int, high: int) -> F32:
    """Tracks of snippets [low, high), settled ones followed by provisional ones."""
    settled = section.tracks.end
    tail = section.provisional[max(low - settled, 0) : max(high - settled, 0)]
    return np.concatenate([section.tracks.slice(low, min(high, settled)), tail])
