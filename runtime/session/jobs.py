"""Requests of a session to the engine.

A session does not call the engine. Its steps are a generator that yields lists of jobs and is sent the list of their
results. `drive` runs one session's jobs one by one; a pool collects the jobs of many sessions and joins them into
common runs (`dispatch.run_jobs`). Both execute the same session code.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from ..bundle.config import PostProcess
from ..datatypes import compact

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
T = TypeVar("T")


@compact
@dataclass(slots=True, eq=False, repr=False)
class LocateJob:
    """A window for the locator. Its result: tracks float32 [n, C + 1], class tracks followed by actionness.

    Attributes:
        features: float32 [n, D].
        inner: The window begins with a full left receptive field before the first snippet whose result is used, so
            rows padded in front of it do not change that result.
    """

    features: F32
    inner: bool


@compact
@dataclass(slots=True, eq=False, repr=False)
class StepJob:
    """The next snippets of a stream, for a locator that continues from a state. Its result: `Stepped`.

    Attributes:
        window: float32 [n, D], the window with the whole context, to begin, and for a locator without a state.
        start: First row of the window whose tracks are wanted.
        stop: One after the last: the end of the window with `ahead`, and otherwise that of its settled rows.
        ahead: Tracks that are not settled are wanted too.
        fresh: Number of rows at the end of the window that came after `state`.
        state: float32 [S], as the last step left it; None to begin.
    """

    window: F32
    start: int
    stop: int
    ahead: bool
    fresh: int
    state: F32 | None


@compact
@dataclass(slots=True, eq=False, repr=False)
class ScoreJob:
    """Proposals of one window for the center scorer, part of an `IslandsJob`. Its result: a `ScorerOutput`.

    Attributes:
        features: float32 [n, D].
        tracks: float32 [n, C + 1].
        segments: float32 [M, 2], in snippets from the center of the window's first snippet.
        labels: int64 [M].
        inner: No proposal's pooling reaches beyond the window, so that windows can be concatenated.
    """

    features: F32
    tracks: F32
    segments: F32
    labels: I64
    inner: bool


@compact
@dataclass(slots=True, eq=False, repr=False)
class IslandsJob:
    """Islands to propose segments for, to score and to settle. Its result: `Settled`.

    Attributes:
        features: float32 [n, D].
        tracks: float32 [n, C + 1].
        islands: Class, first row and one after the last row of each island's window.
        bounds: Start and end of each island, in snippets from the center of its window's first snippet.
        inner: For each island whether no pooling reaches beyond its window; None: all n rows are the window that the
            center scorer sees, for all islands together.
        post: The settings.
        stride_s: Seconds of media from one snippet to the next.
        least: Segments below this score are not wanted.
    """

    features: F32
    tracks: F32
    islands: Sequence[tuple[int, int, int]]
    bounds: Sequence[tuple[float, float]]
    inner: Sequence[bool] | None
    post: PostProcess
    stride_s: float
    least: float = 0.0


class Settled(NamedTuple):
    """The segments of islands.

    Attributes:
        islands: For each island the start and end of its segments, in the coordinates of its window, and their scores,
            best first.
        score_s: Seconds in the center scorer, of the run that jobs share.
        post_s: Seconds in everything else, of this job's share in that run.
    """

    islands: list[tuple[list[list[float]], list[float]]]
    score_s: float
    post_s: float


Job = LocateJob | StepJob | IslandsJob
ScorerOutput = tuple[F32, F32, F32]
"""Class probability [M, C], attention [M] and center score [M]."""
Stepped = tuple[F32, F32 | None]
"""The tracks that were wanted, [stop - start, C + 1], and the state for the next step; without a state, those of the
whole window and None."""
Result = F32 | Stepped | Settled
"""Of a LocateJob its tracks, of a StepJob `Stepped`, of an IslandsJob `Settled`."""
Steps = Generator[list[Job], list[Any], T]  # list[Result], whose types the steps know by their jobs
"""Part of a session's work: yields jobs, is sent their results in the same order, and returns a T."""
