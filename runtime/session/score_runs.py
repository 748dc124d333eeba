"""Runs the center scorer: proposals of several windows share runs wherever that changes no result."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from .call import call_engine
from .engine import Backend
from .jobs import ScoreJob, ScorerOutput
from .outputs import scorer_output

JOINED_ROWS = 1024
"""Maximum number of rows in one run of the center scorer: float32 positions stay within 1e-4 of a snippet."""


def score_all(jobs: Sequence[ScoreJob], backend: Backend) -> list[ScorerOutput]:
    """The scores of proposals, of which those of inner windows share runs. Raises EngineError."""
    results: list[ScorerOutput | None] = [None] * len(jobs)
    for part in _batches([i for i, job in enumerate(jobs) if job.inner], [len(job.features) for job in jobs]):
        if len(part) > 1:
            for i, scores in zip(part, _score_joined([jobs[i] for i in part], backend), strict=True):
                results[i] = scores
    return [run_scorer(job, backend) if result is None else result for job, result in zip(jobs, results, strict=True)]


def run_scorer(job: ScoreJob, backend: Backend) -> ScorerOutput:
    """The terms of the score of one window's proposals. Raises EngineError."""
    output = call_engine(backend.score, job.features, job.tracks, job.segments, job.labels)
    return scorer_output(output, len(job.labels))


def _batches(indices: list[int], sizes: list[int]) -> list[list[int]]:
    """Split into runs of at most JOINED_ROWS rows."""
    batches: list[list[int]] = []
    filled = JOINED_ROWS
    for i in indices:
        if filled + sizes[i] > JOINED_ROWS:
            batches.append([])
            filled = 0
        batches[-1].append(i)
        filled += sizes[i]
    return batches


def _score_joined(jobs: Sequence[ScoreJob], backend: Backend) -> list[ScorerOutput]:
    """Concatenate windows and shift their segments: exact, because no pooling leaves an inner window."""
    offsets = np.concatenate([[0], np.cumsum([len(job.features) for job in jobs])])
    output = call_engine(
        backend.score,
        np.concatenate([job.features for job in jobs]),
        np.concatenate([job.tracks for job in jobs]),
        np.concatenate([job.segments + np.float32(o) for job, o in zip(jobs, offsets, strict=False)]),
        np.concatenate([job.labels for job in jobs]),
    )
    ends = np.cumsum([0, *(len(job.labels) for job in jobs)]).tolist()
    probability, attention, center = scorer_output(output, ends[-1])
    return [(probability[a:b], attention[a:b], center[a:b]) for a, b in pairwise(ends)]
