"""Many live streams on one engine, with common runs, fair turns and bounded queues.

`put` adds features to the queue of their stream. `step` serves each stream a turn from its queue, runs the jobs of all
streams together, and returns the events.

If features arrive faster than they are processed, a queue reaches its bound and the policy decides (backpressure).
Everything that is lost is counted:

    wait         put() processes the queue before it returns: the source slows down, nothing is lost
    drop_oldest  the oldest snippets in the queue are dropped: a gap, which the events next to it report
    degrade      sessions score with reduced effort while they lag; beyond the bound the oldest snippets are dropped

If a common run of the engine fails, every stream in it is served again by itself, from where it was. A stream that the
engine still fails is ended, which its counters show; the others continue. Only if the engine answers no stream at all
does `step` raise; nothing has changed then, and the call can be repeated.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, PunctumError
from ..events.event import Event
from ..text.display import counted
from .dispatch import drive, run_jobs
from .engine import Backend
from .jobs import Steps
from .lockstep import run_lockstep
from .plan import Plan
from .pool_options import Policy, PoolOptions, StreamStats
from .session import Session

__all__ = ["Policy", "Pool", "PoolOptions", "StreamStats"]

F32 = npt.NDArray[np.float32]
MOST_TRIES = 2  # attempts to serve a stream by itself after a common run failed
MOST_FAILURES = 3  # consecutive steps in which the engine fails a stream before the stream is ended


@dataclass(slots=True, eq=False)
class _Stream:
    """An open stream.

    Attributes:
        queue: (rows, media time of the first, time of arrival) of each chunk.
        waiting: Snippets in the queue.
        caught_up: The last turn emptied the queue.
        next_s: Media time at which the last chunk in the queue ends.
        failures: Consecutive steps in which the engine failed the stream.
        unfinished: After a failed turn, the number of snippets that it may still process.
    """

    session: Session
    stats: StreamStats = field(default_factory=StreamStats)
    queue: deque[tuple[F32, float, float]] = field(default_factory=deque)
    waiting: int = 0
    caught_up: bool = True
    next_s: float | None = None
    failures: int = 0
    unfinished: int | None = None


@dataclass(slots=True, eq=False)
class _Turn:
    """One stream in one step.

    Attributes:
        room: Snippets that it may still process.
        events: Events so far.
        arrivals: Times of arrival of the chunks processed.
        done: The turn came to its end.
        answered: The engine has computed at least one result.
        repeated: Continues a turn that failed, or has begun; whether it is degraded is decided only once.
    """

    room: int
    events: list[Event] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    done: bool = False
    answered: bool = False
    repeated: bool = False


class Pool:
    """Streams that share one engine. All methods may be called from several threads; `step` does the work."""

    def __init__(
        self,
        plan: Plan,
        backend: Backend,
        options: PoolOptions | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """An empty pool. `Localizer.pool` makes one from a bundle.

        Args:
            plan: The configuration of every session.
            backend: The engine.
            options: Limits and policy.
            clock: Seconds, for lag and deadlines.
        """
        self.options = options or PoolOptions()
        self._plan, self._backend, self._clock = plan, backend, clock
        self._lock = threading.RLock()
        self._streams: dict[str, _Stream] = {}
        self._ended: dict[str, StreamStats] = {}
        self._ready: list[Event] = []
        self._opened: dict[str, int] = {}  # how often each name was opened, if ids have a run id
        self._bound = max(round(self.options.max_queue_s / plan.stride_s), 1)
        self._turn = max(round(self.options.turn_s / plan.stride_s), 1)

    def open(self, stream: str, *, start_s: float = 0.0, restored: Session | None = None) -> None:
        """Begin a stream, or continue with a restored session.

        Raises:
            InputError: The name is in use, or there are `max_streams` already.
        """
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
            session = restored or Session(
                self._plan,
                self._backend,
                stream=stream,
                start_s=start_s,
                live=self.options.live,
                run_id=self._next_run_id(stream),
            )
            self._streams[stream] = _Stream(session)
            if restored is not None:
                self._count_run_ids(stream, restored)
            self._ended.pop(stream, None)

    def put(self, stream: str, features: Any, *, at: float | None = None) -> bool:
        """Queue the next features of a stream. A new name is opened; a stream that ended must be opened again.

        Args:
            stream: Name of the stream.
            features: [n, D] or `Features`.
            at: Media time of the first snippet in seconds; by default the end of the previous one.

        Returns:
            False if the features are unusable (wrong dimension, NaN), which ends this stream; see
            `stats()[stream].ended`.

        Raises:
            InputError: "time-backwards" for a chunk before the end of the previous one (the stream stays open);
                "stream-ended".
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
            one, stride_s = self._streams[stream], self._plan.stride_s
            if at is not None and one.next_s is not None and at < one.next_s - 0.5 * stride_s:
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
                    self._finish(stream, error.code)
                except PunctumError:  # the engine failed as well
                    self._ready += self._abandon(stream, error.code)
                return False
            if one.waiting and one.waiting + len(rows) > self._bound and self.options.policy == "wait":
                self._shorten(one, self._bound - len(rows))  # before the chunk is taken, because this may raise
                if stream not in self._streams:
                    return False
            begin = at if at is not None else one.next_s
            begin = one.session.now_s if begin is None else begin
            one.queue.append((np.array(rows), begin, self._clock()))
            one.waiting += len(rows)
            one.next_s = begin + len(rows) * stride_s
            if one.waiting > self._bound:
                with contextlib.suppress(PunctumError):  # the chunk is taken; a later step serves it
                    self._shorten(one, self._bound)
            return stream in self._streams

    def step(self) -> list[Event]:
        """Serve every stream a turn, all together, and return the events.

        Raises:
            PunctumError: The engine answered no stream. Nothing is lost; call it again.
        """
        with self._lock:
            turns = {name: self._next_turn(one) for name, one in self._streams.items() if one.queue}
            try:
                failed = self._serve(turns)
            finally:
                self._ready += [event for turn in turns.values() for event in turn.events]
            any_served = any(turn.done and turn.answered for turn in turns.values())
            now = self._clock()
            for name, turn in turns.items():
                one = self._streams[name]
                one.failures = one.failures + 1 if name in failed else 0
                one.unfinished = turn.room if name in failed else None
                self._count(one, turn, now)
                if name in failed and (any_served or one.failures >= MOST_FAILURES):
                    self._ready += self._abandon(name, failed[name].code)
            still_open = [error for name, error in failed.items() if name in self._streams]
            if still_open:
                raise still_open[0]
            return self._take_ready()

    def drain(self) -> list[Event]:
        """Step until every queue is empty. Raises as `step` does; the next call returns the events so far."""
        with self._lock:
            while any(one.queue for one in self._streams.values()):
                self._ready = self.step()
            return self.step()

    def end(self, stream: str, *, reason: str = "end of stream") -> list[Event]:
        """Process the queue of a stream, flush its session, and forget it.

        Raises:
            InputError: There is no such stream.
            PunctumError: As `step`, or the flush failed. The stream is then still open.
        """
        with self._lock:
            if stream not in self._streams:
                raise InputError("stream-unknown", f"stream {stream!r}", ", ".join(self._streams) or "none", "open it")
            while stream in self._streams and self._streams[stream].queue:
                self._ready = self.step()
            if stream in self._streams:
                self._finish(stream, reason)
            return self._take_ready()

    def close(self) -> list[Event]:
        """End all streams. `stats` shows which of them the engine could not finish."""
        with self._lock:
            while any(one.queue for one in self._streams.values()):
                with contextlib.suppress(PunctumError):  # after a few steps the streams concerned are ended
                    self._ready = self.step()
            for stream in list(self._streams):
                try:
                    self._finish(stream, "end of stream")
                except PunctumError as error:
                    self._ready += self._abandon(stream, error.code)
            return self._take_ready()

    def stats(self) -> dict[str, StreamStats]:
        """Counters by stream, including streams that have ended."""
        with self._lock:
            now = self._clock()
            for one in self._streams.values():
                one.stats.lag_s = now - one.queue[0][2] if one.queue else 0.0
                one.stats.queue_depth = one.waiting
                one.stats.state_bytes = one.session.state_bytes + sum(rows.nbytes for rows, _, _ in one.queue)
            return {**self._ended, **{name: one.stats for name, one in self._streams.items()}}

    def _take_ready(self) -> list[Event]:
        events, self._ready = self._ready, []
        return events

    def _next_run_id(self, stream: str) -> str:
        if not self.options.run_id:
            return ""
        count = self._opened.get(stream, 0)
        self._opened[stream] = count + 1
        return f"{self.options.run_id}.{count}" if count else self.options.run_id

    def _count_run_ids(self, stream: str, restored: Session) -> None:
        """Count the run ids that a restored session has used, so that no later session of the name repeats one."""
        run, _, count = restored.run_id.rpartition(".")
        used = 1 + restored.resets if restored.run_id == self.options.run_id else 0
        if run == self.options.run_id and count.isdecimal():
            used = int(count) + 1
        self._opened[stream] = max(self._opened.get(stream, 0), used)

    def _next_turn(self, one: _Stream) -> _Turn:
        """A new turn; after a failed one its remainder."""
        return _Turn(self._turn) if one.unfinished is None else _Turn(one.unfinished, repeated=True)

    def _steps(self, one: _Stream, turn: _Turn) -> Steps[None]:
        """The steps of one turn. A chunk leaves the queue, and its events count, once the session has taken it."""
        if self.options.policy == "degrade" and not turn.repeated:
            # From half the bound on, and until a turn empties the queue, so that the mode does not alternate.
            one.session.degraded = one.waiting > self._bound / 2 or (one.session.degraded and not one.caught_up)
            one.stats.degraded_turns += one.session.degraded
        turn.repeated = True
        while one.queue and turn.room > 0:
            rows, begin, arrival = one.queue[0]
            part = rows[: turn.room]
            turn.events += yield from one.session.push_steps(part, begin)
            if len(part) < len(rows):
                one.queue[0] = (rows[len(part) :], begin + len(part) * self._plan.stride_s, arrival)
            else:
                one.queue.popleft()
                turn.arrivals.append(arrival)
            turn.room -= max(len(part), 1)
            one.waiting -= len(part)
            one.stats.snippets += len(part)
        one.caught_up = not one.queue
        turn.done = True

    def _serve(self, turns: dict[str, _Turn]) -> dict[str, PunctumError]:
        """Run all turns together, and those that fail again one by one. Returns the streams that still fail."""
        steps = {name: self._steps(self._streams[name], turn) for name, turn in turns.items()}
        outcome = run_lockstep(steps, partial(run_jobs, backend=self._backend))
        for name in outcome.answered:
            turns[name].answered = True
        failed = dict(outcome.errors)
        for name in outcome.errors:
            one = self._streams[name]
            for _ in range(MOST_TRIES):
                one.stats.engine_failures += 1
                try:
                    drive(self._steps(one, turns[name]), self._backend)
                except PunctumError as error:
                    failed[name] = error
                else:
                    turns[name].answered = True
                    del failed[name]
                    break
        return failed

    def _count(self, one: _Stream, turn: _Turn, now: float) -> None:
        lags = [now - arrival for arrival in turn.arrivals]
        one.stats.max_lag_s = max([one.stats.max_lag_s, *lags])
        one.stats.events += sum(1 for e in turn.events if e.phase == "final")
        if self.options.deadline_s is not None:
            one.stats.deadline_missed += sum(1 for lag in lags if lag > self.options.deadline_s)

    def _finish(self, stream: str, reason: str) -> None:
        """Process what a stream has in its queue, flush it, and forget it."""
        one, turn = self._streams[stream], _Turn(0)
        for tries in range(MOST_TRIES, -1, -1):
            turn.room = one.waiting + len(one.queue) + 1
            try:
                drive(self._steps(one, turn), self._backend)
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

    def _abandon(self, stream: str, reason: str) -> list[Event]:
        """End a stream that the engine fails: its queue is dropped and counted, open reports are retracted."""
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

    def _shorten(self, one: _Stream, bound: int) -> None:
        """Reduce a queue to `bound` snippets."""
        if self.options.policy == "wait":
            while one.queue and one.waiting > bound:
                self._ready = self.step()  # returns what was ready before, too
            return
        while one.waiting > bound and one.queue:
            rows, begin, arrival = one.queue.popleft()
            dropped = min(len(rows), one.waiting - bound)
            if dropped < len(rows):
                one.queue.appendleft((rows[dropped:], begin + dropped * self._plan.stride_s, arrival))
            one.waiting -= dropped
            one.stats.dropped_snippets += dropped
