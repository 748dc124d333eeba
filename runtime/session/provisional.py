"""The stage at a tick: provisional scores of the islands that are not closed, from what is known so far."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..bundle.config import PostProcess
from .jobs import IslandsJob, Settled, Steps
from .plan import Plan
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
    context, known = plan.context, section.features.end
    windows = [island.window(context, first=base, known=known) for island in islands]
    # One window around all islands. This differs from scoring each in its own window only for an island that was cut,
    # beyond the cut; final scores are computed in the island's own window.
    first, last = min(w.low for w in windows), max(w.high for w in windows)
    job = IslandsJob(
        section.features.slice(first, last),
        tracks[first - base : last - base],
        [(island.label, w.low - first, w.high - first) for island, w in zip(islands, windows, strict=True)],
        [w.bounds for w in windows],
        None,
        post,
        plan.stride_s,
        reporter.least_raw,
    )
    answer: Settled
    (answer,) = yield [job]
    changes, now_s = list[Change](), section.now_s
    for island, window, (segments, scores) in zip(islands, windows, answer.islands, strict=True):
        if scores:
            spans = section.in_seconds(window.low, segments)
            own = f"{prefix}/{plan.labels[island.label]}"
            published = partial(_published, plan, island.label, degraded)
            changes += reporter.report(island.label, spans, scores, now_s=now_s, prefix=own, published=published)
    if not reporter.actions:
        return changes
    reported = {action.label for action in reporter.actions}
    found = [(i.label, section.time_of(i.start), section.time_of(i.end)) for i in islands if i.label in reported]
    return changes + reporter.retract_outside(found)


def _published(plan: Plan, label: int, degraded: bool, raw: float) -> float:
    """The score that an event with this raw score has."""
    return plan.scores(label, raw, degraded=degraded)[0]
