"""The loop of a live run: items of a source into a session, its events to all sinks, snapshots in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ..cli._terminal import say
from ..cli._video import losses
from ..errors import EngineError, InputError, PunctumError, SourceLostError
from ..events.event import Event
from ..events.time_of_day import Arrival, TimeOfDay, stamped
from ..live import LiveOptions
from ..localizer import Localizer
from ..session.session import Session
from ..sinks import Sink
from ..sinks.lines import EventFile
from ..sinks.mqtt import MqttSink
from ..sources.items import Bad, Begin, Chunk, Source
from ..text.display import counted
from .checkpoint import Checkpoint
from .metrics import Health, Metrics

OnBad = Literal["skip", "stop"]
MOST_WARNINGS = 10
UNSAVED_S = 60.0  # for which a run goes on while its snapshot cannot be written
PAUSES_S = (0.0, 0.2, 1.0)  # before the engine is asked again for what it failed to answer


@dataclass(slots=True)
class Filter:
    """Which events are written: some labels, and those that once had the score. Phases of one event stay together."""

    labels: frozenset[str] = frozenset()
    min_score: float = 0.0
    reported: set[str] = field(default_factory=set)

    def __call__(self, events: Sequence[Event]) -> list[Event]:
        kept = []
        for event in events:
            if self.labels and event.label not in self.labels:
                continue
            known = event.id in self.reported
            if not known and (event.score < self.min_score or event.phase == "retracted"):
                continue
            if event.phase in ("final", "retracted"):
                self.reported.discard(event.id)
            else:
                self.reported.add(event.id)
            kept.append(event)
        return kept


def _check_place(position: dict[str, Any] | None, session: Session) -> None:
    """Raises InputError where a session and a position of one snapshot cannot belong together."""
    taken, place = session.stats.snippets, position or {}
    row = place.get("row") if "file" not in place else None  # of a file of rows, from which nothing was taken twice
    wrong = position is None and taken > 0
    if row is not None:
        wrong = row < taken or (row > taken and not session.stats.gaps)
    if wrong:
        raise InputError(
            "snapshot-unreadable",
            f"a snapshot whose session has taken {taken} snippets, at position {position} of its source",
            "a file written by --snapshot",
            "remove it, and the events of that run, to begin anew",
        )


@dataclass(slots=True)
class Loop:
    """One live run. `run` returns when the source has ended or `stop` was set; all else is options.

    name: of the stream in events; empty: what the source says. run_id: part of every event id. time_of_day: of media
    time; None: not known. on_bad: what to do with a chunk that cannot be used;
    None: skip what came twice or too late, stop at the rest. snapshot_every_s: wall clock.
    """

    localizer: Localizer
    source: Source
    sinks: list[Sink]
    live: LiveOptions | None = None
    name: str = ""
    run_id: str = ""
    time_of_day: TimeOfDay | None = None
    on_bad: OnBad | None = None
    keep: Filter = field(default_factory=Filter)
    metrics: Metrics | None = None
    health: Health = field(default_factory=Health)
    event_file: EventFile | None = None
    snapshot: Path | None = None
    snapshot_every_s: float = 10.0
    stop: threading.Event = field(default_factory=threading.Event)
    rotate: threading.Event = field(default_factory=threading.Event)
    session: Session | None = None
    position: dict[str, Any] | None = None
    skipped: dict[str, int] = field(default_factory=dict)
    finals: int = 0
    retracted: int = 0
    engine_failures: int = 0
    _warnings: int = 0
    _saved: float = 0.0
    _unsaved: float | None = None  # since when the snapshot cannot be written
    _last: Checkpoint | None = None
    _clock: tuple[float, float] = (0.0, 0.0)  # wall and media time at the start of the stream
    _dropped: tuple[int, int] = (0, 0)
    _refused: dict[str, int] = field(default_factory=dict)
    _reconnects: int = 0

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on where a snapshot was made. Raises InputError when it belongs to another run."""
        if checkpoint.source != self._source_key():
            raise InputError(
                "snapshot-source",
                f"a snapshot of source {checkpoint.source[:120]}",
                self._source_key(),
                "give the same source, or remove the snapshot to begin anew",
            )
        session = self.localizer.restore(checkpoint.session)
        if session.live != self.live:
            raise InputError(
                "snapshot-options",
                f"a snapshot of a run with {session.live}",
                f"the same options, here {self.live}",
                "give the same --max-delay, or remove the snapshot to begin anew",
            )
        _check_place(checkpoint.position, session)
        if self.name and session.stream != self.name:
            raise InputError(
                "snapshot-options",
                f"a snapshot of stream {session.stream[:120]!r}",
                f"the same stream, here {self.name!r}",
                "give the same --name, or remove the snapshot to begin anew",
            )
        if session.run_id != self.run_id:
            raise InputError(
                "snapshot-options",
                f"a snapshot of run id {session.run_id!r}",
                f"the same run id, here {self.run_id!r}",
                "give the same --run-id, or remove the snapshot to begin anew",
            )
        self.session, self.position, self._last = session, checkpoint.position, checkpoint
        self.keep.reported = set(checkpoint.reported)
        self._clock = (time.monotonic(), session.now_s)

    def run(self) -> str:
        """Returns how it ended. Raises what made it end early; all that came before it is written by then."""
        how = "end of the source"
        fault: PunctumError | None = None
        try:
            for item in self.source.items(self.position):
                self._listen(item)
                self._take(item)
                self._tend()
                if self.stop.is_set():
                    how = "signal"
                    break
        except (InputError, EngineError) as error:
            fault = error
        if self.session is not None:
            if self.snapshot is not None:
                # Made before the flush: a restart takes the flushed events back and goes on as if nothing had ended.
                # Where it cannot be written the last one stands, and what follows it is still reported.
                try:
                    self._save()
                except PunctumError as error:
                    fault = fault or error
            try:
                self._emit(self._ask(self.session.flush))
            except EngineError as error:
                self._emit(self.session.abandon())
                fault = fault or error
        if fault is not None:
            raise fault
        return how

    def _listen(self, item: Begin | Chunk | Bad | None) -> None:
        """Keep the endpoints informed: alive, and whether the source sends."""
        self.health.beat()
        self.health.source(getattr(self.source, "trouble", ""))
        if item is not None:
            self.health.heard()
        if self.metrics is None:
            return
        if item is not None:
            self.metrics.heard()
        self.metrics.source_up(not self.health.silent)
        again = int(getattr(getattr(self.source, "frames", None), "reconnects", 0))  # of a video
        for _ in range(again - self._reconnects):
            self.metrics.reconnected("source")
        self._reconnects = again
        for reason, count in getattr(self.source, "refused", {}).items():
            self.metrics.refused(reason, count - self._refused.get(reason, 0))
            self._refused[reason] = count

    def _take(self, item: Begin | Chunk | Bad | None) -> None:
        if isinstance(item, Begin):
            self._begin(item)
        elif isinstance(item, Chunk):
            self._push(item)
            self.position = item.position
        elif isinstance(item, Bad):
            self._refuse(item.error, item.where, item.reason, must_stop=item.reason != "late")
            if item.reason != "late" and self.session is not None:
                self._gap(self.session.now_s + self.localizer.plan.stride_s, 1, item.reason)
            self.position = item.position

    def _ask(self, call: Callable[[], list[Event]]) -> list[Event]:
        """A call of the session, repeated where the engine fails: nothing has changed then, so the repeat is exact."""
        for pause in PAUSES_S:
            try:
                return call()
            except EngineError as error:
                self.engine_failures += 1
                say(f"warning: [{error.code}] {error.given}; tried again")
                self.stop.wait(pause)
        return call()

    def _begin(self, begin: Begin) -> None:
        if self.session is None:
            name = self.name or begin.stream or "stream"
            self.session = self.localizer.session(
                stream=name, start_s=begin.start_s, live=self.live, run_id=self.run_id
            )
            self._clock = (time.monotonic(), begin.start_s)
            if self.snapshot is not None:
                self._save()  # before the first event, so that a restart knows what was in the file
        elif not self.source.replayable:
            if isinstance(self.time_of_day, Arrival):
                self.time_of_day.restart()
            if self.metrics is not None:
                self.metrics.reconnected("source")
            if begin.start_s < self.session.now_s - 0.5 * self.localizer.plan.stride_s:
                raise SourceLostError(  # a new run would take it
                    "time-backwards",
                    f"the sender came back at {begin.start_s:.3f} s after features up to {self.session.now_s:.3f} s",
                    "media time that goes forward",
                    "let the sender go on with its clock, or start a new run for a new recording",
                )

    def _push(self, chunk: Chunk) -> None:
        session = self.session
        if session is None:
            raise PunctumError("source-order", "a chunk before the beginning of its stream")
        if isinstance(self.time_of_day, Arrival) and len(chunk.rows):
            at, stride = session.now_s if chunk.at is None else chunk.at, self.localizer.plan.stride_s
            self.time_of_day.arrived(at, at + len(chunk.rows) * stride, slack_s=0.5 * stride)
        before = copy(session.stats)
        session.degraded = getattr(self.source, "behind", False)
        try:
            events = self._ask(lambda: session.push(chunk.rows, at=chunk.at, lost=chunk.lost))
        except InputError as error:
            if error.code == "time-backwards":
                self._refuse(error, chunk.where, "duplicate", must_stop=False)
                if self.metrics is not None:
                    self.metrics.lost(session.stream, len(chunk.rows), "duplicate")
            else:
                self._refuse(error, chunk.where, "bad", must_stop=True)
                begin = session.now_s if chunk.at is None else max(chunk.at, session.now_s)
                self._gap(begin + len(chunk.rows) * self.localizer.plan.stride_s, len(chunk.rows), "bad")
            return
        if self.metrics is not None:
            self.metrics.stages(before, session.stats, read_s=chunk.read_s)
            self.metrics.lost(session.stream, session.stats.dropped - before.dropped, "gap")
            self.metrics.frames_lost(session.stream, chunk.dropped)
            wall, media = self._clock
            lag = (time.monotonic() - wall) - (session.now_s - media)
            self.metrics.taken(session.stream, len(chunk.rows), state_bytes=session.state_bytes, lag_s=lag)
        self._emit(events)

    def _gap(self, until_s: float, snippets: int, reason: str) -> None:
        """What was skipped is missing in the stream; say so instead of shifting what follows."""
        session = self.session
        if session is not None:
            self._emit(self._ask(lambda: session.gap(until_s)))
            if self.metrics is not None:
                self.metrics.lost(session.stream, snippets, reason)

    def _refuse(self, error: InputError, where: str, reason: str, *, must_stop: bool) -> None:
        """A chunk that cannot be used: raise, or count and warn."""
        given = error.given if where in error.given else f"{where}: {error.given}"
        policy = self.on_bad or ("stop" if must_stop else "skip")
        if policy == "stop":
            raise InputError(error.code, given, error.allowed, error.next_step, required=error.required)
        self.skipped[reason] = self.skipped.get(reason, 0) + 1
        self._warnings += 1
        if self._warnings <= MOST_WARNINGS:
            more = "; further ones are only counted" if self._warnings == MOST_WARNINGS else ""
            say(f"warning: skipped [{error.code}] {given}{more}")

    def _emit(self, events: Sequence[Event]) -> None:
        # Beside a gap the count comes as a NumPy integer, which JSON does not know.
        kept = stamped((replace(e, dropped=int(e.dropped)) for e in self.keep(events)), self.time_of_day)
        began = time.perf_counter()
        if not kept:
            return
        for sink in self.sinks:
            sink.write(kept)
        self.finals += sum(1 for e in kept if e.phase == "final")
        self.retracted += sum(1 for e in kept if e.phase == "retracted")
        if self.metrics is not None:
            limit = None
            if self.live is not None and self.live.max_delay_s is not None:
                limit = max(self.live.max_delay_s, self.localizer.plan.stride_s)
            self.metrics.emitted(kept, seconds=time.perf_counter() - began, limit_s=limit)

    def _tend(self) -> None:
        """What is due now and then, whether or not something came."""
        if self.event_file is not None:
            self._look_after(self.event_file)
        if self.snapshot is not None and time.monotonic() - self._saved >= self.snapshot_every_s:
            self._save_in_time()
        if self.metrics is not None:
            for sink in self.sinks:
                if isinstance(sink, MqttSink):
                    self.metrics.queue("mqtt", sink.depth)
                    provisional, final = sink.dropped
                    self.metrics.queue_dropped(
                        "mqtt", provisional=provisional - self._dropped[0], final=final - self._dropped[1]
                    )
                    self._dropped = (provisional, final)

    def _look_after(self, file: EventFile) -> None:
        """Go on in a new event file after SIGHUP, and notice one that was truncated. The snapshot follows at once, so
        that it is not of a file that has been rotated away."""
        file.look()
        moved = False
        if self.rotate.is_set():
            self.rotate.clear()
            try:
                moved = file.reopen()
            except PunctumError as error:  # the old file is still open, and nothing is lost
                say(f"warning: [{error.code}] {error}")
            else:
                say(f"events now go to {file.path}" if moved else f"{file.path} was not renamed: nothing to reopen")
        if self.snapshot is None or not (moved or file.truncated):
            return
        if moved and self._last is not None:
            self._last = self._last.after_rotation(file.inode)
            self._last.save(self.snapshot)
        self._save()
        file.truncated = False

    def _save_in_time(self) -> None:
        """`_save`, tried again where there is no room or no descriptor left for the moment. Until then the last
        snapshot stands, and a restart goes on from it. Raises PunctumError after UNSAVED_S."""
        try:
            self._save()
        except PunctumError as error:
            now = time.monotonic()
            if error.code != "write-failed" or self._last is None:
                raise
            if self._unsaved is not None and now - self._unsaved >= UNSAVED_S:
                raise
            if self._unsaved is None:
                self._unsaved = now
                say(
                    f"warning: [{error.code}] {error.given}; the last snapshot stands, trying again for {UNSAVED_S:g} s"
                )
            self._saved = now
        else:
            self._unsaved = None

    def _save(self) -> None:
        if self.session is None or self.snapshot is None or self.event_file is None:
            return
        if any(isinstance(sink, MqttSink) and sink.depth for sink in self.sinks):
            return  # what the broker has not got yet must be produced again if this process dies now
        self.event_file.sync()
        checkpoint = Checkpoint(
            self._source_key(),
            self.position,
            self.event_file.length,
            tuple(sorted(self.keep.reported)),
            self.session.snapshot(),
            self.event_file.inode,
            self.event_file.tail(),
        )
        checkpoint.save(self.snapshot)
        self._last, self._saved = checkpoint, time.monotonic()

    def _source_key(self) -> str:
        return f"{type(self.source).__name__} {Path(self.source.name).name}"

    def summary(self, how: str) -> str:
        """One line on what happened."""
        refused = ", ".join(f"{n} {reason}" for reason, n in sorted(getattr(self.source, "refused", {}).items()))
        how += f"; connections dropped: {refused}" if refused else ""
        if self.session is None:
            return f"no features came; ended by {how}"
        stats = self.session.stats
        skipped = ", ".join(f"{count} {reason}" for reason, count in sorted(self.skipped.items())) or "0"
        failed = f"{counted(self.engine_failures, 'failure')} of the engine; " if self.engine_failures else ""
        return (
            f"{self.session.stream}: {counted(stats.snippets, 'snippet')}, {stats.media_s:.1f} s of media, "
            f"{self.finals} final and {counted(self.retracted, 'retracted event')}, {counted(stats.gaps, 'gap')} "
            f"({counted(stats.dropped, 'snippet')}), chunks skipped: {skipped}; {failed}"
            f"real-time factor {stats.real_time_factor:.5f}; ended by {how}"
        )

    def loss(self) -> str:
        """What of the stream is missing from the events, in words; empty: nothing."""
        if self.session is None:
            return ""
        parts = [losses(self.session.stats, getattr(self.source, "stats", None))]
        skipped = ", ".join(f"{counted(n, 'chunk')} {reason}" for reason, n in sorted(self.skipped.items()))
        parts.append(f"skipped: {skipped}" if skipped else "")
        dropped = [sink.dropped for sink in self.sinks if isinstance(sink, MqttSink)]
        provisional, final = (sum(one[k] for one in dropped) for k in (0, 1))
        if provisional or final:
            parts.append(
                f"not sent by MQTT: {counted(provisional, 'provisional event')}, {counted(final, 'final event')}"
            )
        return "; ".join(part for part in parts if part)
