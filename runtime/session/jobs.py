"""What a session asks of the engine. A session yields jobs and is sent their answers, so that many sessions can be
served by one run of a graph; alone it is served one job at a time by the same code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..bundle.config import Fusion
from ..datatypes import compact
from ..errors import EngineError, PunctumError
from .engine import Backend

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
T = TypeVar("T")
STACKED_ROWS = 16_384  # of one locator run at most: bounds memory, and more gain nothing
ROUNDING = 1e-3  # by which a probability may leave 0..1: one step of float16 above 1
JOINED_ROWS = 1024  # of one scoring run: float32 positions stay within 1e-4 of a snippet


@compact
@dataclass(slots=True, eq=False, repr=False)
class LocateJob:
    """A window for the locator. features [n, D]; `inner`: it starts with a full left context, so rows put before it
    change nothing that is kept. Answer: tracks [n, C + 1] = class track and actionness."""

    features: F32
    inner: bool


@compact
@dataclass(slots=True, eq=False, repr=False)
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
    """Run one session's steps to their end, one job a run. If the engine fails, the steps undo what they changed."""
    try:
        jobs = next(steps)
        while True:
            jobs = steps.send([answer_alone(job, backend) for job in jobs])
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        steps.close()


def ask(run: Callable[..., Any], *arguments: Any) -> Any:
    """Call the engine. Raises EngineError for whatever it raises that is not ours."""
    try:
        return run(*arguments)
    except PunctumError:
        raise
    except Exception as error:
        what = str(error).strip()[:200] or type(error).__name__
        raise EngineError(
            "engine-failed",
            f"the engine failed: {what}",
            "an engine that answers",
            "repeat the call: nothing has changed; if it fails again, check the engine and its memory",
        ) from error


def answer_alone(job: Job, backend: Backend) -> Any:
    if isinstance(job, LocateJob):
        extra = padding(len(job.features), getattr(backend, "buckets", ())) if job.inner else 0
        rows = np.pad(job.features, ((extra, 0), (0, 0))) if extra else job.features
        return joined_tracks(ask(backend.locate, rows), (len(rows),))[extra:]
    return head_of(ask(backend.score, job.features, job.tracks, job.segments, job.labels), len(job.labels))


def joined_tracks(answer: Any, rows: tuple[int, ...]) -> F32:
    """(class tracks [*rows, C], actionness [*rows]) of a locator as one array [*rows, C + 1]."""
    try:
        class_track, actionness = (np.asarray(part, np.float32) for part in answer)
    except (TypeError, ValueError) as error:
        raise _misshapen(f"the locator returned no pair of arrays ({error})", "class tracks and actionness") from error
    if class_track.ndim != len(rows) + 1 or class_track.shape[:-1] != rows or actionness.size != math.prod(rows):
        raise _misshapen(
            f"the locator returned class tracks {class_track.shape} and actionness {actionness.shape}",
            f"({', '.join(map(str, rows))}, classes) and {rows}",
        )
    return np.concatenate([class_track, actionness.reshape(*rows, 1)], axis=-1, dtype=np.float32)


def head_of(answer: Any, count: int) -> Head:
    """What a center scorer returned, as float32 arrays [M, C], [M], [M]."""
    try:
        probability, attention, center = (np.asarray(part, np.float32) for part in answer)
    except (TypeError, ValueError) as error:
        raise _misshapen(f"the center scorer returned no three arrays ({error})", "three arrays") from error
    if probability.ndim != 2 or len(probability) != count or attention.size != count or center.size != count:
        raise _misshapen(
            f"the center scorer returned {probability.shape}, {attention.shape} and {center.shape}",
            f"({count}, classes), ({count},) and ({count},)",
        )
    return probability, attention.reshape(count), center.reshape(count)


def check_tracks(tracks: F32, shape: tuple[int, int]) -> None:
    """Raises EngineError unless tracks [n, C + 1] have that shape and all values are probabilities."""
    if tracks.shape != shape:
        raise _misshapen(f"the locator returned {tracks.shape}", str(shape))
    _check_range(tracks, "tracks", "the locator")


def check_heads(heads: Sequence[Head], jobs: Sequence[ScoreJob], classes: int, weights: Fusion) -> None:
    """Raises EngineError unless the terms that the fusion uses are probabilities of these jobs' proposals."""
    for (probability, attention, center), job in zip(heads, jobs, strict=True):
        if probability.shape != (len(job.labels), classes):
            raise _misshapen(f"the center scorer returned {probability.shape}", f"({len(job.labels)}, {classes})")
        for term, weight in (
            (probability, weights.class_probability),
            (attention, weights.attention),
            (center, weights.center),
        ):
            if weight > 0:
                _check_range(term, "scores", "the center scorer")


def _check_range(values: F32, what: str, who: str) -> None:
    if not values.size:
        return
    low, high = float(np.minimum.reduce(values, axis=None)), float(np.maximum.reduce(values, axis=None))  # NaN if any
    if low >= -ROUNDING and high <= 1 + ROUNDING:
        return
    if not np.isfinite(values).all():
        raise EngineError(
            f"{what}-not-finite",
            f"{who} returned NaN or infinity",
            f"finite {what}",
            "check the features and the bundle",
        )
    worst = low if low < -ROUNDING else high
    raise EngineError(
        f"{what}-out-of-range", f"{who} returned {worst:g}", "probabilities, 0..1", "check the graph's output layer"
    )


def _misshapen(given: str, allowed: str) -> EngineError:
    return EngineError("backend-shape", given, allowed, "check the graph")


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
            tracks = joined_tracks(ask(many, stack), stack.shape[:2])
            for row, i in enumerate(part):
                answers[i] = tracks[row, longest - len(jobs[i].features) :]
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
    answer = ask(
        backend.score,
        np.concatenate([job.features for job in chosen]),
        np.concatenate([job.tracks for job in chosen]),
        np.concatenate([job.segments + np.float32(o) for job, o in zip(chosen, offsets, strict=False)]),
        np.concatenate([job.labels for job in chosen]),
    )
    probability, attention, center = head_of(answer, int(counts[-1]))
    for k, i in enumerate(part):
        rows = slice(counts[k], counts[k + 1])
        answers[i] = (probability[rows], attention[rows], center[rows])
