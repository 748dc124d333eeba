"""Runs the jobs of sessions on an engine, one job per run or several joined in one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, TypeVarTuple

import numpy as np
import numpy.typing as npt

from ..errors import EngineError, PunctumError
from .engine import Backend, batch_locator, length_buckets
from .jobs import Job, LocateJob, Result, ScoreJob, ScorerOutput, Steps
from .outputs import join_tracks, scorer_output

F32 = npt.NDArray[np.float32]
T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")
STACKED_ROWS = 16_384
"""Maximum number of rows in one run of the locator: bounds memory; larger runs are not faster."""
JOINED_ROWS = 1024
"""Maximum number of rows in one run of the center scorer: float32 positions stay within 1e-4 of a snippet."""


def drive(steps: Steps[T], backend: Backend) -> T:
    """Run one session's steps to their end, one job per run of the engine.

    If the engine fails, the steps are closed, which undoes what they changed in the session.
    """
    try:
        jobs = next(steps)
        while True:
            jobs = steps.send([run_job(job, backend) for job in jobs])
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        steps.close()


def run_job(job: Job, backend: Backend) -> Result:
    """The result of one job. Raises EngineError."""
    return run_locator(job, backend) if isinstance(job, LocateJob) else run_scorer(job, backend)


def run_locator(job: LocateJob, backend: Backend) -> F32:
    """The tracks of one window. Raises EngineError."""
    extra = padding(len(job.features), length_buckets(backend)) if job.inner else 0
    rows = np.pad(job.features, ((extra, 0), (0, 0))) if extra else job.features
    return join_tracks(call_engine(backend.locate, rows), (len(rows),))[extra:]


def run_scorer(job: ScoreJob, backend: Backend) -> ScorerOutput:
    """The terms of the score of one window's proposals. Raises EngineError."""
    output = call_engine(backend.score, job.features, job.tracks, job.segments, job.labels)
    return scorer_output(output, len(job.labels))


def run_jobs(jobs: Sequence[Job], backend: Backend) -> list[Result]:
    """The results of jobs from several sessions, in as few runs as possible without changing any result.

    Raises EngineError.
    """
    results: list[Result | None] = [None] * len(jobs)
    many = batch_locator(backend)
    if many is not None:
        windows = [i for i, job in enumerate(jobs) if isinstance(job, LocateJob) and job.inner]
        longest = max((len(jobs[i].features) for i in windows), default=1)
        # Padding windows far shorter than the longest would cost more than a separate run.
        windows = [i for i in windows if 2 * len(jobs[i].features) >= longest]
        step = max(STACKED_ROWS // longest, 1)
        for first in range(0, len(windows), step):
            part = windows[first : first + step]
            if len(part) > 1:
                locate_stacked(part, jobs, many, results, pad_front=True)
    inner = [i for i, job in enumerate(jobs) if isinstance(job, ScoreJob) and job.inner]
    for part in _batches(inner, [len(job.features) for job in jobs]):
        if len(part) > 1:
            _score_joined(part, jobs, backend, results)
    return [run_job(job, backend) if result is None else result for job, result in zip(jobs, results, strict=True)]


def call_engine(run: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """Call a method of the engine. Any exception that is not a PunctumError becomes an EngineError."""
    try:
        return run(*arguments)
    except PunctumError:
        raise
    except Exception as error:
        what = str(error).strip()[:200] or type(error).__name__
        raise EngineError(
            "engine-failed",
            f"The engine failed: {what}",
            "",
            "repeat the call: nothing has changed; if it fails again, check the engine and its memory",
        ) from error


def padding(length: int, buckets: Sequence[int]) -> int:
    """Rows to put in front of an inner window so that its length is one of a few; 0 beyond the longest.

    The receptive field of the results that are used does not reach rows before an inner window. Other windows are not
    padded: at the ends of a stream the graph must see the real edge.
    """
    return next((bucket - length for bucket in buckets if bucket >= length), 0)


def locate_stacked(
    part: Sequence[int],
    jobs: Sequence[Job],
    locate_many: Callable[[F32], tuple[F32, F32]],
    results: list[Result | None],
    *,
    pad_front: bool,
) -> None:
    """Run the windows `part` of `jobs` in one run, padded to the longest, and fill in their results."""
    longest = max(len(jobs[i].features) for i in part)
    stack = np.zeros((len(part), longest, jobs[part[0]].features.shape[1]), np.float32)
    spans = []
    for row, i in enumerate(part):
        length = len(jobs[i].features)
        span = slice(longest - length, longest) if pad_front else slice(0, length)
        stack[row, span] = jobs[i].features
        spans.append(span)
    tracks = join_tracks(call_engine(locate_many, stack), stack.shape[:2])
    for row, (i, span) in enumerate(zip(part, spans, strict=True)):
        results[i] = tracks[row, span]


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


def _score_joined(part: list[int], jobs: Sequence[Job], backend: Backend, results: list[Result | None]) -> None:
    """Concatenate windows and shift their segments: exact, because no pooling leaves an inner window."""
    joined = [job for i in part if isinstance(job := jobs[i], ScoreJob)]
    offsets = np.concatenate([[0], np.cumsum([len(job.features) for job in joined])])
    ends = np.concatenate([[0], np.cumsum([len(job.labels) for job in joined])])
    output = call_engine(
        backend.score,
        np.concatenate([job.features for job in joined]),
        np.concatenate([job.tracks for job in joined]),
        np.concatenate([job.segments + np.float32(o) for job, o in zip(joined, offsets, strict=False)]),
        np.concatenate([job.labels for job in joined]),
    )
    probability, attention, center = scorer_output(output, int(ends[-1]))
    for k, i in enumerate(part):
        rows = slice(ends[k], ends[k + 1])
        results[i] = (probability[rows], attention[rows], center[rows])
