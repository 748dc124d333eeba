"""The last stage: final scores of the islands whose context is known."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..bundle.config import PostProcess
from .islands import Island
from .jobs import ScoreJob, Steps
from .outputs import check_scores
from .plan import Plan, Stats
from .post import finish_islands, propose_islands
from .section import Section

F64 = npt.NDArray[np.float64]


def score_islands(
    section: Section, islands: Sequence[Island], plan: Plan, post: PostProcess, stats: Stats
) -> Steps[list[tuple[F64, F64]]]:
    """Propose, score and suppress the segments of each island; every island in its own window.

    Args:
        section: Holds the features and tracks.
        islands: Closed islands of the section.
        plan: The configuration.
        post: The settings to use, which are not `plan.post` while a session scores with reduced effort.
        stats: `score_s` and `post_s` are increased.

    Returns:
        For each island segments [K, 2] in seconds of media time and scores [K], best first.
    """
    began = time.perf_counter()
    windows = [island.window(plan.context, first=section.tracks.base, known=section.tracks.end) for island in islands]
    base, jobs = section.tracks.base, list[ScoreJob]()
    found = propose_islands(
        section.tracks.rows,
        [(island.label, w.low - base, w.high - base) for island, w in zip(islands, windows, strict=True)],
        [w.bounds for w in windows],
        post,
        stride_s=plan.stride_s,
    )
    if post.fusion.needs_head:
        for g, window in enumerate(windows):
            rows, low, high = found.of(g), window.low, window.high
            segments, labels = found.every.segments[rows].astype(np.float32), found.every.label[rows]
            if len(labels):
                tracks = np.ascontiguousarray(section.tracks.slice(low, high))
                jobs.append(ScoreJob(section.features.slice(low, high), tracks, segments, labels, window.inner))
    asked = time.perf_counter()
    outputs = (yield list(jobs)) if jobs else []
    check_scores(outputs, jobs, len(plan.labels), post.fusion)
    answered = time.perf_counter()
    scored = [
        (section.start_s + (window.low + segments + 0.5) * plan.stride_s, scores)
        for window, (segments, scores) in zip(windows, finish_islands(found, outputs, post), strict=True)
    ]
    stats.score_s += answered - asked
    stats.post_s += asked - began + time.perf_counter() - answered
    return scored
