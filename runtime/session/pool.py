"""Many live streams on one engine: their windows and proposals go into common runs, fairly, within bounds.

    put(stream, features) -> queue of that stream -> step(): a share of every queue, all streams in lockstep -> events

When the machine cannot keep up, the policy that the user chose acts, and everything it costs is counted:

    wait         put() works the queues off before it returns: the source is slowed down, nothing is lost
    drop_oldest  the oldest snippets waiting are given up: a gap, declared in the events beside it
    degrade      sessions score in haste while they lag (events say so); beyond the bound the oldest go, too

When a common run fails, every stream in it is served again alone, from where it stood. What the engine still cannot
answer ends that stream, declared in its counters; the events of the others are delivered. Only when the engine answers
nobody does `step` raise: nothing has changed then, and the same call can be repeated.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import InputError, PunctumError
from ..events.event import Event
from ..events.run_id import check_run_id
from ..live import LiveOptions
from ..text.display import counted
from .jobs import Job, Steps, answer_together, drive
from .session import Session

if TYPE_CHECKING:
    from ..localizer import Localizer

F32 = npt.NDArray[np.float32]
Policy = Literal["wait", "drop_oldest", "degrade"]
TRIES = 2  # times that a stream is served alone after a common run failed
MOST_FAILURES = 3  # steps in a row in which the engine fails a stream, until it ends


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """Bounds and policy. Raises InputError for values that make no sense.

    max_queue_s: media seconds that may wait, a stream. deadline_s: compute seconds from put to the end of the step
    that took a chunk; later ones are counted as missed (None: no deadline). max_streams: more are refused.
    turn_s: media seconds that one stream gets in a step at most, so that one with a long queue cannot starve others.
    run_id: part of every event id, see `Session`; a name that is opened again counts up behind it.
    """

    policy: Policy = "wait"
    max_queue_s: float = 10.0
    deadline_s: float | None = None
    max_streams: int = 1024
    turn_s: float = 1.0
    live: LiveOptions | None = None
    run_id: str = ""

    def __post_init__(self) -> None:
        check_run_id(self.run_id)
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
    engine_failures: int = 0
    """Times that the engine failed while it served this stream, repeated calls included."""


@dataclass(slots=True, eq=False)
class _Stream:
    session: Session
    stats: StreamStats = field(default_factory=StreamStats)
    queue: deque[tuple[F32, float, float]] = field(default_factory=deque)  # rows, media time, arrival
    waiting: int = 0  # snippets in the queue
    caught_up: bool = True  # the last turn left nothing in the queue
    next_s: float | None = None  # media time that follows the last chunk taken in
    failures: int = 0  # steps in a row in which the engine failed it
    unfinished: int | None = None  # snippets that the turn which the engine failed may still take


@dataclass(slots=True, eq=False)
class _Turn:
    """One stream in one step: snippets that it may still take, and what came of it."""

    room: int
    events: list[Event] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    done: bool = False
    answered: bool = False  # by the engine, at least once
    again: bool = False  # it goes on with a turn that failed


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
        self._opened: dict[str, int] = {}  # times that a name was opened, where ids have a run
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
            session = restored or self._localizer.session(
                stream=stream, start_s=start_s, live=self.options.live, run_id=self._run_id(stream)
            )
            self._streams[stream] = _Stream(session)
            if restored is not None:
                self._remember(stream, restored)
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
                try:
                    self._end(stream, error.code)
                except PunctumError:  # of the engine, on top
                    self._ready += self._give_up(stream, error.code)
                return False
            if one.waiting and one.waiting + len(rows) > self._bound and self.options.policy == "wait":
                self._relieve(one, self._bound - len(rows))  # before it is taken: this may fail
                if stream not in self._streams:
                    return False
            begin = at if at is not None else one.next_s
            begin = one.session.now_s if begin is None else begin
            one.queue.append((np.array(rows), begin, self._clock()))
            one.waiting += len(rows)
            one.next_s = begin + len(rows) * self._localizer.plan.stride_s
            if one.waiting > self._bound:
                with contextlib.suppress(PunctumError):  # it is taken, and will be served by a later step
                    self._relieve(one, self._bound)
            return stream in self._streams

    def step(self) -> list[Event]:
        """Serve every stream a turn, all together, and return what there is to report.

        Raises PunctumError when the engine answered none of them: nothing is lost, call it again.
        """
        with self._lock:
            turns = {name: self._begin(one) for name, one in self._streams.items() if one.queue}
            try:
                failed = self._lockstep(turns)
            finally:
                self._ready += [event for turn in turns.values() for event in turn.events]
            served = any(turn.done and turn.answered for turn in turns.values())
            now = self._clock()
            for name, turn in turns.items():
                one = self._streams[name]
                one.failures = one.failures + 1 if name in failed else 0
                one.unfinished = turn.room if name in failed else None
                self._count(one, turn, now)
                if name in failed and (served or one.failures >= MOST_FAILURES):
                    self._ready += self._give_up(name, failed[name].code)
            lasting = [error for name, error in failed.items() if name in self._streams]
            if lasting:
                raise lasting[0]
            events, self._ready = self._ready, []
            return events

    def _begin(self, one: _Stream) -> _Turn:
        """The next turn of a stream; the same one again, as far as it did not get, where the engine failed it."""
        return _Turn(self._turn) if one.unfinished is None else _Turn(one.unfinished, again=True)

    def _count(self, one: _Stream, turn: _Turn, now: float) -> None:
        late = [now - t for t in turn.arrivals]
        one.stats.max_lag_s = max([one.stats.max_lag_s, *late])
        one.stats.events += sum(1 for e in turn.events if e.phase == "final")
        if self.options.deadline_s is not None:
            one.stats.deadline_missed += sum(1 for x in late if x > self.options.deadline_s)

    def drain(self) -> list[Event]:
        """Steps until every queue is empty. Raises as `step` does; the events so far come with the next call."""
        with self._lock:
            while any(one.queue for one in self._streams.values()):
                self._ready = self.step()
            return self.step()

    def end(self, stream: str, *, reason: str = "end of stream") -> list[Event]:
        """Work off the queue of a stream, flush its session, and forget it.

        Raises PunctumError as `step` does, or when the flush fails: the stream is then still open.
        """
        with self._lock:
            if stream not in self._streams:
                raise InputError("stream-unknown", f"stream {stream!r}", ", ".join(self._streams) or "none", "open it")
            while stream in self._streams and self._streams[stream].queue:
                self._ready = self.step()
            if stream in self._streams:
                self._end(stream, reason)
            events, self._ready = self._ready, []
            return events

    def close(self) -> list[Event]:
        """End all streams. One that the engine cannot finish ends as its counters say; see `stats`."""
        with self._lock:
            while any(one.queue for one in self._streams.values()):
                with contextlib.suppress(PunctumError):  # which ends those that it concerns after a few steps
                    self._ready = self.step()
            for stream in list(self._streams):
                try:
                    self._end(stream, "end of stream")
                except PunctumError as error:
                    self._ready += self._give_up(stream, error.code)
            events, self._ready = self._ready, []
            return events

    def stats(self) -> dict[str, StreamStats]:
        """Counters by stream, of those that ended too."""
        with self._lock:
            now = self._clock()
            for one in self._streams.values():
                one.stats.lag_s = now - one.queue[0][2] if one.queue else 0.0
                one.stats.queue_depth = one.waiting
                one.stats.state_bytes = one.session.state_bytes + sum(rows.nbytes for rows, _, _ in one.queue)
            return {**self._ended, **{name: one.stats for name, one in self._streams.items()}}

    def _run_id(self, stream: str) -> str:
        if not self.options.run_id:
            return ""
        count = self._opened.get(stream, 0)
        self._opened[stream] = count + 1
        return f"{self.options.run_id}.{count}" if count else self.options.run_id

    def _remember(self, stream: str, restored: Session) -> None:
        """Count what a restored session has used of the run ids of its name, so that no later one repeats them."""
        run, _, count = restored.run_id.rpartition(".")
        used = 1 + restored._resets if restored.run_id == self.options.run_id else 0
        if run == self.options.run_id and count.isdecimal():
            used = int(count) + 1
        self._opened[stream] = max(self._opened.get(stream, 0), used)

    def _steps(self, one: _Stream, turn: _Turn) -> Steps[None]:
        """One stream's turn. A chunk leaves the queue, and its events count, once the session has taken it."""
        if self.options.policy == "degrade" and not turn.again:
            # In haste from half the bound on, until a turn has worked off the whole queue: no flicker in between.
            one.session.degraded = one.waiting > self._bound / 2 or (one.session.degraded and not one.caught_up)
            one.stats.degraded_turns += one.session.degraded
        turn.again = True  # repeated after a failure, it is scored the same way
        while one.queue and turn.room > 0:
            rows, begin, arrival = one.queue[0]
            part = rows[: turn.room]
            turn.events += yield from one.session.push_steps(part, begin)
            if len(part) < len(rows):
                one.queue[0] = (rows[len(part) :], begin + len(part) * self._localizer.plan.stride_s, arrival)
            else:
                one.queue.popleft()
                turn.arrivals.append(arrival)
            turn.room -= max(len(part), 1)
            one.waiting -= len(part)
            one.stats.snippets += len(part)
        one.caught_up = not one.queue
        turn.done = True

    def _lockstep(self, turns: dict[str, _Turn]) -> dict[str, PunctumError]:
        """All streams' turns at once: the jobs that stand next in each are answered together. Returns what failed."""
        again: dict[str, PunctumError] = {}
        asked: dict[str, list[Job]] = {}
        steps = {name: self._steps(self._streams[name], turn) for name, turn in turns.items()}

        def advance(name: str, answers: list[Any] | None) -> None:
            try:
                asked[name] = next(steps[name]) if answers is None else steps[name].send(answers)
            except StopIteration:
                pass
            except PunctumError as error:
                again[name] = error

        try:
            for name in steps:
                advance(name, None)
            while asked:
                names, jobs = list(asked), [job for waiting in asked.values() for job in waiting]
                ends = np.cumsum([len(asked[name]) for name in names])
                try:
                    answers = answer_together(jobs, self._localizer.backend)
                except PunctumError as error:
                    again |= dict.fromkeys(names, error)
                    break
                for name, last in zip(names, ends, strict=True):
                    count = len(asked.pop(name))
                    turns[name].answered = True
                    advance(name, answers[last - count : last])
        finally:
            for running in steps.values():
                running.close()  # undoes what has not come to its end
        return self._alone(again, turns)

    def _alone(self, names: dict[str, PunctumError], turns: dict[str, _Turn]) -> dict[str, PunctumError]:
        """Serve streams one by one from where they stand, after a common run failed them."""
        failed = dict(names)
        for name in names:
            one = self._streams[name]
            for _ in range(TRIES):
                one.stats.engine_failures += 1
                try:
                    drive(self._steps(one, turns[name]), self._localizer.backend)
                except PunctumError as error:
                    failed[name] = error
                else:
                    turns[name].answered = True
                    del failed[name]
                    break
        return failed

    def _end(self, stream: str, reason: str) -> None:
        """Work off what a stream still has in its queue, flush it, and forget it."""
        one, turn = self._streams[stream], _Turn(0)
        for tries in range(TRIES, -1, -1):
            turn.room = one.waiting + len(one.queue) + 1
            try:
                drive(self._steps(one, turn), self._localizer.backend)
                turn.events += one.session.flush()
                break
            except PunctumError:
                one.stats.engine_failures += 1
                if not tries:
                    raise
            finally:
                self._count(one, turn, self._clock())
                self._ready += turn.events
                turn.events, turn.arrivals = [], []
        self._forget(stream, reason)

    def _give_up(self, stream: str, reason: str) -> list[Event]:
        """End a stream that the engine fails: what waits is lost and counted, open reports are retracted."""
        one = self._streams[stream]
        one.stats.dropped_snippets += one.waiting
        self._forget(stream, reason)
        return one.session.abandon()

    def _forget(self, stream: str, reason: str) -> None:
        one = self._streams.pop(stream)
        one.queue.clear()
        one.stats.ended = reason
        one.stats.lag_s, one.stats.queue_depth, one.stats.state_bytes = 0.0, 0, 0
        self._ended[stream] = one.stats

    def _relieve(self, one: _Stream, bound: int) -> None:
        """Bring a queue down to a bound."""
        if self.options.policy == "wait":
            while one.queue and one.waiting > bound:
                self._ready = self.step()  # which hands out what was ready before, too
            return
        while one.waiting > bound and one.queue:
            rows, begin, arrival = one.queue.popleft()
            lost = min(len(rows), one.waiting - bound)
            if lost < len(rows):
                begin += lost * self._localizer.plan.stride_s
                one.queue.appendleft((rows[lost:], begin, arrival))
            one.waiting -= lost
            one.stats.dropped_snippets += lost
