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
from collections.abc import Callable, Sequence
from functools import partial

from ..arguments import check_number, check_text, check_type
from ..errors import InputError, PunctumError
from ..events.event import Event
from ..features.features import FeatureRows
from ..text.display import counted
from .chunk import check_lost, time_backwards
from .dispatch import drive, run_jobs
from .engine import Backend
from .lockstep import run_lockstep
from .plan import Plan
from .pool_options import Policy, PoolOptions, StreamStats
from .pool_stream import PoolStream, Turn
from .session import Session

__all__ = ["Policy", "Pool", "PoolOptions", "StreamStats"]

MOST_TRIES = 2  # attempts to serve a stream by itself after a common run failed
MOST_FAILURES = 3  # consecutive steps in which the engine fails a stream before the stream is ended


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
        check_type("options", options, PoolOptions, "PoolOptions", optional=True)
        self.options = options or PoolOptions()
        self._plan, self._backend, self._clock = plan, backend, clock
        self._lock = threading.RLock()
        self._streams: dict[str, PoolStream] = {}
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
        check_text("stream", stream)
        check_type("restored", restored, Session, "a session of Localizer.restore", optional=True)
        with self._lock:
            if stream in self._streams:
                raise InputError(
                    "stream-open", f"Stream {stream!r} is already open", "a new name", "end the stream first"
                )
            if len(self._streams) >= self.options.max_streams:
                raise InputError(
                    "too-many-streams",
                    f"{counted(len(self._streams), 'stream')} are open",
                    f"at most {self.options.max_streams} (`max_streams`)",
                    "end a stream, or increase `max_streams`",
                )
            session = restored or Session(
                self._plan,
                self._backend,
                stream=stream,
                start_s=start_s,
                live=self.options.live,
                run_id=self._next_run_id(stream),
            )
            self._streams[stream] = PoolStream(session, self._bound)
            if restored is not None:
                self._count_run_ids(stream, restored)
            self._ended.pop(stream, None)

    def put(
        self,
        stream: str,
        features: FeatureRows,
        *,
        at: float | None = None,
        lost: Sequence[tuple[int, int]] = (),
    ) -> bool:
        """Queue the next features of a stream. A new name is opened; a stream that ended must be opened again.

        Args:
            stream: Name of the stream.
            features: [n, D] or `Features`.
            at: Media time of the first snippet in seconds; by default the end of the previous one.
            lost: Missing video frames, as pairs (row of `features`, number of frames); see `Session.push`.

        Returns:
            False if the features are unusable (wrong dimension, NaN, frames lost in no row), which ends this stream:
            see `stats()[stream].ended`.

        Raises:
            InputError: "time-backwards" for a chunk before the end of the previous one (the stream stays open);
                "stream-ended"; an argument has another type.
        """
        check_text("stream", stream)
        check_number("at", at, optional=True)
        with self._lock:
            if stream not in self._streams:
                if stream in self._ended:
                    raise InputError(
                        "stream-ended",
                        f"Stream {stream!r} has ended ({self._ended[stream].ended})",
                        "open streams, or new names",
                        "call open() to begin it again",
                    )
                self.open(stream, start_s=0.0 if at is None else at)
            one = self._streams[stream]
            if at is not None and one.next_s is not None and at < one.next_s - 0.5 * self._plan.stride_s:
                raise time_backwards(at, one.next_s, stream=stream)
            try:
                rows, at = one.session.check(features, None if at is None else max(at, one.session.now_s))
                lost = check_lost(lost, len(rows))
            except InputError as error:
                try:
                    self._finish(stream, error.code)
                except PunctumError:  # the engine failed as well
                    self._ready += self._abandon(stream, error.code)
                return False
            if one.waiting and one.waiting + len(rows) > self._bound and self.options.policy == "wait":
                self._wait_until(one, self._bound - len(rows))  # before the chunk is taken, because this may raise
                if stream not in self._streams:
                    return False
            one.put(rows, at, self._clock(), lost)
            if one.waiting > self._bound and self.options.policy == "wait":
                with contextlib.suppress(PunctumError):  # the chunk is taken; a later step serves it
                    self._wait_until(one, self._bound)
            elif one.waiting > self._bound:
                one.drop_oldest()
            return stream in self._streams

    def step(self) -> list[Event]:
        """Serve every stream a turn, all together, and return the events.

        Raises:
            PunctumError: The engine answered no stream. Nothing is lost; call it again.
        """
        with self._lock:
            turns = {name: one.next_turn(self._turn) for name, one in self._streams.items() if one.queue}
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
                one.count(turn, now, self.options.deadline_s)
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
            self._open_stream(stream)
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

    def waiting(self, stream: str) -> bool:
        """Whether chunks of an open stream wait for a step. False for one that is not open."""
        check_text("stream", stream)
        with self._lock:
            return stream in self._streams and bool(self._streams[stream].queue)

    def session(self, stream: str) -> Session | None:
        """The session of an open stream, to read its state; None if it is not open. Only `step` may change it."""
        check_text("stream", stream)
        with self._lock:
            one = self._streams.get(stream)
            return None if one is None else one.session

    def snapshot(self, stream: str) -> bytes | None:
        """`Session.snapshot` of an open stream, for `open` with a restored session in another process.

        Returns:
            None while chunks of the stream wait for a step: they would be missing from it.

        Raises:
            InputError: There is no such stream.
        """
        with self._lock:
            one = self._open_stream(stream)
            return None if one.queue else one.session.snapshot()

    def abandon(self, stream: str, *, reason: str) -> list[Event]:
        """End a stream without the engine: what waits is dropped and counted, open reports are retracted.

        Raises:
            InputError: There is no such stream.
        """
        with self._lock:
            self._open_stream(stream)
            return self._abandon(stream, reason)

    def stats(self) -> dict[str, StreamStats]:
        """Counters by stream, including streams that have ended."""
        with self._lock:
            now = self._clock()
            for one in self._streams.values():
                one.update_stats(now)
            return {**self._ended, **{name: one.stats for name, one in self._streams.items()}}

    def _open_stream(self, stream: str) -> PoolStream:
        check_text("stream", stream)
        if stream not in self._streams:
            raise InputError(
                "stream-unknown", f"There is no stream {stream!r}", ", ".join(self._streams) or "none", "open it"
            )
        return self._streams[stream]

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

    def _serve(self, turns: dict[str, Turn]) -> dict[str, PunctumError]:
        """Run all turns together, and those that fail again one by one. Returns the streams that still fail."""
        policy = self.options.policy
        steps = {name: self._streams[name].serve(turn, policy) for name, turn in turns.items()}
        outcome = run_lockstep(steps, partial(run_jobs, backend=self._backend), workers=self.options.workers)
        for name in outcome.answered:
            turns[name].answered = True
        failed = dict(outcome.errors)
        for name in outcome.errors:
            one = self._streams[name]
            for _ in range(MOST_TRIES):
                one.stats.engine_failures += 1
                try:
                    drive(one.serve(turns[name], policy), self._backend)
                except PunctumError as error:
                    failed[name] = error
                else:
                    turns[name].answered = True
                    del failed[name]
                    break
        return failed

    def _finish(self, stream: str, reason: str) -> None:
        """Process what a stream has in its queue, flush it, and forget it."""
        one, turn = self._streams[stream], Turn(0)
        for tries in range(MOST_TRIES, -1, -1):
            turn.room = one.waiting + len(one.queue) + 1
            try:
                drive(one.serve(turn, self.options.policy), self._backend)
                turn.events += one.session.flush()
                break
            except PunctumError:
                one.stats.engine_failures += 1
                if not tries:
                    raise
            finally:
                one.count(turn, self._clock(), self.options.deadline_s)
                self._ready += turn.events
                turn.events, turn.arrivals = [], []
        self._ended[stream] = self._streams.pop(stream).close(reason)

    def _abandon(self, stream: str, reason: str) -> list[Event]:
        """End a stream that the engine fails: its queue is dropped and counted, open reports are retracted."""
        one = self._streams[stream]
        one.stats.dropped_snippets += one.waiting
        self._ended[stream] = self._streams.pop(stream).close(reason)
        return one.session.abandon()

    def _wait_until(self, one: PoolStream, most: int) -> None:
        """Step until at most `most` snippets wait in a queue."""
        while one.queue and one.waiting > most:
            self._ready = self.step()  # returns what was ready before, too
