"""The loop of a live run: items of a source into a session, its events to all sinks, snapshots in between."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ..errors import EngineError, InputError, PunctumError, SourceLostError
from ..events.event import Event
from ..events.time_of_day import Arrival, TimeOfDay, stamped
from ..live import LiveOptions
from ..localizer import Localizer
from ..session.session import Session
from ..sinks import Sink
from ..sinks.lines import EventFile
from ..sinks.mqtt import MqttSink
from ..sources.items import Bad, Begin, Chunk, Position, Source
from ..text.display import counted
from .checkpoint import Checkpoint
from .event_filter import EventFilter
from .monitor import Monitor
from .snapshots import SnapshotWriter, check_options, check_source
from .summary import dropped_connections, losses, processed, real_time_factor, skipped_chunks, undelivered

OnBad = Literal["skip", "stop"]
MAX_WARNINGS = 10
PAUSES_S = (0.0, 0.2, 1.0)  # before a call of the engine that failed is repeated

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Loop:
    """One live run. `run` returns when the source has ended or `stop` was set.

    Args:
        localizer: The bundle on its engine.
        source: Yields features of the stream.
        sinks: Receive the events.
        live: Options of provisional events; None: final events only.
        name: Name of the stream in events; empty: the name that the source gives.
        run_id: Part of every event id.
        time_of_day: Time of day of media times; None: unknown.
        on_bad: What to do with a chunk that cannot be used; None: skip duplicates and late ones, stop at all others.
        event_filter: Which events are written.
        monitor: Metrics and health.
        event_file: The event file among the sinks, if there is one. Needed for snapshots.
        snapshot: Snapshot file; None: no snapshots.
        snapshot_every_s: Seconds of wall clock between snapshots.
        notify: Receives messages that are no warnings. Default: logged as information.
        stop: Set by a signal handler to end the run.
        rotate: Set by a signal handler to reopen the event file.
    """

    localizer: Localizer
    source: Source
    sinks: list[Sink]
    live: LiveOptions | None = None
    name: str = ""
    run_id: str = ""
    time_of_day: TimeOfDay | None = None
    on_bad: OnBad | None = None
    event_filter: EventFilter = field(default_factory=EventFilter)
    monitor: Monitor = field(default_factory=Monitor)
    event_file: EventFile | None = None
    snapshot: Path | None = None
    snapshot_every_s: float = 10.0
    notify: Callable[[str], None] = _log.info
    stop: threading.Event = field(default_factory=threading.Event)
    rotate: threading.Event = field(default_factory=threading.Event)
    session: Session | None = None
    position: Position | None = None
    skipped: dict[str, int] = field(default_factory=dict)
    finals: int = 0
    retracted: int = 0
    engine_failures: int = 0
    _warnings: int = 0
    _snapshots: SnapshotWriter = field(default_factory=SnapshotWriter)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue from a snapshot. Raises InputError when it belongs to another run."""
        check_source(checkpoint, self._source_key())
        session = self.localizer.restore(checkpoint.session)
        check_options(checkpoint, session, live=self.live, name=self.name, run_id=self.run_id)
        self.session, self.position, self._snapshots.last = session, checkpoint.position, checkpoint
        self.event_filter.reported = {id: checkpoint.hidden.get(id, 0) for id in checkpoint.reported}
        self.monitor.begin(session.now_s)

    def run(self) -> str:
        """Process the stream and return what ended it.

        Raises:
            PunctumError: What ended it early. All events before that have been written by then.
        """
        how = "end of the source"
        fault: PunctumError | None = None
        try:
            for item in self.source.items(self.position):
                self.monitor.iteration(self.source, received=item is not None)
                self._process(item)
                self._maintain()
                if self.stop.is_set():
                    how = "signal"
                    break
        except (InputError, EngineError) as error:
            fault = error
        if self.session is not None:
            if self.snapshot is not None:
                # Before the flush: a restart removes the flushed events and continues as if nothing had ended.
                # If it cannot be written, the previous one stays valid, and the flushed events are still reported.
                try:
                    self._save()
                except PunctumError as error:
                    fault = fault or error
            try:
                self._emit(self._retry(self.session.flush))
            except EngineError as error:
                self._emit(self.session.abandon())
                fault = fault or error
        if fault is not None:
            raise fault
        return how

    def _process(self, item: Begin | Chunk | Bad | None) -> None:
        if isinstance(item, Begin):
            self._begin(item)
        elif isinstance(item, Chunk):
            self._push(item)
            self.position = item.position
        elif isinstance(item, Bad):
            self._reject(item.error, item.where, item.reason, must_stop=item.reason != "late")
            if item.reason != "late" and self.session is not None:
                self._skip_until(self.session.now_s + self.localizer.plan.stride_s, 1, item.reason)
            self.position = item.position

    def _retry(self, call: Callable[[], list[Event]]) -> list[Event]:
        """A call of the session, repeated while the engine fails: a failed call changes nothing, so this is exact."""
        for pause in PAUSES_S:
            try:
                return call()
            except EngineError as error:
                self.engine_failures += 1
                _log.warning("[%s] %s; tried again", error.code, error.given)
                self.stop.wait(pause)
        return call()

    def _begin(self, begin: Begin) -> None:
        if self.session is None:
            name = self.name or begin.stream or "stream"
            self.session = self.localizer.session(
                stream=name, start_s=begin.start_s, live=self.live, run_id=self.run_id
            )
            self.monitor.begin(begin.start_s)
            if self.snapshot is not None:
                self._save()  # before the first event, so that a restart knows what was in the file
        elif not self.source.replayable:
            if isinstance(self.time_of_day, Arrival):
                self.time_of_day.restart()
            self.monitor.reconnected()
            if begin.start_s < self.session.now_s - 0.5 * self.localizer.plan.stride_s:
                raise SourceLostError(  # a new run would accept it
                    "time-backwards",
                    f"The sender came back at {begin.start_s:.3f} s after features up to {self.session.now_s:.3f} s",
                    "media time that increases",
                    "let the sender continue its clock, or start a new run for a new recording",
                )

    def _push(self, chunk: Chunk) -> None:
        session = self.session
        if session is None:
            raise PunctumError("source-order", "A chunk came before the beginning of its stream")
        stride_s = self.localizer.plan.stride_s
        if isinstance(self.time_of_day, Arrival) and len(chunk.rows):
            at = session.now_s if chunk.at is None else chunk.at
            self.time_of_day.arrived(at, at + len(chunk.rows) * stride_s, slack_s=0.5 * stride_s)
        before = self.monitor.before_push(session)
        session.degraded = getattr(self.source, "behind", False)
        try:
            events = self._retry(lambda: session.push(chunk.rows, at=chunk.at, lost=chunk.lost))
        except InputError as error:
            if error.code == "time-backwards":
                self._reject(error, chunk.where, "duplicate", must_stop=False)
                self.monitor.lost(session.stream, len(chunk.rows), "duplicate")
            else:
                self._reject(error, chunk.where, "bad", must_stop=True)
                begin = session.now_s if chunk.at is None else max(chunk.at, session.now_s)
                self._skip_until(begin + len(chunk.rows) * stride_s, len(chunk.rows), "bad")
            return
        self.monitor.pushed(session, chunk, before)
        self._emit(events)

    def _skip_until(self, until_s: float, snippets: int, reason: str) -> None:
        """Record rejected snippets as a gap, so that later ones keep their times."""
        session = self.session
        if session is not None:
            self._emit(self._retry(lambda: session.gap(until_s)))
            self.monitor.lost(session.stream, snippets, reason)

    def _reject(self, error: InputError, where: str, reason: str, *, must_stop: bool) -> None:
        """Handle a chunk that cannot be used: raise, or count and warn."""
        given = error.given if where in error.given else f"{where}: {error.given}"
        policy = self.on_bad or ("stop" if must_stop else "skip")
        if policy == "stop":
            raise InputError(error.code, given, error.allowed, error.next_step, required=error.required)
        self.skipped[reason] = self.skipped.get(reason, 0) + 1
        self._warnings += 1
        if self._warnings <= MAX_WARNINGS:
            more = "; further ones are only counted" if self._warnings == MAX_WARNINGS else ""
            _log.warning("skipped [%s] %s%s", error.code, given, more)

    def _emit(self, events: Sequence[Event]) -> None:
        # Next to a gap the count is a NumPy integer, which JSON does not know.
        passed = stamped((replace(e, dropped=int(e.dropped)) for e in self.event_filter(events)), self.time_of_day)
        began = time.perf_counter()
        if not passed:
            return
        for sink in self.sinks:
            sink.write(passed)
        self.finals += sum(1 for e in passed if e.phase == "final")
        self.retracted += sum(1 for e in passed if e.phase == "retracted")
        limit = None
        if self.live is not None and self.live.max_delay_s is not None:
            limit = max(self.live.max_delay_s, self.localizer.plan.stride_s)
        self.monitor.emitted(passed, seconds=time.perf_counter() - began, limit_s=limit)

    def _maintain(self) -> None:
        """Work that is due from time to time, whether or not an item came."""
        if self.event_file is not None:
            self._check_event_file(self.event_file)
        if self.snapshot is not None and self._snapshots.is_due(self.snapshot_every_s):
            try:
                self._save()
            except PunctumError as error:
                self._snapshots.tolerate(error)
        self.monitor.queues(self.sinks)

    def _check_event_file(self, file: EventFile) -> None:
        """Reopen the event file after SIGHUP, and notice that it was truncated. In both cases a snapshot is written at
        once, so that none refers to a file that has been rotated away."""
        file.detect_truncation()
        moved = False
        if self.rotate.is_set():
            self.rotate.clear()
            try:
                moved = file.reopen()
            except PunctumError as error:  # the old file is still open, and nothing is lost
                _log.warning("[%s] %s", error.code, error)
            else:
                self.notify(
                    f"events now go to {file.path}" if moved else f"{file.path} was not renamed: nothing to reopen"
                )
        if self.snapshot is None or not (moved or file.truncated):
            return
        if moved:
            self._snapshots.rotated(self.snapshot, file.inode)
        if self._save():
            file.truncated = False

    def _save(self) -> bool:
        """Write a snapshot. Returns False where that has to wait."""
        if self.session is None or self.snapshot is None or self.event_file is None:
            return False
        if any(isinstance(sink, MqttSink) and sink.depth for sink in self.sinks):
            return False  # events that the broker does not have yet must be produced again if this process dies now
        self.event_file.sync()
        checkpoint = Checkpoint(
            self._source_key(),
            self.position,
            self.event_file.length,
            tuple(sorted(self.event_filter.reported)),
            self.session.snapshot(),
            self.event_file.inode,
            self.event_file.tail(),
            hidden={id: count for id, count in self.event_filter.reported.items() if count},
        )
        self._snapshots.write(self.snapshot, checkpoint)
        return True

    def _source_key(self) -> str:
        return f"{type(self.source).__name__} {Path(self.source.name).name}"

    def summary(self, how: str) -> str:
        """One line about the whole run. how: what ended it."""
        how += dropped_connections(getattr(self.source, "refused", {}))
        if self.session is None:
            return f"no features came; ended by {how}"
        failed = f"{counted(self.engine_failures, 'failure')} of the engine; " if self.engine_failures else ""
        done = processed(self.session.stats, finals=self.finals, retracted=self.retracted, skipped=self.skipped)
        factor = f"real-time factor {real_time_factor(self.session.stats, getattr(self.source, 'stats', None)):.5f}"
        return f"{self.session.stream}: {done}; {failed}{factor}; ended by {how}"

    def loss(self) -> str:
        """Which parts of the stream are missing from the events, in words; an empty string if none are."""
        if self.session is None:
            return ""
        media = losses(self.session.stats, getattr(self.source, "stats", None))
        parts = (media, skipped_chunks(self.skipped), undelivered(self.sinks))
        return "; ".join(part for part in parts if part)
