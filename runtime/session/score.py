"""The last stage: final scores of the islands whose context is known."""

from __future__ import annotations

from collections.abc import Sequence

from ..bundle.config import PostProcess
from .islands import Island
from .jobs import IslandsJob, Settled, Steps
from .plan import Plan, Stats
from .section import Section

Scored = tuple[list[tuple[float, float]], list[float]]


def score_islands(
    section: Section, islands: Sequence[Island], plan: Plan, post: PostProcess, stats: Stats
) -> Steps[list[Scored]]:
    """Propose, score and suppress the segments of each island; every island in its own window.

    Args:
        section: Holds the features and tracks.
        islands: Closed islands of the section.
        plan: The configuration.
        post: The settings to use, which are not `plan.post` while a session scores with reduced effort.
        stats: `score_s` and `post_s` are increased.

    Returns:
        For each island the start and end of its segments in seconds of media time, and their scores, best first.
    """
    windows = [island.window(plan.context, first=section.tracks.base, known=section.tracks.end) for island in islands]
    first, last = min(w.low for w in windows), max(w.high for w in windows)
    job = IslandsJob(
        section.features.slice(first, last),
        section.tracks.slice(first, last),
        [(island.label, w.low - first, w.high - first) for island, w in zip(islands, windows, strict=True)],
        [w.bounds for w in windows],
        [w.inner for w in windows],
        post,
        plan.stride_s,
    )
    settled: Settled
    (settled,) = yield [job]
    stats.score_s += settled.score_s
    stats.post_s += settled.post_s
    return [
        (section.in_seconds(window.low, segments), scores)
        for window, (segments, scores) in zip(windows, settled.islands, strict=True)
    ]
