"""Many live streams on one engine: their windows and proposals go into common runs, fairly, within bounds.

    put(stream, features) -> queue of that stream -> step(): a share of every queue, all streams in lockstep -> events

When the machine cannot keep up, the policy that the user chose acts, and everything it costs is counted:

    wait         put() works the queues off before it returns: the source is slowed down, nothing is lost
    drop_oldest  the oldest snippets waiting are given up: a gap, declared in the events beside it
    degrade      sessions score in haste while they lag (events say so); beyond the bound the oldest go, too
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ._jobs import Job, Steps, answer_together
from ._text import counted
from .errors import InputError, PunctumError
from .events import Event
from .live import LiveOptions
from .session import Session

if TYPE_CHECKING:
    from .localizer import Localizer

F32 = npt.NDArray[np.float32]
Policy = Literal["wait", "drop_oldest", "degrade"]


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """Bounds and policy. Raises InputError for values that make no sense.

    max_queue_s: media seconds that may wait, a stream. deadline_s: compute seconds from put to the end of the step
    that took a chunk; later ones are counted as missed (None: no deadline). max_streams: more are refused.
    turn_s: media seconds that one stream gets in a step at most, so that one with a long queue cannot starve others.
    """

    policy: Policy = "wait"
    max_queue_s: float = 10.0
    deadline_s: float | None = None
    max_streams: int = 1024
    turn_s: float = 1.0
    live: LiveOptions | None = None

    def __post_init__(self) -> None:
        if self.policy not in ("wait", "drop_oldest", "degrade"):
            raise InputError("pool-policy", f"policy {self.policy!r}", "wait, drop_oldest, degrade", "set policy")
        for name in ("max_queue_s", "turn_s", "deadline_s"):
            value = getattr(self, name)
            if value is None and name == "deadline_s":
                continue
            if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
                raise InputError("pool-options", f"{name}={value}", "a positive number of seconds", f"set {name}")
        if self.max_streams < 1:
            raise InputError("pool-options", f"max_streams={self.max_streams}", "1 or more", "set max_streams")


@dataclass(slots=True)
class StreamStats:
    """Counters of one stream. Seconds; lag_s is how long the oldest snippet that still waits has waited."""

    snippets: int = 0
    dropped_snippets: int = 0
    deadline_missed: int = 0
    events: int = 0
    degraded_turns: int = 0
    lag_s: float = 0.0
    max_lag_s: float = 0.0
    queue_depth: int = 0
    state_bytes: int = 0
    ended: str = ""
    """Why the stream ended; empty while it lives."""


@dataclass(slots=True)
class _Stream:
    session: Session
    stats: StreamStats = field(default_factory=StreamStats)
    queue: deque[tuple[F32, float, float]] = field(default_factory=deque)  # rows, media time, arrival
    waiting: int = 0  # snippets in the queue
    caught_up: bool = True  # the last turn left nothing in the queue
    next_s: float | None = None  # media time that follows the last chunk taken in


class Pool:
    """Streams that share one engine. All methods may be called from several threads; work is done in `step`."""

    def __init__(
        self, localizer: Localizer, options: PoolOptions | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.options = options or PoolOptions()
        self._localizer = localizer
        self._clock = clock
        self._lock = threading.RLock()
        self._streams: dict[str, _Stream] = {}
        self._ended: dict[str, StreamStats] = {}
        self._ready: list[Event] = []
        stride = localizer.plan.stride_s
        self._bound = max(round(self.options.max_queue_s / stride), 1)
        self._turn = max(round(self.options.turn_s / stride), 1)

    def open(self, stream: str, *, start_s: float = 0.0, restored: Session | None = None) -> None:
        """Begin a stream, or go on with a restored session. Raises InputError for a name in use or one too many."""
        with self._lock:
            if stream in self._streams:
                raise InputError("stream-open", f"stream {stream!r} is open already", "a new name", "end it first")
            if len(self._streams) >= self.options.max_streams:
                raise InputError(
                    "too-many-streams",
                    counted(len(self._streams) + 1, "stream"),
                    f"max_streams={self.options.max_streams}",
                    "end streams, or raise max_streams",
                )
            session = restored or self._localizer.session(stream=stream, start_s=start_s, live=self.options.live)
            self._streams[stream] = _Stream(session)
            self._ended.pop(stream, None)

    def put(self, stream: str, features: Any, *, at: float | None = None) -> bool:
        """Queue the next features [n, D] of a stream. A new one is opened; one that ended has to be opened again.

        False when the stream was ended because of them (wrong dimension, NaN): see `stats()[stream].ended`. Others
        are not affected.

        Raises InputError "time-backwards" for a chunk that came before (the stream lives on), "stream-ended".
        """
        with self._lock:
            if stream not in self._streams:
                if stream in self._ended:
                    raise InputError(
                        "stream-ended",
                        f"features for stream {stream!r}, which ended: {self._ended[stream].ended}",
                        "streams that are open, or new names",
                        "open() it to begin it anew",
                    )
                self.open(stream, start_s=at or 0.0)
            one = self._streams[stream]
            if at is not None and one.next_s is not None and at < one.next_s - 0.5 * self._localizer.plan.stride_s:
                raise InputError(
                    "time-backwards",
                    f"stream {stream!r}: features at {at:.3f} s after features up to {one.next_s:.3f} s",
                    "media time that goes forward",
                    "drop the chunk if it came twice",
                )
            try:
                rows, at = one.session.check(features, None if at is None else max(at, one.session.now_s))
            except InputError as error:
                self._ready += self._end(stream, error.code)
                return False
            begin = at if at is not None else one.next_s
            begin = one.session.now_s if begin is None else begin
            one.queue.append((np.array(rows), begin, self._clock()))
            one.waiting += len(rows)
            one.next_s = begin + len(rows) * self._localizer.plan.stride_s
            if one.waiting > self._bound:
                self._relieve(one)
            return True

    def step(self) -> list[Event]:
        """Serve every stream a turn, all together, and return what there is to report."""
        with self._lock:
            events, self._ready = self._ready, []
            turns: dict[str, Steps[list[Event]]] = {}
            taken: dict[str, list[float]] = {}
            for name, one in self._streams.items():
                if one.queue:
                    taken[name] = []
                    turns[name] = self._turn_of(one, taken[name])
            events += self._lockstep(turns)
            now = self._clock()
            for name, arrivals in taken.items():
                if name not in self._streams:
                    continue
                one = self._streams[name]
                late = [now - t for t in arrivals]
                one.stats.max_lag_s = max([one.stats.max_lag_s, *late])
                if self.options.deadline_s is not None:
                    one.stats.deadline_missed += sum(1 for x in late if x > self.options.deadline_s)
            return events

    def drain(self) -> list[Event]:
        """Steps until every queue is empty."""
        events = self.step()
        while any(one.queue for one in self._streams.values()):
            events += self.step()
        return events + self.step()

    def end(self, stream: str, *, reason: str = "end of stream") -> list[Event]:
        """Work off the queue of a stream, flush its session, and forget it."""
        with self._lock:
            if stream not in self._streams:
                raise InputError("stream-unknown", f"stream {stream!r}", ", ".join(self._streams) or "none", "open it")
            events: list[Event] = []
            while stream in self._streams and self._streams[stream].queue:
                events += self.step()
            return events + self._end(stream, reason)

    def close(self) -> list[Event]:
        """End all streams."""
        events: list[Event] = []
        for stream in list(self._streams):
            if stream in self._streams:
                events += self.end(stream)
        return events + self.step()

    def stats(self) -> dict[str, StreamStats]:
        """Counters by stream, of those that ended too."""
        with self._lock:
            now = self._clock()
            for one in self._streams.values():
                one.stats.lag_s = now - one.queue[0][2] if one.queue else 0.0
                one.stats.queue_depth = one.waiting
                one.stats.state_bytes = one.session.state_bytes + sum(rows.nbytes for rows, _, _ in one.queue)
            return {**self._ended, **{name: one.stats for name, one in self._streams.items()}}

    def _turn_of(self, one: _Stream, arrivals: list[float]) -> Steps[list[Event]]:
        events: list[Event] = []
        room = self._turn
        if self.options.policy == "degrade":
            # In haste from half the bound on, until a turn has worked off the whole queue: no flicker in between.
            one.session.degraded = one.waiting > self._bound / 2 or (one.session.degraded and not one.caught_up)
            one.stats.degraded_turns += one.session.degraded
        while one.queue and room > 0:
            rows, begin, arrival = one.queue.popleft()
            if len(rows) > room:
                rest = begin + room * self._localizer.plan.stride_s
                one.queue.appendleft((rows[room:], rest, arrival))
                rows = rows[:room]
            else:
                arrivals.append(arrival)
            room -= max(len(rows), 1)
            one.waiting -= len(rows)
            one.stats.snippets += len(rows)
            events += yield from one.session.push_steps(rows, begin)
        one.caught_up = not one.queue
        one.stats.events += sum(1 for e in events if e.phase == "final")
        return events

    def _lockstep(self, turns: dict[str, Steps[list[Event]]]) -> list[Event]:
        """All streams' steps at once: the jobs that stand next in each are answered together."""
        events: dict[str, list[Event]] = {name: [] for name in turns}
        asked: dict[str, list[Job]] = {}
        for name in list(turns):
            self._advance(name, turns, None, asked, events)
        while asked:
            names = list(asked)
            jobs = [job for name in names for job in asked[name]]
            counts = [len(asked[name]) for name in names]
            try:
                answers = answer_together(jobs, self._localizer.backend)
            except PunctumError:
                raise
            except Exception as error:
                raise PunctumError("engine-failed", f"the engine failed: {str(error)[:200]}") from error
            asked.clear()
            for name, first, count in zip(names, np.cumsum([0, *counts[:-1]]), counts, strict=True):
                self._advance(name, turns, answers[first : first + count], asked, events)
        return [event for name in events for event in events[name]]

    def _advance(
        self,
        name: str,
        turns: dict[str, Steps[list[Event]]],
        answers: list[Any] | None,
        asked: dict[str, list[Job]],
        events: dict[str, list[Event]],
    ) -> None:
        """One stream's next jobs; its failure ends it alone."""
        try:
            asked[name] = next(turns[name]) if answers is None else turns[name].send(answers)
        except StopIteration as stop:
            events[name] += stop.value
        except PunctumError as error:
            self._ended[name] = self._streams.pop(name).stats
            self._ended[name].ended = error.code

    def _end(self, stream: str, reason: str) -> list[Event]:
        one = self._streams.pop(stream)
        self._ended[stream] = one.stats
        one.stats.ended = reason
        one.stats.lag_s, one.stats.queue_depth, one.stats.state_bytes = 0.0, 0, 0
        try:
            turns = {stream: self._last(one)}
            events = self._lockstep(turns)
        finally:
            one.queue.clear()
        return events

    @staticmethod
    def _last(one: _Stream) -> Steps[list[Event]]:
        events: list[Event] = []
        while one.queue:
            rows, begin, _ = one.queue.popleft()
            one.stats.snippets += len(rows)
            events += yield from one.session.push_steps(rows, begin)
        events += yield from one.session.flush_steps()
        one.stats.events += sum(1 for e in events if e.phase == "final")
        return events

    def _relieve(self, one: _Stream) -> None:
        """A queue is over its bound."""
        if self.options.policy == "wait":
            while one.waiting > self._bound:
                self._ready = self.step()  # which hands out what was ready before, too
            return
        while one.waiting > self._bound and one.queue:
            rows, begin, arrival = one.queue.popleft()
            lost = min(len(rows), one.waiting - self._bound)
            if lost < len(rows):
                begin += lost * self._localizer.plan.stride_s
                one.queue.appendleft((rows[lost:], begin, arrival))
            one.waiting -= lost
            one.stats.dropped_snippets += lost
