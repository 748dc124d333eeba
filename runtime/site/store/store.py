"""The store of a site: one SQLite database, safe to use from any thread. Every method is one transaction."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from ...errors import PunctumError
from .camera_files import CameraFiles
from .database import Database, damaged
from .events import Events
from .media import Media
from .outbox import Bounds, Outbox
from .reports import Reports
from .review_files import ReviewFiles
from .reviews import Reviews
from .rows import CLOSED

_log = logging.getLogger(__name__)
_BATCH = 2000


class Store(Reports, Events, Outbox, Media, Reviews):
    """Events, reports, outboxes, media, gaps, reviews and states of cameras of a site.

    What a method stored before it returned survives a crash of the process and a loss of power.

    Attributes:
        folder: The state folder.
        damage: Which damaged database was moved aside on opening; empty if none was.
        identity: Identifies this database: ids of reports of another one mean nothing here.
        keep_provisional: Whether reports of running actions are stored; set to False when room is short.
    """

    def __init__(self, database: Database, folder: Path, bounds: Bounds) -> None:
        self._db, self._bounds, self.folder = database, bounds, folder
        self._listeners: list[Callable[[], None]] = []
        self.keep_provisional = True
        self._cameras, self._mirroring = CameraFiles(folder / "cameras"), threading.Lock()
        self._review_files, self._filing = ReviewFiles(folder / "reviews"), threading.Lock()
        self._troubles: dict[str, str] = {}

    @classmethod
    def open(cls, folder: Path, *, bounds: Bounds = Bounds()) -> Store:  # noqa: B008 - immutable
        """Open the store of a state folder, or make one. A damaged database is moved aside, see `damage`.

        Args:
            folder: The state folder.
            bounds: The most that may wait for one sink.

        Raises:
            InputError: Another process uses the folder, or a later version wrote the database.
            StoreError: The database cannot be opened.
        """
        store = cls(Database(folder), folder, bounds)
        store.file_reviews()
        store.mirror_cameras(everything=True)
        return store

    @property
    def damage(self) -> str:
        return self._db.damage

    @property
    def outbox_lost(self) -> bool:
        """Whether reports that outputs have to receive may be missing, since a damaged database was moved aside."""
        return self._db.outbox_lost

    @property
    def reports_lost(self) -> bool:
        """Whether reports that were stored may be missing, since a damaged database was moved aside."""
        return self._db.reports_lost

    def check(self) -> None:
        """Raise StoreDamagedError once the database was found to be damaged, or is no longer where it was.

        Nothing is stored from then on, until the store is opened again.
        """
        self._db.check_present()
        if self._db.broken:
            raise damaged(self._db.path, self._db.broken)

    @property
    def intact(self) -> bool:
        """Whether nothing was found to be damaged since the store was opened."""
        return not self._db.broken

    @property
    def identity(self) -> str:
        return self._db.identity

    def prune(self, before_unix: float, *, reports_before_unix: float | None = None) -> int:
        """Delete what is old: concluded events with their reviews and media rows, gaps, and delivered reports.

        What a sink still has to receive stays. Files are not touched: delete those of `media_by_age` first.

        Args:
            before_unix: Delete events, and gaps, from before this time.
            reports_before_unix: Delete reports that were received before this time. Default: before_unix.

        Returns:
            The number of deleted events.
        """
        reports_before = before_unix if reports_before_unix is None else reports_before_unix
        while self._prune_reports(reports_before) == _BATCH:
            pass
        deleted = 0
        while True:
            number = self._prune_events(before_unix)
            deleted += number
            if number < _BATCH:
                return deleted

    def _prune_reports(self, before: float) -> int:
        with self._db.write() as db:
            return db.execute(
                "DELETE FROM reports WHERE id IN (SELECT id FROM reports WHERE received < ?"
                " AND NOT EXISTS (SELECT 1 FROM outbox WHERE report = reports.id) LIMIT ?)",
                (before, _BATCH),
            ).rowcount

    def _prune_events(self, before: float) -> int:
        """Events in batches, so that nobody waits for long."""
        with self._db.write() as db:
            rows = db.execute(
                f"SELECT number, camera, id FROM events WHERE at < ? AND updated < ? AND phase IN {CLOSED}"
                " AND NOT EXISTS (SELECT 1 FROM media WHERE media.camera = events.camera AND media.event = events.id"
                " AND path IS NOT NULL) AND NOT EXISTS (SELECT 1 FROM reviews WHERE filed = 0"
                " AND reviews.camera = events.camera AND reviews.event = events.id) ORDER BY at LIMIT ?",
                (before, before, _BATCH),
            ).fetchall()
            for number, camera, event in rows:
                db.execute("DELETE FROM events WHERE number = ?", (number,))
                db.execute("DELETE FROM media WHERE camera = ? AND event = ?", (camera, event))
                db.execute("DELETE FROM reviews WHERE camera = ? AND event = ?", (camera, event))
            if len(rows) < _BATCH:
                db.execute("DELETE FROM gaps WHERE end_unix < ?", (before,))
            return len(rows)

    def compact(self) -> None:
        """Give room back to the file system. Raises StoreError."""
        self._db.compact()

    @property
    def troubles(self) -> list[str]:
        """Why the training files do not agree with the reviews, as sentences."""
        return [
            f"reviews of camera {camera} are not in the files for training: {why}"
            for camera, why in sorted(self._troubles.items())
        ]

    def file_reviews(self) -> int:
        """Write the reviews for training, and remove withdrawn ones, where that could not be done before.

        Returns:
            How many reviews are written now.
        """
        with self._db.read() as db:
            rows = db.execute(
                "SELECT camera, event FROM reviews WHERE filed = 0 UNION SELECT camera, event FROM withdrawn"
            ).fetchall()
        filed, failed = 0, set()
        for camera, event in rows:
            if camera in failed:  # its files have just been found to be unusable
                continue
            filed += self._file_review(camera, event)
            if camera in self._troubles:
                failed.add(camera)
        return filed

    def _file_review(self, camera: str, event_id: str) -> bool:
        with self._filing:
            try:
                filed = self._filed(camera, event_id)
            except (PunctumError, OSError) as error:  # the review itself is stored, and `file_reviews` tries again
                why = str(error)
                if self._troubles.get(camera) != why:
                    _log.warning("the review of %s is not in the files for training: %s; trying again", event_id, why)
                self._troubles[camera] = why
                return False
            if self._troubles.pop(camera, None) is not None:
                _log.warning("reviews of camera %s are written to the files for training again", camera)
            return filed

    def _filed(self, camera: str, event_id: str) -> bool:
        """Bring the files in line with the database, and note it there. Returns whether they contain a review now."""
        row = self.event(camera, event_id)
        if row is None or row.review is None:
            self._review_files.remove(camera, event_id)
            with self._db.write() as db:
                db.execute("DELETE FROM withdrawn WHERE camera = ? AND event = ?", (camera, event_id))
            return False
        filed = self._review_files.write(row)
        made = -1.0 if row.clip is None else row.clip.created_unix
        with self._db.write() as db:  # a review or a clip added in the meantime is filed after this one
            db.execute(
                "UPDATE reviews SET filed = 1 WHERE camera = ? AND event = ? AND unix = ? AND coalesce((SELECT created"
                " FROM media m WHERE m.camera = reviews.camera AND m.event = reviews.event AND kind = 'clip'), -1) = ?",
                (camera, event_id, row.review.unix, made),
            )
        return filed

    def close(self) -> None:
        """May be called more than once."""
        self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
