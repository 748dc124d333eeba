"""Runs the center scorer: proposals of several windows share runs wherever that changes no result."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from .call import call_engine
from .engine import Backend, WindowScorer, window_scorer
from .jobs import ScoreJob, ScorerOutput
from .outputs import scorer_output

JOINED_ROWS = 1024
"""Maximum number of rows in one run of the center scorer: float32 positions stay within 1e-4 of a snippet."""
MOST_PROPOSALS = 256
"""Proposals in one run of a `WindowScorer`: what the layers compute then still fits a processor's cache."""


def score_proposals(jobs: Sequence[ScoreJob], backend: Backend, *, join: bool) -> ScorerOutput:
    """The scores of all proposals, one job after the other. Raises EngineError.

    Args:
        jobs: At least one.
        backend: With a `WindowScorer` the proposals of all windows share runs.
        join: Otherwise those of inner windows share runs, where positions are rounded differently.
    """
    scorer, sizes = window_scorer(backend), [len(job.labels) for job in jobs]
    if scorer is not None:
        parts = _batches(list(range(len(jobs))), sizes, MOST_PROPOSALS)
        return _join([_score_windows([jobs[i] for i in part], scorer) for part in parts])
    results: list[ScorerOutput | None] = [None] * len(jobs)
    inner = [i for i, job in enumerate(jobs) if job.inner and join]
    for part in _batches(inner, [len(job.features) for job in jobs], JOINED_ROWS):
        if len(part) > 1:
            for i, scores in zip(part, _score_joined([jobs[i] for i in part], backend), strict=True):
                results[i] = scores
    return _join(
        [run_scorer(job, backend) if result is None else result for job, result in zip(jobs, results, strict=True)]
    )


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


def _score_windows(jobs: Sequence[ScoreJob], scorer: WindowScorer) -> ScorerOutput:
    """The scores of any windows in one run."""
    ends = np.array([0, *accumulate(len(job.features) for job in jobs)])
    offsets = np.array([0, *accumulate(len(job.labels) for job in jobs)])
    features, segments = jobs[0].features, jobs[0].segments
    if len(jobs) > 1:
        features = np.concatenate([job.features for job in jobs])
        segments = np.concatenate([job.segments for job in jobs])
    return scorer_output(call_engine(scorer.score_windows, features, ends, segments, offsets), len(segments))


def _join(outputs: Sequence[ScorerOutput]) -> ScorerOutput:
    if len(outputs) == 1:
        return outputs[0]
    probability, attention, center = map(np.concatenate, zip(*outputs, strict=True))
    return probability, attention, center


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
