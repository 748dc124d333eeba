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
from .post import Proposals, finish_islands, prepare_island
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
    lows, proposals, jobs = list[int](), list[Proposals](), list[ScoreJob]()
    for island in islands:
        window = island.window(plan.context, first=section.tracks.base, known=section.tracks.end)
        found, job = prepare_island(
            section.features.slice(window.low, window.high),
            np.ascontiguousarray(section.tracks.slice(window.low, window.high)),
            island.label,
            window.bounds,
            post,
            stride_s=plan.stride_s,
            inner=window.inner,
        )
        lows.append(window.low)
        proposals.append(found)
        if job is not None:
            jobs.append(job)
    asked = time.perf_counter()
    outputs = (yield list(jobs)) if jobs else []
    check_scores(outputs, jobs, len(plan.labels), post.fusion)
    answered = time.perf_counter()
    scored = [
        (section.start_s + (low + segments + 0.5) * plan.stride_s, scores)
        for low, (segments, scores) in zip(lows, finish_islands(proposals, outputs, post), strict=True)
    ]
    stats.score_s += answered - asked
    stats.post_s += asked - began + time.perf_counter() - answered
    return scored
