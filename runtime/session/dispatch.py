"""Runs the jobs of sessions on an engine, one job per run or several joined in one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .call import call_engine
from .engine import Backend, batch_locator, length_buckets
from .island_runs import settle_all
from .jobs import IslandsJob, Job, LocateJob, Result, StepJob, Steps
from .outputs import join_tracks
from .step_runs import run_steps

F32 = npt.NDArray[np.float32]
T = TypeVar("T")
STACKED_ROWS = 16_384
"""Maximum number of rows in one run of the locator: bounds memory; larger runs are not faster."""


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
    (result,) = run_jobs([job], backend)
    return result


def run_jobs(jobs: Sequence[Job], backend: Backend) -> list[Result]:
    """The results of jobs from several sessions, in as few runs as possible without changing any result.

    Raises EngineError.
    """
    results: dict[int, Result] = {}
    windows = {i: job for i, job in enumerate(jobs) if isinstance(job, LocateJob)}
    steps = {i: job for i, job in enumerate(jobs) if isinstance(job, StepJob)}
    islands = {i: job for i, job in enumerate(jobs) if isinstance(job, IslandsJob)}
    results |= zip(windows, locate_all(list(windows.values()), backend), strict=True)
    results |= zip(steps, run_steps(list(steps.values()), backend, locate_all), strict=True)
    results |= zip(islands, settle_all(list(islands.values()), backend), strict=True)
    return [results[i] for i in range(len(jobs))]


def locate_all(jobs: Sequence[LocateJob], backend: Backend) -> list[F32]:
    """The tracks of windows, of which inner ones of similar lengths share runs."""
    results: list[F32 | None] = [None] * len(jobs)
    many = batch_locator(backend)
    if many is not None:
        inner = [i for i, job in enumerate(jobs) if job.inner]
        longest = max((len(jobs[i].features) for i in inner), default=1)
        # Padding windows far shorter than the longest would cost more than a separate run.
        inner = [i for i in inner if 2 * len(jobs[i].features) >= longest]
        step = max(STACKED_ROWS // longest, 1)
        for first in range(0, len(inner), step):
            part = inner[first : first + step]
            if len(part) > 1:
                stacked = locate_stacked([jobs[i] for i in part], many, pad_front=True)
                for i, tracks in zip(part, stacked, strict=True):
                    results[i] = tracks
    return [run_locator(job, backend) if result is None else result for job, result in zip(jobs, results, strict=True)]


def run_locator(job: LocateJob, backend: Backend) -> F32:
    """The tracks of one window. Raises EngineError."""
    extra = padding(len(job.features), length_buckets(backend)) if job.inner else 0
    rows = np.pad(job.features, ((extra, 0), (0, 0))) if extra else job.features
    return join_tracks(call_engine(backend.locate, rows), (len(rows),))[extra:]


def padding(length: int, buckets: Sequence[int]) -> int:
    """Rows to put in front of an inner window so that its length is one of a few; 0 beyond the longest.

    The receptive field of the results that are used does not reach rows before an inner window. Other windows are not
    padded: at the ends of a stream the graph must see the real edge.
    """
    return next((bucket - length for bucket in buckets if bucket >= length), 0)


def locate_stacked(
    jobs: Sequence[LocateJob], locate_many: Callable[[F32], tuple[F32, F32]], *, pad_front: bool
) -> list[F32]:
    """The tracks of windows in one run, padded to the longest."""
    longest = max(len(job.features) for job in jobs)
    stack = np.zeros((len(jobs), longest, jobs[0].features.shape[1]), np.float32)
    spans = []
    for row, job in enumerate(jobs):
        length = len(job.features)
        span = slice(longest - length, longest) if pad_front else slice(0, length)
        stack[row, span] = job.features
        spans.append(span)
    tracks = join_tracks(call_engine(locate_many, stack), stack.shape[:2])
    return [tracks[row, span] for row, span in enumerate(spans)]
