"""What each sink still has to receive. A report leaves the outbox when the sink has it.

The outbox of a sink is bounded by rows and bytes. When it is full, the oldest provisional reports go first, and final
ones only when there is nothing else; both are counted.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .database import Database
from .rows import CLOSED, Report, marks, report_of

MOST_REFUSED = 1000  # dead letters that are kept for a sink
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that may wait for one sink.

    Attributes:
        rows: Reports.
        bytes: Bytes of reports.
    """

    rows: int = 200_000
    bytes: int = 256 << 20


@dataclass(frozen=True, slots=True)
class Refused:
    """A report that a sink refused for good.

    Attributes:
        sink: Name of the sink.
        camera: Name of the camera.
        event: Id of the event.
        revision: Revision of the report.
        unix: When.
        why: What the sink said.
        json: The report.
    """

    sink: str
    camera: str
    event: str
    revision: int
    unix: float
    why: str
    json: str


def enqueue(db: sqlite3.Connection, sinks: Sequence[str], report: Report, size: int, *, final: bool) -> None:
    """Put a report into the outbox of each sink."""
    db.executemany(
        "INSERT INTO outbox (sink, report, final, bytes) VALUES (?, ?, ?, ?)",
        [(sink, report.id, int(final), size) for sink in sinks],
    )


def shrink(db: sqlite3.Connection, sinks: Sequence[str], bounds: Bounds) -> None:
    """Remove what exceeds the bounds, in the transaction that added it."""
    for sink in sinks:
        rows, size, _ = _waiting(db, sink)
        if rows <= bounds.rows and size <= bounds.bytes:
            continue
        # To a sixteenth below the bounds, so that not every later report has to do this again.
        rows -= bounds.rows - bounds.rows // 16
        size -= bounds.bytes - bounds.bytes // 16
        lost = [0, 0]
        for number, final, taken in _in_order_of_loss(db, sink):
            if rows <= 0 and size <= 0:
                break
            db.execute("DELETE FROM outbox WHERE number = ?", (number,))
            rows, size = rows - 1, size - taken
            lost[final] += 1
        _count_loss(db, sink, lost[0], lost[1])


def _in_order_of_loss(db: sqlite3.Connection, sink: str) -> Iterator[tuple[int, int, int]]:
    """Number, whether final, and bytes: provisional reports first, the oldest first."""
    for final in (0, 1):
        after = 0
        while True:
            found = db.execute(
                "SELECT number, final, bytes FROM outbox WHERE sink = ? AND final = ? AND number > ?"
                " ORDER BY number LIMIT ?",
                (sink, final, after, _BATCH),
            ).fetchall()
            if not found:
                break
            yield from found
            after = found[-1][0]


def _count_loss(db: sqlite3.Connection, sink: str, provisional: int, final: int) -> None:
    db.execute(
        "INSERT INTO losses VALUES (?, ?, ?) ON CONFLICT (sink) DO UPDATE SET"
        " provisional = provisional + excluded.provisional, final = final + excluded.final",
        (sink, provisional, final),
    )


def _waiting(db: sqlite3.Connection, sink: str) -> tuple[int, int, float | None]:
    """Rows and bytes that wait for a sink, and since when."""
    row = db.execute("SELECT rows, bytes FROM waiting WHERE sink = ?", (sink,)).fetchone()
    if row is None or not row[0]:
        return 0, 0, None
    oldest = db.execute(
        "SELECT received FROM outbox JOIN reports ON reports.id = outbox.report WHERE sink = ? ORDER BY number LIMIT 1",
        (sink,),
    ).fetchone()
    return row[0], row[1], oldest[0] if oldest else None


