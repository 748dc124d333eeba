"""What a session asks of the engine. A session yields jobs and is sent their answers, so that many sessions can be
served by one run of a graph; alone it is served one job at a time by the same code.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .backends._protocol import Backend

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
T = TypeVar("T")
STACKED_ROWS = 16_384  # of one locator run at most: bounds memory, and more gain nothing
JOINED_ROWS = 1024  # of one scoring run: float32 positions stay within 1e-4 of a snippet


@dataclass(slots=True)
class LocateJob:
    """A window for the locator. features [n, D]; `inner`: it starts with a full left context, so rows put before it
    change nothing that is kept. Answer: tracks [n, C + 1] = class track and actionness."""

    features: F32
    inner: bool


@dataclass(slots=True)
class ScoreJob:
    """Proposals of one window for the center scorer; `inner`: no pooling reaches beyond the window.

    features [n, D], tracks [n, C + 1], segments float32 [M, 2], labels [M].
    Answer: (class probability [M, C], attention [M], center [M]).
    """

    features: F32
    tracks: F32
    segments: F32
    labels: I64
    inner: bool


Job = LocateJob | ScoreJob
Head = tuple[F32, F32, F32]
Steps = Generator[list[Job], list[Any], T]


def drive(steps: Steps[T], backend: Backend) -> T:
    """Run one session's steps to their end, one job a run."""
    try:
        jobs = next(steps)
        while True:
            jobs = steps.send([answer_alone(job, backend) for job in jobs])
    except StopIteration as stop:
        result: T = stop.value
        return result


def answer_alone(job: Job, backend: Backend) -> Any:
    if isinstance(job, LocateJob):
        extra = padding(len(job.features), getattr(backend, "buckets", ())) if job.inner else 0
        rows = np.pad(job.features, ((extra, 0), (0, 0))) if extra else job.features
        class_track, actionness = backend.locate(rows)
        return np.concatenate([class_track, np.reshape(actionness, (-1, 1))], axis=1, dtype=np.float32)[extra:]
    return backend.score(job.features, job.tracks, job.segments, job.labels)


def padding(length: int, buckets: Sequence[int]) -> int:
    """Rows to put before a window so that it has one of a few lengths; 0 beyond the longest. Only for inner windows:
    the receptive field of what is kept never reaches rows before them, while at the ends of a stream the graph itself
    must see the end."""
    return next((bucket - length for bucket in buckets if bucket >= length), 0)


def answer_together(jobs: Sequence[Job], backend: Backend) -> list[Any]:
    """Answers of jobs from several sessions, in as few runs as exactness allows."""
    answers: list[Any] = [None] * len(jobs)
    many = getattr(backend, "locate_many", None)
    windows = [i for i, job in enumerate(jobs) if isinstance(job, LocateJob) and job.inner and many is not None]
    longest = max((len(jobs[i].features) for i in windows), default=1)
    # Windows far shorter than the longest would waste more rows than a run costs.
    windows = [i for i in windows if 2 * len(jobs[i].features) >= longest]
    step = max(STACKED_ROWS // longest, 1)
    for first in range(0, len(windows), step):
        part = windows[first : first + step]
        if many is not None and len(part) > 1:
            stack = np.zeros((len(part), longest, jobs[part[0]].features.shape[1]), np.float32)
            for row, i in enumerate(part):
                stack[row, longest - len(jobs[i].features) :] = jobs[i].features
            class_track, actionness = many(stack)
            for row, i in enumerate(part):
                own = slice(longest - len(jobs[i].features), None)
                answers[i] = np.concatenate([class_track[row, own], actionness[row, own, None]], axis=1)
    inner = [i for i, job in enumerate(jobs) if isinstance(job, ScoreJob) and job.inner]
    for part in _parts(inner, [len(job.features) for job in jobs]):
        if len(part) > 1:
            _score_together(part, jobs, backend, answers)
    return [answer_alone(job, backend) if got is None else got for job, got in zip(jobs, answers, strict=True)]


def _parts(indices: list[int], sizes: list[int]) -> list[list[int]]:
    """Split into runs of at most JOINED_ROWS rows."""
    parts: list[list[int]] = []
    filled = JOINED_ROWS
    for i in indices:
        if filled + sizes[i] > JOINED_ROWS:
            parts.append([])
            filled = 0
        parts[-1].append(i)
        filled += sizes[i]
    return parts


def _score_together(part: list[int], jobs: Sequence[Job], backend: Backend, answers: list[Any]) -> None:
    """Windows end to end, segments moved along: exact, because no pooling of an inner window leaves it."""
    chosen = [job for i in part if isinstance(job := jobs[i], ScoreJob)]
    offsets = np.concatenate([[0], np.cumsum([len(job.features) for job in chosen])])
    counts = np.concatenate([[0], np.cumsum([len(job.labels) for job in chosen])])
    probability, attention, center = backend.score(
        np.concatenate([job.features for job in chosen]),
        np.concatenate([job.tracks for job in chosen]),
        np.concatenate([job.segments + np.float32(o) for job, o in zip(chosen, offsets, strict=False)]),
        np.concatenate([job.labels for job in chosen]),
    )
    for k, i in enumerate(part):
        rows = slice(counts[k], counts[k + 1])
        answers[i] = (probability[rows], attention[rows], center[rows])
