"""Runs the center scorer: proposals of several windows share runs wherever that changes no result."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from .call import call_engine
from .engine import Backend, WindowScorer, window_scorer
from .jobs import ScoreJob, ScorerOutput
from .outputs import scorer_output

JOINED_ROWS = 1024
"""Maximum number of rows in one run of the center scorer: float32 positions stay within 1e-4 of a snippet."""
MOST_PROPOSALS = 256
"""Proposals in one run of a `WindowScorer`: what the layers compute then still fits a processor's cache."""


def score_all(jobs: Sequence[ScoreJob], backend: Backend) -> list[ScorerOutput]:
    """The scores of proposals. Those of inner windows share runs, with a `WindowScorer` all. Raises EngineError."""
    scorer = window_scorer(backend) if jobs else None
    if scorer is not None:
        parts = _batches(list(range(len(jobs))), [len(job.labels) for job in jobs], MOST_PROPOSALS)
        return [scores for part in parts for scores in _score_windows([jobs[i] for i in part], scorer)]
    results: list[ScorerOutput | None] = [None] * len(jobs)
    inner = [i for i, job in enumerate(jobs) if job.inner]
    for part in _batches(inner, [len(job.features) for job in jobs], JOINED_ROWS):
        if len(part) > 1:
            for i, scores in zip(part, _score_joined([jobs[i] for i in part], backend), strict=True):
                results[i] = scores
    return [run_scorer(job, backend) if result is None else result for job, result in zip(jobs, results, strict=True)]


def run_scorer(job: ScoreJob, backend: Backend) -> ScorerOutput:
    """The terms of the score of one window's proposals. Raises EngineError."""
    output = call_engine(backend.score, job.features, job.tracks, job.segments, job.labels)
    return scorer_output(output, len(job.labels))


def _batches(indices: list[int], sizes: list[int], most: int) -> list[list[int]]:
    """Split into runs of at most `most` rows, or one job where that has more."""
    batches: list[list[int]] = []
    filled = most
    for i in indices:
        if not batches or filled + sizes[i] > most:
            batches.append([])
            filled = 0
        batches[-1].append(i)
        filled += sizes[i]
    return batches


def _score_windows(jobs: Sequence[ScoreJob], scorer: WindowScorer) -> list[ScorerOutput]:
    """The scores of any windows in one run."""
    ends = np.cumsum([0, *(len(job.features) for job in jobs)])
    offsets = np.cumsum([0, *(len(job.labels) for job in jobs)])
    features, segments = (np.concatenate(part) for part in zip(*((j.features, j.segments) for j in jobs), strict=True))
    output = call_engine(scorer.score_windows, features, ends, segments, offsets)
    probability, attention, center = scorer_output(output, len(segments))
    return [(probability[a:b], attention[a:b], center[a:b]) for a, b in pairwise(offsets.tolist())]


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