class Outbox:
    """Part of `Store`."""

    _db: Database

    def pending(self, sink: str, limit: int, *, without: Sequence[str] = ()) -> list[tuple[int, Report]]:
        """The next reports for a sink, in order, each with the number of its row in the outbox.

        Args:
            sink: Name of the sink.
            limit: Number of reports.
            without: Cameras whose reports are passed over.
        """
        chosen = f"AND camera NOT IN ({marks(without)})" if without else ""
        with self._db.read() as db:
            rows = db.execute(
                "SELECT number, id, camera, bundle, json, received FROM outbox JOIN reports ON id = report"
                f" WHERE sink = ? {chosen} ORDER BY number LIMIT ?",
                (sink, *without, limit),
            ).fetchall()
        with self._db.reading():
            return [(row[0], report_of(row[1:])) for row in rows]

    def delivered(self, sink: str, rows: Sequence[int]) -> None:
        """The sink has these rows. Raises StoreError."""
        if rows:
            with self._db.write() as db:
                db.executemany("DELETE FROM outbox WHERE number = ? AND sink = ?", [(row, sink) for row in rows])

    def refuse(self, sink: str, row: int, report: Report, why: str, unix: float) -> None:
        """The sink will never take this row: it leaves the outbox, and is kept as a dead letter."""
        event = report.event
        values = (sink, report.camera, event.id, event.revision, unix, why[:500], event.to_json())
        with self._db.write() as db:
            db.execute("DELETE FROM outbox WHERE number = ? AND sink = ?", (row, sink))
            db.execute(
                "INSERT INTO refused (sink, camera, event, revision, unix, why, json) VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            db.execute(
                "DELETE FROM refused WHERE sink = ? AND number <= (SELECT number FROM refused WHERE sink = ?"
                " ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (sink, sink, MOST_REFUSED),
            )

    def refused(self, sink: str, limit: int = 100) -> list[Refused]:
        """What a sink refused, the latest first."""
        with self._db.read() as db:
            rows = db.execute(
                "SELECT sink, camera, event, revision, unix, why, json FROM refused WHERE sink = ?"
                " ORDER BY number DESC LIMIT ?",
                (sink, limit),
            ).fetchall()
        return [Refused(*row) for row in rows]

    def waiting(self, sink: str) -> tuple[int, float | None]:
        """How many reports wait for a sink, and when the oldest of them was received."""
        with self._db.read() as db:
            rows, _, oldest = _waiting(db, sink)
        return rows, oldest

    def lost(self, sink: str) -> tuple[int, int]:
        """How many (provisional, final) reports a sink never receives, because its outbox was full."""
        with self._db.read() as db:
            row = db.execute("SELECT provisional, final FROM losses WHERE sink = ?", (sink,)).fetchone()
        return (row[0], row[1]) if row else (0, 0)

    def send_again(self, sink: str, cameras: Sequence[str], most_bytes: int) -> int:
        """Put the latest reports into the outbox once more, for a sink that leaves out what it has.

        Args:
            sink: Name of the sink.
            cameras: Cameras whose reports it receives.
            most_bytes: Bytes of reports, of all cameras.

        Returns:
            The number of reports.
        """
        added = 0
        with self._db.write() as db:
            query = (
                "SELECT id, camera, length(json), (SELECT count(*) FROM outbox WHERE report = id AND sink = ?),"
                f" json_extract(json, '$.phase') IN {CLOSED} FROM reports ORDER BY id DESC"
            )
            chosen = []
            for number, camera, size, waits, final in db.execute(query, (sink,)):
                most_bytes -= size
                if most_bytes < 0:
                    break
                if camera in cameras and not waits:
                    chosen.append((sink, number, int(final), size))
            for row in reversed(chosen):
                added += db.execute("INSERT INTO outbox (sink, report, final, bytes) VALUES (?, ?, ?, ?)", row).rowcount
        return added

    def forget_sink(self, sink: str) -> int:
        """Remove all that waits for a sink that is no longer configured. Returns the number of reports."""
        with self._db.write() as db:
            number = db.execute("DELETE FROM outbox WHERE sink = ?", (sink,)).rowcount
            for table in ("waiting", "losses", "refused", "sinks"):
                db.execute(f"DELETE FROM {table} WHERE sink = ?", (sink,))
        return number

    def known_sinks(self) -> list[str]:
        """Names of the sinks of which anything is stored: what waits, what was refused, or what they noted."""
        tables = ("waiting", "losses", "refused", "sinks")
        with self._db.read() as db:
            query = " UNION ".join(f"SELECT sink FROM {table}" for table in tables)
            return [row[0] for row in db.execute(f"{query} ORDER BY sink")]

    def sinks(self) -> list[str]:
        """Names of the sinks for which something waits."""
        with self._db.read() as db:
            return [row[0] for row in db.execute("SELECT sink FROM waiting WHERE rows > 0 ORDER BY sink")]

    def sink_state(self, sink: str) -> dict[str, Any]:
        """What a sink stored about itself; empty at first."""
        with self._db.read() as db:
            row = db.execute("SELECT json FROM sinks WHERE sink = ?", (sink,)).fetchone()
        with self._db.reading():
            return dict(json.loads(row[0])) if row else {}

    def set_sink_state(self, sink: str, state: dict[str, Any]) -> None:
        """Replace what a sink stored about itself. Raises StoreError."""
        with self._db.write() as db:
            db.execute("INSERT OR REPLACE INTO sinks VALUES (?, ?)", (sink, json.dumps(state)))
