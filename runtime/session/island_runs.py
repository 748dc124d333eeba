"""Settles the islands of many sessions together: one call of each kernel, and common runs of the center scorer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from .engine import Backend
from .jobs import IslandsJob, ScoreJob, Settled
from .outputs import check_scores
from .post import IslandProposals, finish_islands, propose_islands
from .score_runs import score_proposals


def settle_all(jobs: Sequence[IslandsJob], backend: Backend) -> list[Settled]:
    """The results of jobs, in order. Those with the same settings are settled together.

    Raises:
        EngineError: The scorer failed, or returned what is no score.
        PunctumError: The fusion needs a scorer that the bundle does not have.
    """
    results: dict[int, Settled] = {}
    groups: dict[tuple[int, float, float], list[int]] = {}
    for i, job in enumerate(jobs):
        groups.setdefault((id(job.post), job.stride_s, job.least), []).append(i)
    for members in groups.values():
        results |= zip(members, _settle([jobs[i] for i in members], backend), strict=True)
    return [results[i] for i in range(len(jobs))]


def _settle(jobs: Sequence[IslandsJob], backend: Backend) -> list[Settled]:
    """Settle islands with the same settings."""
    began, post = time.perf_counter(), jobs[0].post
    tracks = jobs[0].tracks if len(jobs) == 1 else np.concatenate([job.tracks for job in jobs])
    starts = accumulate((len(job.tracks) for job in jobs), initial=0)
    found = propose_islands(
        tracks,
        [(c, low + at, high + at) for job, at in zip(jobs, starts, strict=False) for c, low, high in job.islands],
        [bounds for job in jobs for bounds in job.bounds],
        post,
        stride_s=jobs[0].stride_s,
    )
    count, output = len(found.every.label), None
    proposed = time.perf_counter()
    if post.fusion.needs_head and count:
        output = score_proposals(_score_jobs(jobs, found), backend, join=len(jobs) > 1)
        check_scores(output, count, tracks.shape[1] - 1, post.fusion)
    scored = time.perf_counter()
    # Suppression picks the best first, so those that are wanted do not depend on the others.
    segments, scores, ends = finish_islands(found, output, post, least=jobs[0].least)
    spans, values = segments.tolist(), scores.tolist()
    settled = [(spans[a:b], values[a:b]) for a, b in pairwise(ends.tolist())]
    asked_s = scored - proposed
    post_s = (time.perf_counter() - began - asked_s) / len(jobs)
    parts = accumulate((len(job.islands) for job in jobs), initial=0)
    return [Settled(settled[a:b], asked_s, post_s) for a, b in pairwise(parts)]


def _score_jobs(jobs: Sequence[IslandsJob], found: IslandProposals) -> list[ScoreJob]:
    """Jobs for the scorer with all proposals in order: one for each window."""
    ends, labels = found.ends.tolist(), found.every.label
    shifts = [0 if job.inner is not None else low for job in jobs for _, low, _ in job.islands]
    segments = (found.every.segments + np.repeat(shifts, np.diff(found.ends))[:, None]).astype(np.float32)
    made, g = list[ScoreJob](), 0
    for job in jobs:
        if job.inner is None:
            windows = [(0, len(job.tracks), g, g + len(job.islands), False)]
        else:
            rows = zip(job.islands, job.inner, strict=True)
            windows = [(low, high, g + k, g + k + 1, inner) for k, ((_, low, high), inner) in enumerate(rows)]
        for low, high, first, last, inner in windows:
            own = slice(ends[first], ends[last])
            if own.stop > own.start:
                made.append(ScoreJob(job.features[low:high], job.tracks[low:high], segments[own], labels[own], inner))
        g += len(job.islands)
    return made
