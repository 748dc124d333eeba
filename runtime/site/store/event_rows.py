"""How a report changes the row of its event."""

from __future__ import annotations

import sqlite3

from ...errors import InputError
from ...events.event import Event
from ...events.time_of_day import parse_utc


def known_revision(db: sqlite3.Connection, camera: str, event: str) -> tuple[int, int] | None:
    """Number and revision of the row of an event; None if there is none."""
    found = db.execute("SELECT number, revision FROM events WHERE camera = ? AND id = ?", (camera, event)).fetchone()
    return None if found is None else (found[0], found[1])


def put_event(
    db: sqlite3.Connection, camera: str, bundle: str, event: Event, text: str, received_unix: float, number: int | None
) -> None:
    """Insert the row of an event, or replace it. text: the report as JSON. number: of its row, if there is one.

    `at`, the place of the event in lists, is its start in the first report, and stays. Later reports often have another
    start: an event that moved between two pages would be on both of them, or on none.
    """
    start, end = _unix(event.start_utc), _unix(event.end_utc)
    values = (bundle, event.label, event.score, event.phase, event.revision, start, end, received_unix, text)
    if number is None:
        db.execute(
            "INSERT INTO events (bundle, label, score, phase, revision, start_unix, end_unix, updated, json, at, first,"
            " camera, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, received_unix if start is None else start, received_unix, camera, event.id),
        )
    else:
        db.execute(
            "UPDATE events SET bundle = ?, label = ?, score = ?, phase = ?, revision = ?, start_unix = ?, end_unix = ?,"
            " updated = ?, json = ? WHERE number = ?",
            (*values, number),
        )


def _unix(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_utc(text)
    except InputError:  # from an engine of another version: the event counts, without its time of day
        return None
