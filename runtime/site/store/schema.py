"""Tables of the database. A change of them needs another VERSION, and a step that brings older files to it."""

from __future__ import annotations

import secrets
import sqlite3

VERSION = 2

_SINCE_2 = (
    # filed: the training files agree with the review, or there is nothing to write.
    "CREATE INDEX reviews_unfiled ON reviews (camera, event) WHERE filed = 0",
    # Reviews that are no more, and of which the files for training may still have rows.
    "CREATE TABLE withdrawn (camera TEXT NOT NULL, event TEXT NOT NULL, PRIMARY KEY (camera, event)) WITHOUT ROWID",
)
TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # All reports, for clients that follow them and for sinks. AUTOINCREMENT: an id never comes again.
    """CREATE TABLE reports (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        camera TEXT NOT NULL, bundle TEXT NOT NULL, event TEXT NOT NULL, revision INTEGER NOT NULL,
        received REAL NOT NULL, json TEXT NOT NULL,
        UNIQUE (camera, event, revision))""",
    "CREATE INDEX reports_received ON reports (received)",
    # One row for each action. at: its time of day in its first report, or that of the report; it never changes.
    """CREATE TABLE events (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        camera TEXT NOT NULL, id TEXT NOT NULL, bundle TEXT NOT NULL, label TEXT NOT NULL, score REAL NOT NULL,
        phase TEXT NOT NULL, revision INTEGER NOT NULL, at REAL NOT NULL, start_unix REAL, end_unix REAL,
        first REAL NOT NULL, updated REAL NOT NULL, verdict TEXT, json TEXT NOT NULL,
        UNIQUE (camera, id))""",
    # All that queries filter by, so that they read no rows that they do not return.
    "CREATE INDEX events_at ON events (at, number, camera, label, score, phase, bundle, verdict)",
    "CREATE INDEX events_camera ON events (camera, at, number)",
    "CREATE INDEX events_open ON events (camera) WHERE phase IN ('open', 'update')",
    """CREATE TABLE outbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        sink TEXT NOT NULL, report INTEGER NOT NULL REFERENCES reports (id), final INTEGER NOT NULL,
        bytes INTEGER NOT NULL)""",
    "CREATE INDEX outbox_sink ON outbox (sink, number)",
    "CREATE INDEX outbox_loss ON outbox (sink, final, number)",
    "CREATE INDEX outbox_report ON outbox (report)",
    # Sizes of the outbox, so that nobody has to count it.
    """CREATE TABLE waiting (
        sink TEXT PRIMARY KEY, rows INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TRIGGER outbox_in AFTER INSERT ON outbox BEGIN
        INSERT INTO waiting VALUES (new.sink, 1, new.bytes)
        ON CONFLICT (sink) DO UPDATE SET rows = rows + 1, bytes = bytes + new.bytes;
    END""",
    """CREATE TRIGGER outbox_out AFTER DELETE ON outbox BEGIN
        UPDATE waiting SET rows = rows - 1, bytes = bytes - old.bytes WHERE sink = old.sink;
    END""",
    """CREATE TABLE losses (
        sink TEXT PRIMARY KEY, provisional INTEGER NOT NULL, final INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE refused (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        sink TEXT NOT NULL, camera TEXT NOT NULL, event TEXT NOT NULL, revision INTEGER NOT NULL,
        unix REAL NOT NULL, why TEXT NOT NULL, json TEXT NOT NULL)""",
    "CREATE INDEX refused_sink ON refused (sink, number)",
    """CREATE TABLE media (
        camera TEXT NOT NULL, event TEXT NOT NULL, kind TEXT NOT NULL, path TEXT, bytes INTEGER NOT NULL,
        start_s REAL NOT NULL, end_s REAL NOT NULL, why TEXT NOT NULL, created REAL NOT NULL,
        PRIMARY KEY (camera, event, kind)) WITHOUT ROWID""",
    "CREATE INDEX media_created ON media (created) WHERE path IS NOT NULL",
    """CREATE TABLE reviews (
        camera TEXT NOT NULL, event TEXT NOT NULL, verdict TEXT NOT NULL, label TEXT, start_s REAL, end_s REAL,
        by TEXT NOT NULL, unix REAL NOT NULL, note TEXT NOT NULL, filed INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (camera, event)) WITHOUT ROWID""",
    "CREATE INDEX reviews_unix ON reviews (unix)",
    *_SINCE_2,
    """CREATE TABLE gaps (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        camera TEXT NOT NULL, start_s REAL NOT NULL, end_s REAL NOT NULL, start_unix REAL NOT NULL,
        end_unix REAL NOT NULL, snippets INTEGER NOT NULL, reason TEXT NOT NULL,
        UNIQUE (camera, start_s, end_s, reason))""",
    "CREATE INDEX gaps_start ON gaps (start_unix)",
    "CREATE TABLE cameras (camera TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE sinks (sink TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID",
)


STEPS = {1: _SINCE_2}  # what brings a file of a version to the next one
ADDED = {"withdrawn": 2}  # versions that added tables


def create(connection: sqlite3.Connection) -> None:
    """Make all tables, and an identity, within a transaction of the caller."""
    for statement in TABLES:
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES ('identity', ?)", (secrets.token_hex(4),))
    connection.execute(f"PRAGMA user_version = {VERSION}")


def upgrade(connection: sqlite3.Connection, version: int) -> None:
    """Bring the tables of an older version to this one, within a transaction of the caller."""
    for older in range(version, VERSION):
        for statement in STEPS[older]:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
