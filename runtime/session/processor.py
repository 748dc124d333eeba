"""The steps of one stream, and the state that they change. `Session` is the interface around it.

Steps are generators that yield jobs for the engine and are sent the results (`jobs`). If they fail, or are closed
before their end, everything that they have changed is undone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..events.event import Event
from ..live import LiveOptions
from .emit import EventContext, final_events, provisional_events
from .jobs import Steps
from .locate import extend_tracks
from .plan import Plan, Stats
from .post import reduce_scoring
from .provisional import report_provisional
from .reporter import Change, Reporter, ReporterMark
from .score import score_islands
from .section import Section, SectionMark

F32 = npt.NDArray[np.float32]


class _Saved(NamedTuple):
    """Everything that a call may change, as it was before."""

    section: Section
    mark: SectionMark
    reporter: ReporterMark
    stats: Stats
    closed: bool
    started: bool
    snippets_before: int
    dropped_before: int
    class_tracks: list[F32]


class StreamProcessor:
    """State of one stream. The fields of `SessionState` explain most attributes.

    Attributes:
        section: The part of the stream since the last gap.
        reporter: What was reported and is neither final nor retracted.
        stats: Statistics since the beginning or the last reset.
        hop: Snippets between two advances.
        class_tracks: Class tracks [n, C] of the whole stream, if they are kept.
    """

    __slots__ = (
        "_keep_tracks",
        "_reduced_post",
        "_tick",
        "class_tracks",
        "closed",
        "degraded",
        "dropped_before",
        "hop",
        "live",
        "plan",
        "reporter",
        "resets",
        "run_id",
        "section",
        "snippets_before",
        "started",
        "stats",
        "stream",
    )

    def __init__(
        self, plan: Plan, *, stream: str, start_s: float, live: LiveOptions | None, run_id: str, keep_tracks: bool
    ) -> None:
        """Begin a stream.

        Args:
            plan: The configuration.
            stream: Name of the stream.
            start_s: Media time of the first snippet in seconds.
            live: When to report provisional events; None: final events only.
            run_id: Part of every event id.
            keep_tracks: Collect `class_tracks`, whose size grows with the stream.
        """
        self.plan, self.stream, self.live, self.run_id = plan, stream, live, run_id
        self.degraded, self.resets = False, 0
        options = live or LiveOptions()
        self._keep_tracks = keep_tracks
        self._tick, self.hop = options.tick(plan.stride_s), plan.hop(live)
        self.reporter = Reporter(
            options,
            tick_s=self._tick * plan.stride_s,
            stride_s=plan.stride_s,
            overhang_s=plan.overhang_s,
            least_raw=plan.least_raw(options),
        )
        self._reduced_post = reduce_scoring(plan.post)
        self.begin(start_s)

    def begin(self, start_s: float) -> None:
        """Begin the stream, for the first time or after a reset."""
        self.stats = Stats()
        self.closed = self.started = False
        self.snippets_before = self.dropped_before = 0
        self.class_tracks: list[F32] = []
        self.reporter.actions.clear()
        self.section = Section(self.plan, start_s)

    def only_buffers(self, count: int, at: float | None, lost: Sequence[tuple[int, int]]) -> bool:
        """Whether a push of `count` rows stays below the next advance, as most do when rows come one by one."""
        section = self.section
        if not self.started or lost or section.features.end + count - section.advanced >= self.hop:
            return False
        return at is None or at <= section.now_s + 0.5 * self.plan.stride_s

    def buffer(self, rows: F32) -> list[Event]:
        """Take rows that advance nothing. Undone without a copy of the whole state."""
        features, stats = self.section.features, self.stats
        mark, snippets, media_s = features.mark(), stats.snippets, stats.media_s
        try:
            features.append(rows)
            stats.snippets += len(rows)
            stats.media_s += len(rows) * self.plan.stride_s
        except BaseException:
            features.rewind(mark)
            stats.snippets, stats.media_s = snippets, media_s
            raise
        return []

    def push(self, rows: F32, at: float | None, lost: Sequence[tuple[int, int]] = ()) -> Steps[list[Event]]:
        """Take checked rows float32 [n, D].

        Args:
            rows: The rows.
            at: Media time of the first; None: right after the last.
            lost: Missing video frames, as pairs (row, number of frames).
        """
        if self.only_buffers(len(rows), at, lost):
            return self.buffer(rows)
        saved = self._save()
        try:
            return (yield from self._push(rows, at, lost))
        except BaseException:
            self._restore(saved)
            raise

    def flush(self, *, missing_until_s: float | None = None) -> Steps[list[Event]]:
        """End the stream. missing_until_s: media time at which it ends, if features are missing before that."""
        saved = self._save()
        try:
            events = list[Event]()
            if missing_until_s is not None:
                events = yield from self._push(np.zeros((0, self.plan.dim), np.float32), missing_until_s, ())
            self.closed = True
            events += yield from self._advance(final=True)
            return events + self._provisional(self.reporter.retract_outside([]))
        except BaseException:
            self._restore(saved)
            raise

    def abandon(self) -> list[Event]:
        """End the stream without the engine: retract every action that is not final."""
        self.closed = True
        return self._provisional(self.reporter.retract_outside([]))

    def _push(self, rows: F32, at: float | None, lost: Sequence[tuple[int, int]]) -> Steps[list[Event]]:
        stride, events = self.plan.stride_s, list[Event]()
        if at is not None:
            if not self.started:
                self.section.start_s = at
            elif at > self.section.now_s + 0.5 * stride:
                events += yield from self._end_section(at)
        section = self.section
        self.started = self.started or at is not None or len(rows) > 0
        section.lost_frames += [(section.features.end + row, frames) for row, frames in lost if frames > 0]
        self.stats.snippets += len(rows)
        self.stats.media_s += len(rows) * stride
        taken = 0
        while True:
            step = len(rows) - taken
            if self._tick:
                step = min(step, self._tick - section.features.end % self._tick)
            section.features.append(rows[taken : taken + step])
            taken += step
            reached = section.features.end - section.features.end % self.hop
            if reached > section.advanced:
                section.advanced = reached
                events += yield from self._advance(tick=self._tick > 0)
            if taken >= len(rows):
                return events

    def _end_section(self, at: float) -> Steps[list[Event]]:
        """Close everything at a gap, and begin a new section at media time `at`."""
        section = self.section
        dropped = max(round((at - section.now_s) / self.plan.stride_s), 1)
        events = yield from self._advance(final=True, dropped_after=dropped)
        events += self._provisional(self.reporter.retract_outside([]))
        self.snippets_before += section.features.end + dropped
        self.dropped_before = dropped
        self.stats.gaps += 1
        self.stats.dropped += dropped
        self.section = Section(self.plan, at)
        return events

    def _advance(self, *, final: bool = False, tick: bool = False, dropped_after: int = 0) -> Steps[list[Event]]:
        """Step 4 of a push, see `session`. final: the section ends. tick: provisional events are due."""
        plan, section, stats, reporter = self.plan, self.section, self.stats, self.reporter
        post = self._reduced_post if self.degraded else plan.post
        first, began = section.tracks.end, time.perf_counter()
        yield from extend_tracks(section, plan, final=final, provisional=tick)
        if self._keep_tracks:
            self.class_tracks.append(section.tracks.slice(first, section.tracks.end)[:, :-1].copy())
        located = time.perf_counter()
        section.find_islands(first, final=final)
        complete = section.take_complete(final=final)
        stats.locate_s += located - began
        stats.islands_s += time.perf_counter() - located
        events: list[Event] = []
        if complete:
            scored = yield from score_islands(section, complete, plan, post, stats)
            began = time.perf_counter()
            context = self._context(dropped_after)
            for island, (segments, scores) in zip(complete, scored, strict=True):
                events += final_events(context, island, segments, scores, reporter)
            stats.post_s += time.perf_counter() - began
            stats.islands += len(complete)
        if tick and (section.pending or reporter.actions or section.is_active()):
            began = time.perf_counter()
            changes = yield from report_provisional(section, plan, post, reporter, self._prefix, degraded=self.degraded)
            events += self._provisional(changes)
            stats.report_s += time.perf_counter() - began
        stats.events += sum(1 for e in events if e.phase == "final")
        section.trim()
        return events

    @property
    def _prefix(self) -> str:
        """How event ids begin."""
        if not self.run_id:
            return self.stream
        return f"{self.stream}/{self.run_id}.{self.resets}" if self.resets else f"{self.stream}/{self.run_id}"

    def _context(self, dropped_after: int = 0) -> EventContext:
        return EventContext(
            plan=self.plan,
            section=self.section,
            stream=self.stream,
            prefix=self._prefix,
            hop=self.hop,
            snippets_before=self.snippets_before,
            dropped_before=self.dropped_before,
            dropped_after=dropped_after,
            degraded=self.degraded,
        )

    def _provisional(self, changes: list[Change]) -> list[Event]:
        return provisional_events(self._context(), changes, self.section.now_s) if changes else []

    def _save(self) -> _Saved:
        return _Saved(
            self.section,
            self.section.mark(),
            self.reporter.mark(),
            self.stats.copy(),
            self.closed,
            self.started,
            self.snippets_before,
            self.dropped_before,
            self.class_tracks.copy(),
        )

    def _restore(self, saved: _Saved) -> None:
        self.section = saved.section
        self.section.rewind(saved.mark)
        self.reporter.rewind(saved.reporter)
        self.stats, self.class_tracks = saved.stats, saved.class_tracks
        self.closed, self.started = saved.closed, saved.started
        self.snippets_before, self.dropped_before = saved.snippets_before, saved.dropped_before
