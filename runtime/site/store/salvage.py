"""Reading of a damaged database as far as possible: every row that is intact, around the pages that are not."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...events.event import Event
from .event_rows import known_revision, put_event
from .rows import marks
from .schema import ADDED

MOST_S = 60.0  # of a start of the service
MOST_LOOKUPS = 1_000_000  # of single rows between the first and the last damage of a table
_BATCH = 1000
_STEPS = 100_000  # of SQLite between looks at the clock

# What is needed most comes first, since time may run out; outbox brings its reports along.
_TABLES = (
    "cameras",
    "sinks",
    "losses",
    "outbox",
    "reviews",
    "withdrawn",
    "events",
    "gaps",
    "media",
    "refused",
    "reports",
)
_NUMBERS = {"events": "number", "reports": "id", "outbox": "number", "gaps": "number", "refused": "number"}

Row = tuple[Any, ...]


@dataclass(slots=True)
class Salvaged:
    """What was kept.

    Attributes:
        rows: Rows by table, without tables of which there are none.
        incomplete: Tables of which a part could not be read.
        lost: Reports that outputs had to receive, and that could not be read.
    """

    rows: Counter[str] = field(default_factory=Counter)
    incomplete: list[str] = field(default_factory=list)
    lost: int = 0


def salvage(path: Path, new: sqlite3.Connection) -> Salvaged:
    """Copy what can be read.

    Args:
        path: The damaged database. It is not changed.
        new: A new database with all tables, within a transaction.

    Raises:
        sqlite3.Error: The new database cannot be written.
    """
    kept, deadline = Salvaged(), time.monotonic() + MOST_S
    try:
        old = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    except sqlite3.Error:
        return kept
    with contextlib.closing(old):
        old.text_factory = bytes  # text that is no text is that of one row, and no reason to end
        old.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        try:
            for setting in ("trusted_schema = 0", "cell_size_check = 1", "query_only = 1"):
                old.execute(f"PRAGMA {setting}")
        except sqlite3.Error:
            return kept
        version = _version(old)
        for table in _TABLES:
            if 0 < version < ADDED.get(table, 0):
                continue
            _copy(table, old, new, kept, deadline)
    _complete_events(new, kept)
    new.execute(
        "UPDATE events SET verdict = (SELECT verdict FROM reviews r WHERE r.camera = events.camera AND r.event = id)"
    )
    return kept


def _version(old: sqlite3.Connection) -> int:
    """Version of the tables; 0 if it cannot be read."""
    try:
        return int(old.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.DatabaseError:
        return 0


def _copy(table: str, old: sqlite3.Connection, new: sqlite3.Connection, kept: Salvaged, deadline: float) -> None:
    """Copy one table. Errors of the old database are damage, those of the new one are raised."""
    form = _Form.of(table, new)
    complete = True

    def damage() -> None:
        nonlocal complete
        complete = False

    for found in _rows(old, form, damage):
        if time.monotonic() > deadline:
            damage()
            break
        row = form.checked(found)
        if row is None:
            damage()
        elif table == "outbox" and not _with_report(row[2], old, new, kept):
            kept.lost += 1
            new.execute(
                "INSERT INTO losses VALUES (?, ?, ?) ON CONFLICT (sink) DO UPDATE SET"
                " provisional = provisional + excluded.provisional, final = final + excluded.final",
                (row[1], int(not row[3]), int(bool(row[3]))),
            )
        else:
            kept.rows[table] += form.insert(new, row)
    if not complete:
        kept.incomplete.append(table)


def _with_report(number: int, old: sqlite3.Connection, new: sqlite3.Connection, kept: Salvaged) -> bool:
    """Copy the report of a row of the outbox. Returns False where it cannot be read."""
    if new.execute("SELECT 1 FROM reports WHERE id = ?", (number,)).fetchone() is not None:
        return True
    form = _Form.of("reports", new)
    try:
        found = old.execute(f"{form.query} WHERE id = ?", (number,)).fetchone()
    except sqlite3.DatabaseError:
        return False
    row = None if found is None else form.checked(found)
    if row is None:
        return False
    kept.rows["reports"] += form.insert(new, row)
    return True


def _complete_events(new: sqlite3.Connection, kept: Salvaged) -> None:
    """Make the rows of events of which only reports could be read: the two must never contradict each other."""
    last = 0
    while True:
        missing = new.execute(
            "SELECT r.id, r.camera, r.event, r.bundle, r.json, r.received FROM reports r LEFT JOIN events e"
            " ON e.camera = r.camera AND e.id = r.event"
            " WHERE r.id > ? AND (e.revision IS NULL OR e.revision < r.revision) ORDER BY r.id LIMIT ?",
            (last, _BATCH),
        ).fetchall()
        if not missing:
            return
        for last, camera, ident, bundle, text, received in missing:  # noqa: B007 - the last id goes on
            event, found = Event.from_json(text), known_revision(new, camera, ident)
            if found is None or found[1] < event.revision:
                put_event(new, camera, bundle, event, text, received, None if found is None else found[0])
                kept.rows["events"] += found is None


def _rows(old: sqlite3.Connection, form: _Form, damage: Callable[[], None]) -> Iterator[Row]:
    """All rows that can be read: from the end to the first damage, from the beginning to it, and what is between."""
    number = _NUMBERS.get(form.table)
    at = form.columns.index(number or form.columns[0])
    order = f"{form.query} ORDER BY {form.columns[at]}"
    first = last = None
    try:
        for row in old.execute(f"{order} DESC"):
            last = row[at]
            yield row
        return
    except sqlite3.DatabaseError:
        damage()
    try:
        for row in old.execute(order):
            first = row[at]
            yield row
    except sqlite3.DatabaseError:
        pass
    if number is not None:
        yield from _between(old, form, number, first, last)


def _between(old: sqlite3.Connection, form: _Form, column: str, first: Any, last: Any) -> Iterator[Row]:
    """Rows between the first damage and the last, one by one."""
    if not isinstance(last, int):
        try:
            last = old.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (form.table.encode(),)).fetchone()
            last = last[0] + 1
        except (sqlite3.DatabaseError, TypeError):
            return
    first = first if isinstance(first, int) else 0
    for number in range(max(first + 1, last - MOST_LOOKUPS), last):
        try:
            row = old.execute(f"{form.query} WHERE {column} = ?", (number,)).fetchone()
        except sqlite3.DatabaseError:
            continue
        if row is not None:
            yield row


@dataclass(frozen=True, slots=True)
class _Form:
    """The columns of a table, as they have to be: (name, type, whether a value is required)."""

    table: str
    types: tuple[tuple[str, str, bool], ...]

    @classmethod
    def of(cls, table: str, new: sqlite3.Connection) -> _Form:
        found = new.execute(f"PRAGMA table_info({table})").fetchall()
        return cls(table, tuple((str(one[1]), str(one[2]), bool(one[3] or one[5])) for one in found))

    @property
    def columns(self) -> list[str]:
        return [name for name, _, _ in self.types]

    @property
    def query(self) -> str:
        return f"SELECT {', '.join(self.columns)} FROM {self.table} NOT INDEXED"

    def checked(self, row: Row) -> Row | None:
        """A row with values of the right types; None where one cannot be right."""
        try:
            values = tuple(_value(one, kind, need) for one, (_, kind, need) in zip(row, self.types, strict=True))
            if check := _CHECKS.get(self.table):
                check(dict(zip(self.columns, values, strict=True)))
        except (ValueError, TypeError, KeyError, AttributeError, InputError):
            return None
        return values

    def insert(self, new: sqlite3.Connection, row: Row) -> int:
        """Returns the number of new rows."""
        return new.execute(f"INSERT OR IGNORE INTO {self.table} VALUES ({marks(row)})", row).rowcount


def _value(value: Any, kind: str, required: bool) -> Any:
    """One value. Raises ValueError, AttributeError."""
    if value is None and not required:
        return None
    if kind == "TEXT":
        return value.decode()
    if not isinstance(value, int if kind == "INTEGER" else (int, float)) or not math.isfinite(value):
        raise ValueError
    return value


def _check_event(row: dict[str, Any]) -> None:
    event = Event.from_json(row["json"])
    if (event.id, event.revision) != (row.get("event", row.get("id")), row["revision"]):
        raise ValueError


def _check_json(row: dict[str, Any]) -> None:
    if not isinstance(json.loads(row["json"]), dict):
        raise ValueError


_CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "events": _check_event,
    "reports": _check_event,
    "cameras": _check_json,
    "sinks": _check_json,
}
