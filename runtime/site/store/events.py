"""Queries of events: by time, camera, class, score and review, in pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...errors import InputError
from ...events.event import Event
from .database import Database
from .pages import check_limit, cursor_of, position_of
from .rows import EventPage, EventQuery, EventRow, MediaRow, Review, marks

_COLUMNS = (
    "e.camera, e.id, e.json, e.bundle, e.first, e.updated, e.start_unix, e.end_unix, e.at, e.number,"
    " c.path, c.bytes, c.start_s, c.end_s, c.why, c.created,"
    " p.path, p.bytes, p.start_s, p.end_s, p.why, p.created,"
    " r.verdict, r.label, r.start_s, r.end_s, r.by, r.unix, r.note"
)
_JOINS = (
    " LEFT JOIN media c ON c.camera = e.camera AND c.event = e.id AND c.kind = 'clip'"
    " LEFT JOIN media p ON p.camera = e.camera AND p.event = e.id AND p.kind = 'picture'"
    " LEFT JOIN reviews r ON r.camera = e.camera AND r.event = e.id"
)


class Events:
    """Part of `Store`."""

    _db: Database

    def events(self, query: EventQuery = EventQuery()) -> EventPage:  # noqa: B008 - immutable
        """A page of events, the latest first. The pages contain each event once, whatever is reported in the meantime.

        Raises:
            InputError: The cursor is not one of this store, or the limit is out of range.
        """
        where, values = _conditions(query)
        # The inner query reads one index; the outer one only the rows of the page.
        inner = f"SELECT number FROM events {where} ORDER BY at DESC, number DESC LIMIT ?"
        with self._db.read() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM events e {_JOINS} WHERE e.number IN ({inner})"
                " ORDER BY e.at DESC, e.number DESC",
                (*values, query.limit + 1),
            ).fetchall()
        page = rows[: query.limit]
        more = len(rows) > query.limit
        with self._db.reading():
            items = [_row(row) for row in page]
        return EventPage(items, cursor_of(page[-1][8], page[-1][9]) if more else None)

    def event(self, camera: str, event: str) -> EventRow | None:
        """One event; None if there is none with this id."""
        with self._db.read() as db:
            row = db.execute(
                f"SELECT {_COLUMNS} FROM events e {_JOINS} WHERE e.camera = ? AND e.id = ?", (camera, event)
            ).fetchone()
        with self._db.reading():
            return None if row is None else _row(row)

    def counts(self, start_unix: float, end_unix: float) -> dict[tuple[str, str], int]:
        """Number of events by camera and class, without retracted ones, that start in a span of time."""
        with self._db.read() as db:
            rows = db.execute(
                "SELECT camera, label, count(*) FROM events WHERE at >= ? AND at < ? AND phase != 'retracted'"
                " GROUP BY camera, label",
                (start_unix, end_unix),
            ).fetchall()
        return {(row[0], row[1]): row[2] for row in rows}


def _conditions(query: EventQuery) -> tuple[str, list[Any]]:
    check_limit(query.limit)
    numbers = (query.start_unix, query.end_unix, query.min_score)
    if any(number is not None and not math.isfinite(number) for number in numbers):
        raise InputError("site-query", "A time or score is not finite", "finite numbers", "correct it")
    conditions: list[str] = []
    values: list[Any] = []
    for text, number in (("at >= ?", query.start_unix), ("at < ?", query.end_unix), ("score >= ?", query.min_score)):
        if number is not None:
            conditions.append(text)
            values.append(number)
    chosen: tuple[tuple[str, Sequence[str]], ...] = (
        ("camera", query.cameras),
        ("label", query.labels),
        ("bundle", query.bundles),
        ("phase", query.phases),
    )
    for column, names in chosen:
        if names:
            conditions.append(f"{column} IN ({marks(names)})")
            values += names
    if query.reviewed is not None:
        conditions.append(f"verdict IS {'NOT ' if query.reviewed else ''}NULL")
    if query.before is not None:
        conditions.append("(at, number) < (?, ?)")
        values += position_of(query.before)
    return f"WHERE {' AND '.join(conditions)}" if conditions else "", values


def _row(row: Sequence[Any]) -> EventRow:
    camera, ident = row[0], row[1]
    clip = None if row[15] is None else MediaRow(camera, ident, "clip", *row[10:16])
    picture = None if row[21] is None else MediaRow(camera, ident, "picture", *row[16:22])
    review = None if row[22] is None else Review(*row[22:29])
    event = Event.from_json(row[2])
    return EventRow(camera, ident, event, row[3], row[4], row[5], row[6], row[7], clip, picture, review)
