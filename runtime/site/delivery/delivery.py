"""The thread of one sink: takes what waits in the outbox, in order, and tries again until the sink has it."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...errors import PunctumError
from ...text.display import counted, shown
from ..store.database import StoreError
from ..store.rows import Report
from ..store.store import Store
from .sink import Batch, CameraInfo, Outcome, Sink

_log = logging.getLogger(__name__)

FIRST_S, MOST_S = 0.5, 60.0  # seconds between attempts
IDLE_S = 1.0  # seconds between looks at the outbox without news


@dataclass(frozen=True, slots=True)
class DeliveryStats:
    """The state of a sink.

    Attributes:
        name: Name of the sink.
        kind: Its type.
        state: "running", "failing" (it is tried again) or "stopped".
        delivered: Reports that the sink has received, since the start.
        retried: Failed attempts, since the start.
        refused: Reports that it will never take, since the start; they are kept as dead letters.
        waiting: Reports in its outbox.
        oldest_s: Seconds that the oldest of them waits.
        lost_provisional: Provisional reports removed from a full outbox, ever.
        lost_final: Final reports removed from a full outbox, ever.
        last_error: Why the last attempt failed; empty after a success.
    """

    name: str
    kind: str
    state: str
    delivered: int
    retried: int
    refused: int
    waiting: int
    oldest_s: float
    lost_provisional: int
    lost_final: int
    last_error: str


class Delivery:
    """Delivers the reports of one sink from a thread of its own. Nothing that the sink does raises here.

    Args:
        store: Where the outbox is.
        sink: The output. It belongs to this object from now on.
        clock: Seconds, for pauses between attempts.
    """

    def __init__(self, store: Store, sink: Sink, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.sink = sink
        self._store, self._clock = store, clock
        self._wake, self._stop = threading.Event(), threading.Event()
        self._drain_until = 0.0
        self._lock = threading.Lock()
        self._cameras: Mapping[str, CameraInfo] | None = None
        self._reopen = False
        self._described = True
        self._done: list[int] = []  # delivered rows that could not be recorded yet
        self._rest_until, self._failures, self._next_batch = 0.0, 0, 0.0
        self._blocked: dict[str, tuple[float, int]] = {}  # camera -> (until, number of failures)
        self._delivered = self._retried = self._refused = 0
        self._last_error = ""
        self._thread = threading.Thread(target=self._run, name=f"punctum-sink-{sink.name}", daemon=True)
        self._remove = store.on_add(self._wake.set)

    def start(self) -> Delivery:
        """Begin."""
        self._thread.start()
        return self

    def describe(self, cameras: Mapping[str, CameraInfo]) -> None:
        """Tell the sink about the cameras of the site. Returns at once."""
        with self._lock:
            self._cameras, self._described = dict(cameras), False
        self._wake.set()

    def reopen(self) -> None:
        """Continue in a new file after a rotation. Returns at once."""
        with self._lock:
            self._reopen = True
        self._wake.set()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Deliver what can be delivered within the time, and end. What remains is delivered after the next start."""
        self._remove()
        self._drain_until = self._clock() + timeout_s
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
            self.sink.interrupt()
            self._thread.join(5.0)

    def stats(self, now_unix: float | None = None) -> DeliveryStats:
        """Counts and state. Raises StoreError."""
        waiting, oldest = self._store.waiting(self.sink.name)
        provisional, final = self._store.lost(self.sink.name)
        now = time.time() if now_unix is None else now_unix
        state = "stopped" if not self._thread.is_alive() else "failing" if self._last_error else "running"
        return DeliveryStats(
            self.sink.name,
            self.sink.kind,
            state,
            self._delivered,
            self._retried,
            self._refused,
            waiting,
            0.0 if oldest is None else max(now - oldest, 0.0),
            provisional,
            final,
            self._last_error,
        )

    def _run(self) -> None:
        try:
            while not self._finished():
                self._wake.clear()
                if not self._turn():
                    self._wake.wait(self._pause())
        finally:
            try:
                self.sink.close()
            except PunctumError as error:
                _log.warning("sink %s: %s", self.sink.name, error)

    def _finished(self) -> bool:
        if not self._stop.is_set():
            return False
        if self._clock() >= self._drain_until or self._failures or self._last_error:
            return True
        try:
            return self._store.waiting(self.sink.name)[0] == 0
        except StoreError:
            return True

    def _pause(self) -> float:
        if self._stop.is_set():
            return 0.05
        waits = [until - self._clock() for until, _ in self._blocked.values()]
        rest = self._rest_until - self._clock()
        waits.append(rest if rest > 0 else IDLE_S)
        return max(min(IDLE_S, *waits), 0.01)

    def _turn(self) -> bool:
        """Deliver one batch. Returns whether there may be more to do at once."""
        if self._clock() < self._rest_until:
            return False
        try:
            return self._step()
        except PunctumError as error:
            self._failed(Outcome(error=str(error)))
        except Exception as error:  # noqa: BLE001 - a library's error must not end the thread: it is a failed attempt
            _log.exception("sink %s", self.sink.name)
            self._failed(Outcome(error=f"{type(error).__name__}: {error}"))
        return False

    def _step(self) -> bool:
        self._prepare()
        self._record([])
        now = self._clock()
        resting = [camera for camera, (until, _) in self._blocked.items() if until > now]
        pending = self._store.pending(self.sink.name, self.sink.most, without=resting)
        if not pending:
            self.sink.tick()
            if not resting:
                self._blocked.clear()
                self._succeeded()
            return False
        if self.sink.pace_s and len(pending) < self.sink.most and now < self._next_batch and not self._stop.is_set():
            return False
        self._next_batch = now + self.sink.pace_s
        wanted: Batch = [(row, report) for row, report in pending if self.sink.wants(report.event)]
        skipped = [row for row, report in pending if not self.sink.wants(report.event)]
        outcome = self.sink.deliver(wanted) if wanted else Outcome()
        self._delivered += len(outcome.delivered)
        reports = dict(wanted)
        for row, why in outcome.refused:
            self._refuse(row, reports[row], why)
        self._record(outcome.delivered + skipped)
        self._settle(outcome, {reports[row].camera for row in outcome.delivered})
        return not outcome.error or bool(outcome.blocked)

    def _prepare(self) -> None:
        with self._lock:
            reopen, self._reopen = self._reopen, False
            cameras = None if self._described else self._cameras
        if reopen:
            try:
                self.sink.reopen()
            except BaseException:
                with self._lock:
                    self._reopen = True  # with every attempt, until it works: the file before was rotated away
                raise
        if cameras is not None:
            state = self._store.sink_state(self.sink.name)
            before = state.get("cameras", [])
            self.sink.describe(cameras, [name for name in before if name not in cameras])
            if sorted(cameras) != before:
                self._store.set_sink_state(self.sink.name, {**state, "cameras": sorted(cameras)})
            with self._lock:
                self._described = self._cameras is cameras

    def _record(self, rows: list[int]) -> None:
        """Remove delivered rows from the outbox. Raises StoreError; they are not delivered again in this process."""
        self._done += rows
        self._store.delivered(self.sink.name, self._done)
        self._done = []

    def _refuse(self, row: int, report: Report, why: str) -> None:
        self._store.refuse(self.sink.name, row, report, why, time.time())
        self._refused += 1
        _log.warning("sink %s refused %s/%d: %s", self.sink.name, report.event.id, report.event.revision, shown(why))

    def _settle(self, outcome: Outcome, succeeded: set[str]) -> None:
        """Decide when to try again. After progress, an error counts as the first one: the output works at times."""
        for camera in succeeded:
            self._blocked.pop(camera, None)
        if outcome.delivered or outcome.refused:
            self._failures = 0
        now = self._clock()
        for camera, retry_s in outcome.blocked.items():
            failures = self._blocked.get(camera, (0.0, 0))[1] + 1
            self._blocked[camera] = (now + _wait(failures, retry_s), failures)
        if outcome.error and not outcome.blocked:
            self._failed(outcome)
        elif outcome.error:
            self._note(outcome.error)
            self._retried += 1
        elif not self._blocked:
            self._succeeded()

    def _failed(self, outcome: Outcome) -> None:
        self._failures += 1
        self._retried += 1
        self._rest_until = self._clock() + _wait(self._failures, outcome.retry_s)
        self._note(outcome.error)

    def _note(self, error: str) -> None:
        if not self._last_error:
            _log.warning("sink %s: %s; it is tried again, and reports wait on the disk", self.sink.name, error)
        self._last_error = shown(error, 500)

    def _succeeded(self) -> None:
        if self._last_error:
            _log.info("sink %s works again, after %s", self.sink.name, counted(self._retried, "failed attempt"))
        self._failures, self._last_error, self._rest_until = 0, "", 0.0


def _wait(failures: int, retry_s: float | None) -> float:
    """Seconds until the next attempt: doubled each time, with a random part so that sites do not come together."""
    if retry_s is not None:
        return min(max(retry_s, 0.0), 3600.0)
    return float(min(FIRST_S * 2 ** min(failures - 1, 20), MOST_S) * random.uniform(0.8, 1.2))
