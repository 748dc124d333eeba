"""Clips and pictures, gaps, and what is remembered of cameras."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .camera_files import CameraFiles
from .database import Database, StoreDamagedError
from .pages import check_limit, cursor_of, position_of
from .rows import MOST_ITEMS, GapPage, GapRow, Kind, MediaRow, marks

_COLUMNS = "camera, event, kind, path, bytes, start_s, end_s, why, created"


@dataclass(frozen=True, slots=True)
class StoredMedia:
    """A clip or picture with what decides how long it is kept. label: class of its event; None without one."""

    media: MediaRow
    label: str | None


class Media:
    """Part of `Store`."""

    _db: Database
    _cameras: CameraFiles
    _mirroring: threading.Lock
    _file_review: Callable[[str, str], bool]

    def add_media(
        self,
        camera: str,
        event_id: str,
        kind: Kind,
        path: str | None,
        bytes: int,
        start_s: float,
        end_s: float,
        why: str = "",
        *,
        unix: float | None = None,
    ) -> MediaRow:
        """Store where a clip or picture is, or why there is none. Replaces what was stored for this event.

        Args:
            camera: Name of the camera.
            event_id: Id of the event.
            kind: "clip" or "picture".
            path: The file; None: there is none.
            bytes: Its size.
            start_s: Media time at which it starts.
            end_s: Media time at which it ends.
            why: Why there is no file.
            unix: When it was made. Default: now.
        """
        row = MediaRow(camera, event_id, kind, path, bytes, start_s, end_s, why, time.time() if unix is None else unix)
        with self._db.write() as db:
            db.execute(
                f"INSERT OR REPLACE INTO media ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (camera, event_id, kind, path, bytes, start_s, end_s, why, row.created_unix),
            )
            reviewed = _unfiled(db, [row])
        for one in reviewed:
            self._file_review(one.camera, one.event)
        return row

    def media(self, camera: str, event_id: str, kind: Kind) -> MediaRow | None:
        """The clip or picture of an event; None if nothing is stored about it."""
        with self._db.read() as db:
            row = db.execute(
                f"SELECT {_COLUMNS} FROM media WHERE camera = ? AND event = ? AND kind = ?", (camera, event_id, kind)
            ).fetchone()
        return None if row is None else MediaRow(*row)

    def complete_media(self, why: str, *, newest: int = 20_000) -> int:
        """Store why final events have no clip or picture, where nothing is stored about it. newest: of how many events.

        Returns:
            The number of rows.
        """
        with self._db.write() as db:
            return db.execute(
                f"INSERT OR IGNORE INTO media ({_COLUMNS}) SELECT camera, id, kind, NULL, 0, 0.0, 0.0, ?, ? FROM events"
                " JOIN (SELECT 'clip' AS kind UNION ALL SELECT 'picture')"
                " WHERE phase = 'final' AND number > (SELECT max(number) FROM events) - ?",
                (why, time.time(), newest),
            ).rowcount

    def drop_media(self, camera: str, event_id: str, kind: Kind, why: str = "deleted by age or size") -> None:
        """The file has been deleted. The row stays and says why."""
        with self._db.write() as db:
            db.execute(
                "UPDATE media SET path = NULL, bytes = 0, why = ? WHERE camera = ? AND event = ? AND kind = ?",
                (why, camera, event_id, kind),
            )

    def media_by_age(self, limit: int, *, after: MediaRow | None = None) -> list[StoredMedia]:
        """Files of clips and pictures, the oldest first. after: the last one of the call before."""
        place = (-1e300, "", "", "") if after is None else (after.created_unix, after.camera, after.event, after.kind)
        with self._db.read() as db:
            rows = db.execute(
                "SELECT m.camera, m.event, m.kind, m.path, m.bytes, m.start_s, m.end_s, m.why, m.created, e.label"
                " FROM media m LEFT JOIN events e ON e.camera = m.camera AND e.id = m.event"
                " WHERE m.path IS NOT NULL AND (m.created, m.camera, m.event, m.kind) > (?, ?, ?, ?)"
                " ORDER BY m.created, m.camera, m.event, m.kind LIMIT ?",
                (*place, limit),
            ).fetchall()
        return [StoredMedia(MediaRow(*row[:9]), row[9]) for row in rows]

    def media_names(self, camera: str) -> set[str]:
        """Names of the files of clips and pictures of a camera, without their folders."""
        with self._db.read() as db:
            rows = db.execute("SELECT path FROM media WHERE camera = ? AND path IS NOT NULL", (camera,))
            return {str(row[0]).rpartition("/")[2] for row in rows}

    def media_bytes(self) -> int:
        """Size of all clips and pictures."""
        with self._db.read() as db:
            return int(db.execute("SELECT coalesce(sum(bytes), 0) FROM media WHERE path IS NOT NULL").fetchone()[0])

    def add_gap(
        self,
        camera: str,
        start_s: float,
        end_s: float,
        start_unix: float,
        end_unix: float,
        snippets: int,
        reason: str,
    ) -> bool:
        """Store that media is missing. Returns False if this gap is stored already."""
        values = (camera, start_s, end_s, start_unix, end_unix, snippets, reason)
        with self._db.write() as db:
            done = db.execute(
                "INSERT OR IGNORE INTO gaps (camera, start_s, end_s, start_unix, end_unix, snippets, reason)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            return done.rowcount > 0

    def add_rows(self, media: Sequence[MediaRow], gaps: Sequence[GapRow]) -> None:
        """Store many at once, as `add_media` and `add_gap` do: a transaction waits for the disk."""
        with self._db.write() as db:
            db.executemany(
                f"INSERT OR REPLACE INTO media ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (r.camera, r.event, r.kind, r.path, r.bytes, r.start_s, r.end_s, r.why, r.created_unix)
                    for r in media
                ],
            )
            db.executemany(
                "INSERT OR IGNORE INTO gaps (camera, start_s, end_s, start_unix, end_unix, snippets, reason)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(g.camera, g.start_s, g.end_s, g.start_unix, g.end_unix, g.snippets, g.reason) for g in gaps],
            )
            reviewed = _unfiled(db, media)
        for row in reviewed:
            self._file_review(row.camera, row.event)

    def gaps(
        self,
        start_unix: float,
        end_unix: float,
        cameras: Sequence[str] | None = None,
        *,
        before: str | None = None,
        limit: int = MOST_ITEMS,
    ) -> GapPage:
        """A page of the gaps that overlap a span of time, those that begin last first.

        Args:
            start_unix: Start of the span.
            end_unix: Its end.
            cameras: Names of cameras; None: all.
            before: The cursor `next` of the page before.
            limit: Number of gaps, 1 to 1000.

        Raises:
            InputError: The cursor is not one of this store, or the limit is out of range.
        """
        check_limit(limit)
        if cameras is not None and not cameras:
            return GapPage([], None)
        chosen = "" if cameras is None else f" AND camera IN ({marks(cameras)})"
        behind = "" if before is None else " AND (start_unix, number) < (?, ?)"
        place = () if before is None else position_of(before)
        with self._db.read() as db:
            rows = db.execute(
                "SELECT camera, start_s, end_s, start_unix, end_unix, snippets, reason, number FROM gaps"
                f" WHERE start_unix < ? AND end_unix >= ?{chosen}{behind}"
                " ORDER BY start_unix DESC, number DESC LIMIT ?",
                (end_unix, start_unix, *(cameras or ()), *place, limit + 1),
            ).fetchall()
        page = rows[:limit]
        more = len(rows) > limit
        return GapPage([GapRow(*row[:7]) for row in page], cursor_of(page[-1][3], page[-1][7]) if more else None)

    def camera_state(self, camera: str) -> dict[str, Any]:
        """What `set_camera_state` stored; empty at first."""
        with self._db.read() as db:
            row = db.execute("SELECT json FROM cameras WHERE camera = ?", (camera,)).fetchone()
        if row is None:
            return self._cameras.read(camera)
        with self._db.reading():
            return dict(json.loads(row[0]))

    def set_camera_state(self, camera: str, state: dict[str, Any]) -> None:
        """Replace what is remembered of a camera, such as epoch_unix, run_id and position. Raises StoreError."""
        text = json.dumps(state, allow_nan=False)
        with self._mirroring:  # the file of whoever comes last has the latest state
            try:
                with self._db.write() as db:
                    db.execute("INSERT OR REPLACE INTO cameras VALUES (?, ?)", (camera, text))
            except StoreDamagedError:
                self._cameras.write(camera, state)  # for the next start, which repairs the database
                raise
            self._cameras.write(camera, state)

    def mirror_cameras(self, *, everything: bool = False) -> None:
        """Write the files of cameras that could not be written, or all that differ from the database."""
        if not everything:
            for camera in sorted(self._cameras.failed):
                self._mirror(camera)
            return
        with self._db.read() as db:
            cameras = [row[0] for row in db.execute("SELECT camera FROM cameras ORDER BY camera")]
        for camera in cameras:
            self._mirror(camera)

    def _mirror(self, camera: str) -> None:
        with self._mirroring:  # the file of whoever comes last has the latest state
            self._cameras.write(camera, self.camera_state(camera))


def _unfiled(db: sqlite3.Connection, media: Sequence[MediaRow]) -> list[MediaRow]:
    """Note that reviews have to be filed that were made before their clips were there. Returns those clips."""
    clips = [row for row in media if row.kind == "clip" and row.path is not None]
    query = "UPDATE reviews SET filed = 0 WHERE camera = ? AND event = ?"
    return [row for row in clips if db.execute(query, (row.camera, row.event)).rowcount]
