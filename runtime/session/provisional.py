"""The stage at a tick: provisional scores of the islands that are not closed, from what is known so far."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..bundle.config import PostProcess
from .jobs import ScoreJob, ScorerOutput, Steps
from .outputs import check_scores
from .plan import Plan
from .post import finish_islands, propose_islands
from .reporter import Change, Reporter
from .section import Section


def report_provisional(
    section: Section, plan: Plan, post: PostProcess, reporter: Reporter, prefix: str, *, degraded: bool
) -> Steps[list[Change]]:
    """Score all islands that are not final, in one run of the center scorer, and decide what to report.

    Args:
        section: Its provisional tracks reach up to the tick.
        plan: The configuration.
        post: The settings to use, which are not `plan.post` while a session scores with reduced effort.
        reporter: Knows what was reported before.
        prefix: How event ids begin.
        degraded: The session scores with reduced effort.
    """
    # The settled tracks, then those of the snippets that are not.
    base, settled = section.tracks.base, section.tracks.end
    tracks = np.concatenate([section.tracks.rows, section.provisional])
    # Closed islands whose context is incomplete, and the islands as they would be if the section ended now.
    islands = section.pending + section.finder.ahead().feed(tracks, base, settled, final=True)
    if not islands:
        return reporter.retract_outside([])
    windows = [island.window(plan.context, first=base, known=section.features.end) for island in islands]
    found = propose_islands(
        tracks,
        [(island.label, w.low - base, w.high - base) for island, w in zip(islands, windows, strict=True)],
        [w.bounds for w in windows],
        post,
        stride_s=plan.stride_s,
    )
    outputs: list[ScorerOutput] = []
    if post.fusion.needs_head and len(found.every.label):
        # One window around all islands. This differs from scoring each in its own window only for an island that was
        # cut, beyond the cut; final scores are computed in the island's own window.
        first, last = min(w.low for w in windows), max(w.high for w in windows)
        shift = np.repeat([float(w.low - first) for w in windows], np.diff(found.ends))
        segments = (found.every.segments + shift[:, None]).astype(np.float32)
        rows = tracks[first - base : last - base]
        job = ScoreJob(section.features.slice(first, last), rows, segments, found.every.label, False)
        outputs = yield [job]
        check_scores(outputs, [job], len(plan.labels), post.fusion)
    changes: list[Change] = []
    scored = finish_islands(found, outputs, post)
    for island, window, (segments, scores) in zip(islands, windows, scored, strict=True):
        published = partial(_published, plan, island.label, degraded)
        if not len(scores) or not reporter.may_report(best := float(scores[0]), published(best)):
            continue
        seconds = section.start_s + (window.low + segments + 0.5) * plan.stride_s
        own = f"{prefix}/{plan.labels[island.label]}"
        changes += reporter.report(island.label, seconds, scores, now_s=section.now_s, prefix=own, published=published)
    if not reporter.actions:
        return changes
    spans = [(island.label, section.time_of(island.start), section.time_of(island.end)) for island in islands]
    return changes + reporter.retract_outside(spans)


def _published(plan: Plan, label: int, degraded: bool, raw: float) -> float:
    """The score that an event with this raw score has."""
    return plan.scores(label, raw, degraded=degraded)[0]
