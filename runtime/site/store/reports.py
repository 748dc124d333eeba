"""Reports: stored once, together with what each sink has to receive."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Sequence

from ...errors import InputError
from ...events.event import Event
from ...text.display import shown
from .database import Database
from .event_rows import known_revision, put_event
from .outbox import Bounds, enqueue, shrink
from .rows import CLOSED, Report, marks, report_of

_MOST_REVISION = 1 << 62


class Reports:
    """Part of `Store`."""

    _db: Database
    _bounds: Bounds
    _listeners: list[Callable[[], None]]
    keep_provisional: bool

    def add(
        self, camera: str, bundle: str, reports: Sequence[Event], sinks: Sequence[str], received_unix: float
    ) -> list[Report]:
        """Store reports and what the sinks have to receive, in one transaction.

        A report that is stored already, or that is older than the latest one of its action, is left out, and so are
        provisional ones while `keep_provisional` is False.

        Args:
            camera: Name of the camera.
            bundle: Name of the bundle in the configuration.
            reports: In the order in which they were made.
            sinks: Names of the sinks that receive them.
            received_unix: Now.

        Returns:
            The reports that are new, in order.

        Raises:
            InputError: A report has values that no event has.
            StoreError: Nothing was stored.
        """
        for event in reports:
            _check(event)
        new: list[Report] = []
        if not reports:
            return new
        with self._db.write() as db:
            for event in reports:
                if event.phase not in CLOSED and not self.keep_provisional:
                    continue
                added = _store(db, camera, bundle, event, received_unix)
                if added is not None:
                    report, text = added
                    new.append(report)
                    enqueue(db, sinks, report, len(text), final=event.phase in CLOSED)
            if new:
                shrink(db, sinks, self._bounds)
        if new:
            for listener in list(self._listeners):
                listener()
        return new

    def reports(self, after: int, limit: int, cameras: Sequence[str] | None = None) -> list[Report]:
        """Reports with an id larger than `after`, in order; cameras: of these only."""
        if cameras is not None and not cameras:
            return []
        chosen = "" if cameras is None else f"AND camera IN ({marks(cameras)})"
        with self._db.read() as db:
            rows = db.execute(
                f"SELECT id, camera, bundle, json, received FROM reports WHERE id > ? {chosen} ORDER BY id LIMIT ?",
                (after, *(cameras or ()), limit),
            ).fetchall()
        with self._db.reading():
            return [report_of(row) for row in rows]

    def earlier(self, reports: Sequence[Report]) -> dict[int, dict[str, float]]:
        """For each report, by its id: the phases of the reports of its event before it, with the highest score of each.

        Reports that are the first ones of their events are left out.
        """
        found: dict[int, dict[str, float]] = {}
        with self._db.read() as db:
            for report in reports:
                if not report.event.revision:
                    continue
                rows = db.execute(
                    "SELECT json_extract(json, '$.phase'), max(json_extract(json, '$.score')) FROM reports"
                    " WHERE camera = ? AND event = ? AND revision < ? GROUP BY 1",
                    (report.camera, report.event.id, report.event.revision),
                ).fetchall()
                if rows:
                    found[report.id] = {str(phase): float(score) for phase, score in rows}
        return found

    def last_report(self) -> int:
        """Id of the latest report; 0 before the first."""
        with self._db.read() as db:
            row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'reports'").fetchone()
        return int(row[0]) if row else 0

    def first_report(self) -> int:
        """Id of the oldest report that is still stored; 0 if there is none."""
        with self._db.read() as db:
            return int(db.execute("SELECT coalesce(min(id), 0) FROM reports").fetchone()[0])

    def open_actions(self, camera: str) -> list[Event]:
        """The latest report of each action that was neither concluded nor retracted."""
        with self._db.read() as db:
            rows = db.execute(
                "SELECT json FROM events WHERE camera = ? AND phase IN ('open', 'update') ORDER BY number", (camera,)
            ).fetchall()
        with self._db.reading():
            return [Event.from_json(row[0]) for row in rows]

    def on_add(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a function after every `add` of new reports; it must return at once. Returns what ends that."""
        self._listeners.append(listener)

        def remove() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return remove


def _store(
    db: sqlite3.Connection, camera: str, bundle: str, event: Event, received_unix: float
) -> tuple[Report, str] | None:
    """Store one report. Returns it with its text; None if it is not new."""
    found = known_revision(db, camera, event.id)
    if found is not None and found[1] >= event.revision:
        return None
    text = event.to_json()
    number = db.execute(
        "INSERT INTO reports (camera, bundle, event, revision, received, json) VALUES (?, ?, ?, ?, ?, ?)",
        (camera, bundle, event.id, event.revision, received_unix, text),
    ).lastrowid
    put_event(db, camera, bundle, event, text, received_unix, None if found is None else found[0])
    return Report(int(number or 0), camera, bundle, event, received_unix), text


def _check(event: Event) -> None:
    """Raises InputError for values that no event has, which JSON or SQLite could not hold."""
    try:
        event.check_types()
        numbers = (event.score, event.start, event.end, event.emitted_at, event.delay_s, event.raw_score or 0.0)
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError("a number is not finite")
        if not (0 <= event.revision < _MOST_REVISION and 0 <= event.dropped < _MOST_REVISION):
            raise ValueError("the revision or the number of lost snippets is out of range")
        if not event.id or len(event.id) > 1000 or len(event.label) > 1000 or "\0" in event.id:
            raise ValueError("the id or the class is empty, too long, or contains NUL")
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(
            "site-report",
            f"The event {shown(repr(event.id), 80)} cannot be stored: {shown(error)}",
            "the fields of an event, with finite numbers",
            "report this",
        ) from None
