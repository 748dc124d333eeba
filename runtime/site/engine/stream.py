"""One stream of an engine: records go in, reports come out, and the same records give the same reports again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import InputError
from ...events.event import Event
from ...events.time_of_day import Arrival, stamped
from ...service.event_filter import EventFilter
from ..gap_reasons import NO_REASON
from ..gap_times import gap_times
from .journal import Record
from .pools import Pools
from .snapshot import Cursor, StreamSnapshot

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counts:
    """Counters of a stream since the process began."""

    snippets: int = 0
    dropped: int = 0
    gaps: int = 0
    events: int = 0
    duplicates: int = 0
    bad: int = 0


class Stream:
    """The state machine of one camera. What `apply` does depends on the records alone, never on the time of day.

    Args:
        camera: Name of the camera.
        stream: Name of the stream in events.
        cursor: How far it has come.
        pools: Where its sessions are.
        event_filter: Which events are reported.
        report: Called with the reports of the stream.
        declare: Called with the fields of a gap.
    """

    def __init__(
        self,
        camera: str,
        stream: str,
        cursor: Cursor,
        pools: Pools,
        event_filter: EventFilter,
        report: Callable[[Sequence[Event]], None],
        declare: Callable[[dict[str, Any]], None],
    ) -> None:
        self.camera, self.stream, self.cursor = camera, stream, cursor
        self.counts = Counts()
        self._pools, self._filter, self._report, self._declare = pools, event_filter, report, declare
        self._now = (0.0, 0.0)  # Unix time and steady time of the arrival that is being processed
        self._arrival: Arrival | None = None

    @property
    def busy(self) -> bool:
        """Whether a chunk waits for the engine."""
        return self._pools.waiting(self.camera)

    @property
    def stride_s(self) -> float:
        return self._pools.localizer.plan.stride_s

    def restore(self, snapshot: StreamSnapshot) -> None:
        """Continue from a snapshot. Raises InputError."""
        if snapshot.session:
            session = self._pools.restore(self.camera, snapshot.session)
            if session.stream != self.stream or session.run_id != self.cursor.present_run:
                self._pools.abandon(self.camera, "restored")
                raise InputError("snapshot-damaged", "The parts of a snapshot do not belong together")
        self._filter.reported = dict(snapshot.reported)
        if snapshot.arrival is not None:
            self._time_of_day().restore(snapshot.arrival)

    def snapshot(self, bundle_id: str, generation: int) -> StreamSnapshot | None:
        """The present state; None while a chunk waits for the engine."""
        session = self._pools.snapshot(self.camera)
        if session is None:
            return None
        return StreamSnapshot(
            self.camera,
            self.stream,
            bundle_id,
            generation,
            self.cursor.model_copy(deep=True),
            dict(self._filter.reported),
            None if self._arrival is None else self._arrival.state(),
            session,
        )

    def fits(self, record: Record) -> Record | None:
        """The part of a record that is new: without snippets that the stream has already. None: nothing is.

        A source that is read again from an earlier position repeats some; a message may arrive twice.
        """
        if record.rows is None or record.header["type"] != "chunk":
            return record
        now_s, at = self.cursor.now_s, record.header["at"]
        if now_s is None or at is None or at >= now_s - 0.5 * self.stride_s:
            return record
        count = len(record.rows)
        first = round((now_s - at) / self.stride_s)
        if first >= count or record.header["position"] is None:
            self.counts.duplicates += 1
            return None
        lost = [[row - first, frames] for row, frames in record.header["lost"] if row >= first]
        return Record({**record.header, "at": now_s, "lost": lost}, record.rows[first:])

    def apply(self, record: Record) -> None:
        """Do what a record says. A chunk then waits for the engine. Raises PunctumError where the engine fails."""
        kind = record.header["type"]
        if kind == "chunk":
            self._chunk(record)
        elif kind == "begin":
            self._begin(record.header)
        elif kind == "gap":
            self._gap(record.header["until_s"], record.header["reason"])
        elif kind in ("end", "renew"):
            self.emit(self._pools.end(self.camera))
        elif kind == "failed":
            self.emit(self._pools.abandon(self.camera, record.header["reason"]))
        advance(self.cursor, record, self.stride_s)

    def _begin(self, header: dict[str, Any]) -> None:
        if self._arrival is not None:
            self._arrival.restart()
        if began_anew(self.cursor, header, self.stride_s):
            _log.warning(
                "%s: the source began again at %.3f s after %.3f s; its stream has ended, and a new one begins",
                self.camera,
                header["start_s"],
                self.cursor.now_s,
            )
            self.emit(self._pools.end(self.camera))

    def _chunk(self, record: Record) -> None:
        header, rows = record.header, record.rows
        if rows is None:
            return
        now_s = self.cursor.now_s
        at = header["at"] if header["at"] is not None else now_s or 0.0
        jump = now_s is not None and at > now_s + 0.5 * self.stride_s
        before = self._offset(now_s) if jump else None
        if header["arrival_unix"] is not None and len(rows):
            unix = header["arrival_unix"]
            self._now = (unix, unix if header["arrival_steady"] is None else header["arrival_steady"])
            end = at + len(rows) * self.stride_s
            self._time_of_day().arrived(at, end, slack_s=0.5 * self.stride_s)
        if jump and now_s is not None:
            self._missing(now_s, at, before, self.cursor.cause or header.get("reason") or NO_REASON)
        if not self._pools.is_open(self.camera):
            self._open(at if now_s is None else now_s)
        session = self._pools.session(self.camera)
        if session is not None:
            session.degraded = bool(header.get("degraded"))
        self._pools.put(self.camera, rows, at, [(row, frames) for row, frames in header["lost"]])
        self.counts.snippets += len(rows)

    def _gap(self, until_s: float, reason: str) -> None:
        now_s = self.cursor.now_s
        if now_s is None or until_s <= now_s + 0.5 * self.stride_s:
            return
        self._missing(now_s, until_s, self._offset(now_s), reason)
        if self._pools.is_open(self.camera):
            rows = np.zeros((0, self._pools.localizer.plan.dim), np.float32)
            self._pools.put(self.camera, rows, until_s, [])

    def _open(self, start_s: float) -> None:
        self._pools.open(
            self.camera,
            max_delay_s=self.cursor.max_delay_s,
            stream=self.stream,
            start_s=start_s,
            run_id=self.cursor.present_run,
        )

    def _time_of_day(self) -> Arrival:
        if self._arrival is None:
            self._arrival = Arrival(wall=lambda: self._now[0], steady=lambda: self._now[1])
        return self._arrival

    def unix_of(self, media_s: float) -> float | None:
        """Unix time of a media time in seconds; None: not known."""
        offset = self._offset(media_s)
        return None if offset is None else media_s + offset

    def _offset(self, media_s: float | None) -> float | None:
        """Unix time minus media time; None: not known."""
        return None if self._arrival is None or media_s is None else self._arrival.peek(media_s)

    def _missing(self, start_s: float, end_s: float, before: float | None, reason: str) -> None:
        start_unix, end_unix = gap_times(start_s, end_s, before, self._offset(end_s))
        snippets = round((end_s - start_s) / self.stride_s)
        self.counts.gaps += 1
        self.counts.dropped += snippets
        self._declare(
            {
                "start_s": start_s,
                "end_s": end_s,
                "start_unix": start_unix,
                "end_unix": end_unix,
                "snippets": snippets,
                "reason": reason,
            }
        )

    def emit(self, events: Sequence[Event]) -> None:
        """Report events of the session that pass the filter."""
        # Next to a gap the count is a NumPy integer, which JSON does not know.
        passed = stamped((replace(e, dropped=int(e.dropped)) for e in self._filter(events)), self._arrival)
        if passed:
            self.counts.events += sum(1 for event in passed if event.phase == "final")
            self._report(passed)


def began_anew(cursor: Cursor, header: dict[str, Any], stride_s: float) -> bool:
    """Whether a record "begin" is of a source whose media time went back, so that another run begins."""
    now_s = cursor.now_s
    return now_s is not None and not header["replayable"] and header["start_s"] < now_s - 0.5 * stride_s


def advance(cursor: Cursor, record: Record, stride_s: float) -> None:
    """Move a cursor past a record."""
    header = record.header
    kind = header["type"]
    if kind in ("begin", "chunk"):
        cursor.cause = (header.get("reason") or "") if kind == "begin" else ""
    if kind == "begin":
        if began_anew(cursor, header, stride_s):
            cursor.runs, cursor.now_s = cursor.runs + 1, header["start_s"]
        elif cursor.now_s is None:
            cursor.now_s = header["start_s"]
    elif kind == "chunk" and record.rows is not None:
        now_s = cursor.now_s
        at = header["at"] if header["at"] is not None else now_s or 0.0
        at = at if now_s is None else max(at, now_s)
        cursor.now_s = at + len(record.rows) * stride_s
        cursor.position = header["position"] if header["position"] is not None else cursor.position
    elif kind == "gap":
        if cursor.now_s is not None and header["until_s"] > cursor.now_s + 0.5 * stride_s:
            cursor.now_s = header["until_s"]
    elif kind in ("end", "renew", "failed"):
        cursor.runs += 1
        cursor.max_delay_s = header.get("max_delay_s", cursor.max_delay_s)
