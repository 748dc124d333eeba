"""Many whole recordings through one engine: their windows and proposals share runs wherever that changes no result.

Every recording has a session of its own, so its events are those of `Localizer.localize`. These jobs can share a run:

- windows of one length, always;
- windows after which the stream continues, padded at the end: the settled tracks do not depend on the padding;
- windows that begin after the start of the stream, padded at the front, for the same reason;
- proposals, as `dispatch.run_jobs` joins them.

The other windows have a true edge of the stream at the end that would be padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from ..datatypes import compact
from ..errors import EngineError, PunctumError
from ..events.event import Event
from ..features.features import Features
from .dispatch import STACKED_ROWS, locate_stacked, run_jobs
from .engine import Backend, batch_locator
from .jobs import Job, LocateJob, Result, Steps
from .lockstep import run_lockstep
from .offline import localize
from .plan import Plan
from .session import Session

MOST_RUNS = 2  # of a recording alone, before an error of the engine is recorded as its own
MOST_PADDING = 1.3  # rows of a padded stack, as a multiple of the rows in its windows


@compact
@dataclass(slots=True, eq=False, repr=False)
class BatchItem:
    """One recording of a batch.

    Attributes:
        stream: Name of the stream.
        features: The whole recording.
        events: Its final events, once it was processed.
        error: Why it could not be processed.
    """

    stream: str
    features: Features
    events: list[Event] = field(default_factory=list)
    error: PunctumError | None = None


def localize_together(plan: Plan, backend: Backend, items: Sequence[BatchItem]) -> None:
    """Fill in `events` or `error` of each recording.

    A recording that fails does not affect the others. If a shared run of the engine fails, each recording in it is
    processed again by itself.
    """
    if plan.post.gate == "video" or len(items) == 1:
        for item in items:
            _localize_alone(plan, backend, item)
        return
    sessions = [Session(plan, backend, stream=item.stream, offline=True) for item in items]
    pushes: dict[int, Steps[list[Event]]] = {}
    for i, (item, session) in enumerate(zip(items, sessions, strict=True)):
        try:
            pushes[i] = session.push_steps(*session.check(item.features))
        except PunctumError as error:
            item.error = error
    pushed = run_lockstep(pushes, partial(_run_jobs, backend=backend, pad_end=True))
    flushes = {i: sessions[i].flush_steps() for i in pushed.results}
    flushed = run_lockstep(flushes, partial(_run_jobs, backend=backend, pad_end=False))
    for i in pushes:
        if i in flushed.results:
            items[i].events = pushed.results[i] + flushed.results[i]
        else:
            _localize_alone(plan, backend, items[i])


def _localize_alone(plan: Plan, backend: Backend, item: BatchItem) -> None:
    for _ in range(MOST_RUNS):
        item.error = None
        try:
            item.events = localize(plan, backend, item.features, stream=item.stream)
        except PunctumError as error:
            item.events, item.error = [], error
        if not isinstance(item.error, EngineError):
            return


def _run_jobs(jobs: Sequence[Job], backend: Backend, *, pad_end: bool) -> list[Result]:
    """Results of jobs. pad_end: every stream continues after its window."""
    results: list[Result | None] = [None] * len(jobs)
    many = batch_locator(backend)
    if many is not None:
        for part, pad_front in _stacks(jobs, pad_end=pad_end):
            windows = [job for i in part if isinstance(job := jobs[i], LocateJob)]
            if len(part) > 1:
                for i, tracks in zip(part, locate_stacked(windows, many, pad_front=pad_front), strict=True):
                    results[i] = tracks
    rest = iter(run_jobs([job for job, result in zip(jobs, results, strict=True) if result is None], backend))
    return [next(rest) if result is None else result for result in results]


def _stacks(jobs: Sequence[Job], *, pad_end: bool) -> list[tuple[list[int], bool]]:
    """Windows that may share a run, and whether the shorter ones are padded at the front."""
    lengths = {i: len(job.features) for i, job in enumerate(jobs) if isinstance(job, LocateJob)}
    groups: dict[tuple[bool, int], list[int]] = {}  # by (padded at the front, length where nothing may be padded)
    for i, length in lengths.items():
        job = jobs[i]
        pad_front = not pad_end and isinstance(job, LocateJob) and job.inner
        groups.setdefault((pad_front, 0 if pad_end or pad_front else length), []).append(i)
    stacks: list[tuple[list[int], bool]] = []
    for (pad_front, _), members in groups.items():
        members.sort(key=lambda i: (-lengths[i], i))
        part: list[int] = []
        rows = 0
        for i in members:
            longest = lengths[part[0]] if part else lengths[i]
            padded = longest * (len(part) + 1)
            if part and (padded > STACKED_ROWS or padded > MOST_PADDING * (rows + lengths[i])):
                stacks.append((part, pad_front))
                part, rows = [], 0
            part.append(i)
            rows += lengths[i]
        stacks.append((part, pad_front))
    return stacks
