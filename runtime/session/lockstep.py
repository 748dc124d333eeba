"""Many whole recordings through one engine at once: their windows and proposals share runs wherever that is exact.

Every recording keeps a session of its own, so its events are those of `Localizer.localize`. What can share a run:

- a window that ends before the stream does: rows after it are outside the field of all that is kept, so windows of
  several lengths are filled up behind;
- a window that begins after the stream did, likewise before it;
- others with those of their own length: a true edge must stay where it is;
- proposals as `answer_together` joins them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datatypes import compact
from ..errors import EngineError, PunctumError
from ..events.event import Event
from ..features.features import Features
from ..localizer import Localizer
from .engine import Backend
from .jobs import STACKED_ROWS, Job, LocateJob, Steps, answer_together, ask, joined_tracks
from .session import Session

F32 = npt.NDArray[np.float32]
TRIES = 2  # runs of a recording alone, before the engine's failure is its own
WASTE = 1.3  # rows of a filled-up stack against those that are needed, at most


@compact
@dataclass(slots=True, eq=False, repr=False)
class Whole:
    """One recording on its way. error: what ended it."""

    stream: str
    features: Features
    events: list[Event] = field(default_factory=list)
    error: PunctumError | None = None


def localize_together(localizer: Localizer, recordings: Sequence[Whole]) -> None:
    """Fill in `events` or `error` of each. One that fails leaves the others alone. Where the engine failed, the
    recordings that this concerns are run again, alone."""
    if localizer.plan.post.gate == "video" or len(recordings) == 1:
        for one in recordings:
            _alone(localizer, one)
        return
    fresh = [(one, Session(localizer.plan, localizer.backend, stream=one.stream, offline=True)) for one in recordings]
    taken: list[tuple[Whole, Session]] = []
    steps: list[Steps[list[Event]]] = []
    for one, session in fresh:
        try:
            rows, at = session.check(one.features, None)
        except PunctumError as error:
            one.error = error
            continue
        taken.append((one, session))
        steps.append(session.push_steps(rows, at))
    _lockstep(localizer.backend, [one for one, _ in taken], steps, ahead=True)
    left = [(one, session) for one, session in taken if one.error is None]
    ends = [session.flush_steps() for _, session in left]
    _lockstep(localizer.backend, [one for one, _ in left], ends, ahead=False)
    for one, _ in taken:
        if one.error is not None:
            _alone(localizer, one)


def _alone(localizer: Localizer, one: Whole) -> None:
    for _ in range(TRIES):
        one.error = None
        try:
            one.events = localizer.localize(one.features, stream=one.stream)
        except PunctumError as error:
            one.events, one.error = [], error
        if not isinstance(one.error, EngineError):
            return


def _lockstep(backend: Backend, ones: Sequence[Whole], steps: Sequence[Steps[list[Event]]], *, ahead: bool) -> None:
    """All recordings' steps at once. ahead: more of each stream follows what its windows show."""
    asked: dict[int, list[Job]] = {}

    def advance(i: int, answers: list[Any] | None) -> None:
        try:
            asked[i] = next(steps[i]) if answers is None else steps[i].send(answers)
        except StopIteration as stop:
            ones[i].events += stop.value
        except PunctumError as error:
            ones[i].error = error

    for i in range(len(steps)):
        advance(i, None)
    while asked:
        order = list(asked)
        jobs = [job for i in order for job in asked[i]]
        counts = [len(asked[i]) for i in order]
        try:
            answers = _answer(jobs, backend, ahead=ahead)
        except PunctumError as error:
            for i in order:
                steps[i].close()
                ones[i].error = error
            return
        asked.clear()
        first = 0
        for i, count in zip(order, counts, strict=True):
            advance(i, answers[first : first + count])
            first += count


def _answer(jobs: Sequence[Job], backend: Backend, *, ahead: bool) -> list[Any]:
    answers: list[Any] = [None] * len(jobs)
    if getattr(backend, "locate_many", None) is not None:
        for part, fill in _stacks(jobs, ahead=ahead):
            if len(part) > 1:
                _locate_stacked(part, fill, jobs, backend, answers)
    rest = [i for i, answer in enumerate(answers) if answer is None]
    for i, answer in zip(rest, answer_together([jobs[i] for i in rest], backend), strict=True):
        answers[i] = answer
    return answers


def _stacks(jobs: Sequence[Job], *, ahead: bool) -> list[tuple[list[int], str]]:
    """Windows that may share a run, and where the shorter ones are filled up: "behind", "before" or not at all."""
    lengths = {i: len(job.features) for i, job in enumerate(jobs) if isinstance(job, LocateJob)}
    kinds: dict[tuple[str, int], list[int]] = {}
    for i, length in lengths.items():
        job = jobs[i]
        inner = isinstance(job, LocateJob) and job.inner
        kind = ("behind", 0) if ahead else ("before", 0) if inner else ("", length)
        kinds.setdefault(kind, []).append(i)
    stacks: list[tuple[list[int], str]] = []
    for (fill, _), members in kinds.items():
        members.sort(key=lambda i: (-lengths[i], i))
        part: list[int] = []
        rows = 0
        for i in members:
            longest = lengths[part[0]] if part else lengths[i]
            wide = longest * (len(part) + 1)
            if part and (wide > STACKED_ROWS or wide > WASTE * (rows + lengths[i])):
                stacks.append((part, fill))
                part, rows = [], 0
            part.append(i)
            rows += lengths[i]
        stacks.append((part, fill))
    return stacks


def _locate_stacked(part: list[int], fill: str, jobs: Sequence[Job], backend: Any, answers: list[Any]) -> None:
    longest = max(len(jobs[i].features) for i in part)
    stack = np.zeros((len(part), longest, jobs[part[0]].features.shape[1]), np.float32)
    spans = []
    for row, i in enumerate(part):
        length = len(jobs[i].features)
        span = slice(longest - length, longest) if fill == "before" else slice(0, length)
        stack[row, span] = jobs[i].features
        spans.append(span)
    tracks = joined_tracks(ask(backend.locate_many, stack), stack.shape[:2])
    for row, (i, span) in enumerate(zip(part, spans, strict=True)):
        answers[i] = tracks[row, span]
