"""Retention: clips and pictures are deleted by age, class and total size, events by age, and more when room is short.

When less than `free_gb` is free, things are given up in this order, one step at a time, and taken up again in the
reverse order when there is room:

    1  pictures of new events
    2  clips of new events
    3  the oldest clips and pictures, until there is room
    4  provisional reports in the store

Final reports are always tried.
"""

from __future__ import annotations

import errno
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...errors import PunctumError
from ...text.display import shown
from ..config.models import Retention as RetentionConfig
from ..store.media import StoredMedia
from ..store.rows import MediaRow
from ..store.store import Store
from .files import MediaFiles, OutsideError, Unknown

_log = logging.getLogger(__name__)
GB = 1e9
DAY_S = 86400.0
# Room that has to be free before a step is taken back, beyond `free_gb`: else it would change with every clip.
SPARE = 1.1
STEPS = ("pictures", "clips", "old media", "provisional reports")
# A step is left when it did not suffice for this long, so that deleting files has time to show.
STEP_S = 5.0
# Seconds between looks at all that is old, and at files that no row names.
AGES_S, EVENTS_S, UNKNOWN_S = 60.0, 3600.0, 3600.0
_BATCH = 500
_NOT_DELETED = "files that cannot be deleted"
_REPORT_DAYS = 7.0  # reports stay this long for clients that follow them


class Usage(Protocol):
    """As `shutil.disk_usage`."""

    def __call__(self, path: Path) -> tuple[int, int, int]: ...


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass did. events, media: number of deleted ones; freed: bytes of deleted files."""

    events: int
    media: int
    freed: int
    free_bytes: int


class Housekeeper:
    """Deletes what is old or too much. Call `run` about every 10 s, and more often while `degraded`; nothing raises.

    Args:
        store: The store.
        config: What is kept.
        folder: The folder of clips and pictures; only files below it are deleted.
        clock: Unix time.
        usage: (total, used, free) bytes of the disk of a folder.
    """

    def __init__(
        self,
        store: Store,
        config: RetentionConfig,
        folder: Path,
        *,
        clock: Callable[[], float] = time.time,
        usage: Usage = shutil.disk_usage,
    ) -> None:
        self._store, self.config, self._clock, self._usage = store, config, clock, usage
        self._files = MediaFiles(folder)
        self._unknown: list[Unknown] = []
        self._stuck: set[Path | None] = set()  # folders in which nothing can be deleted; None: nowhere
        self._deleted = self._freed = 0
        self._level = 0
        self._changed_unix = -1e300
        self._events_unix = self._ages_unix = self._looked_unix = -1e300
        self._full_disk = False
        self._failed: set[str] = set()
        self.deleted_media = self.deleted_events = 0

    @property
    def degraded(self) -> tuple[str, ...]:
        """What is given up at present, in the order of `STEPS`; empty while there is room."""
        return STEPS[: self._level]

    @property
    def keep_pictures(self) -> bool:
        """Whether pictures of new events are stored."""
        return self._level < 1

    @property
    def keep_clips(self) -> bool:
        """Whether clips of new events are stored."""
        return self._level < 2

    def disk_full(self) -> None:
        """Something could not be written because the disk is full: the next pass gives up more, whatever is free."""
        self._full_disk = True

    def run(self) -> Pass:
        """Delete what is to be deleted now, and decide what is given up."""
        self._deleted = self._freed = events = 0
        self._stuck.clear()
        try:
            self._look()
            if self._clock() - self._ages_unix >= AGES_S:
                self._ages_unix = self._clock()
                self._delete_old()
            size = self._store.media_bytes() + sum(one.bytes for one in self._unknown)
            self._shrink(size - int(self.config.gb * GB), "deleted by total size", on_disk=False)
            events = self._old_events()
        except PunctumError as error:
            self._say(f"old events and media cannot be deleted: {error}")
        free = self._free()
        missing = self._adapt(free)
        if missing > 0 and self._level >= 3:
            try:
                self._shrink(missing, "deleted because the disk was full", on_disk=True)
            except PunctumError as error:
                self._say(f"old media cannot be deleted: {error}")
        try:  # what could not be written when it was stored
            self._store.file_reviews()
            self._store.mirror_cameras()
        except PunctumError as error:
            self._say(f"reviews cannot be written to the files for training: {error}")
        if self._deleted and not self._stuck:
            self._failed.discard(_NOT_DELETED)
        self.deleted_media += self._deleted
        self.deleted_events += events
        return Pass(events, self._deleted, self._freed, free)

    def _look(self) -> None:
        """Look for files without a row, from time to time. Abandoned drafts are deleted at once."""
        now = self._clock()
        if now - self._looked_unix < UNKNOWN_S:
            return
        self._looked_unix = now
        try:
            found = self._files.unknown(self._store.media_names, now)
        except OSError as error:
            self._say(f"the folder {self._files.folder} cannot be read ({error})")
            return
        for one in found:
            if one.draft:
                self._delete_file(one.path)
        self._unknown = [one for one in found if not one.draft]

    def _delete_old(self) -> None:
        for one in self._too_old():
            self._delete(one, "deleted by age")
        # The class of a file without a row is unknown: it gets the time of the class that is kept longest.
        days = max([self.config.days, *(one.days for one in self.config.labels.values())])
        old = [one for one in self._unknown if one.unix < self._clock() - days * DAY_S]
        self._delete_unknown(old, 1 << 62)

    def _too_old(self) -> Iterator[StoredMedia]:
        """Media beyond its age. Classes may have other ages than the rest."""
        now = self._clock()
        ages = [self.config.days, *(one.days for one in self.config.labels.values())]
        limit = now - min(ages) * DAY_S
        after: MediaRow | None = None
        while True:
            found = self._store.media_by_age(_BATCH, after=after)
            for one in found:
                if one.media.created_unix >= limit:
                    return
                label = self.config.labels.get(one.label or "")
                days = self.config.days if label is None else label.days
                if one.media.created_unix < now - days * DAY_S:
                    yield one
            if len(found) < _BATCH:
                return
            after = found[-1].media

    def _shrink(self, excess: int, why: str, *, on_disk: bool) -> None:
        """Delete files that no row names, and then the oldest media, until so many bytes are free.

        on_disk: only what took room on the disk counts; else what rows say.
        """
        freed = self._delete_unknown(list(self._unknown), excess)
        after: MediaRow | None = None
        while freed < excess:
            found = self._store.media_by_age(_BATCH, after=after)
            for one in found:
                if freed >= excess:
                    return
                size = self._delete(one, why)
                if size is not None:
                    freed += size if on_disk else one.media.bytes
            if len(found) < _BATCH:
                return
            after = found[-1].media  # those that could not be deleted are passed over

    def _delete(self, one: StoredMedia, why: str) -> int | None:
        """Delete a file and say so in its row. Returns the bytes that it took; None: it is still there, and so is its
        row, so that the next pass tries again."""
        size = self._delete_file(Path(one.media.path or ""))
        if size is not None:
            self._store.drop_media(one.media.camera, one.media.event, one.media.kind, why)
            self._deleted += 1
        return size

    def _delete_unknown(self, some: list[Unknown], most: int) -> int:
        """Delete files that no row names until so many bytes are free. Returns the bytes."""
        freed, known = 0, dict[str, set[str]]()
        for one in some:
            if freed >= most:
                break
            if one.camera not in known:
                known[one.camera] = self._store.media_names(one.camera)
            if one.path.name not in known[one.camera]:  # else its row was added in the meantime
                size = self._delete_file(one.path)
                if size is None:
                    continue
                freed += size
                self._deleted += 1
            self._unknown.remove(one)
        return freed

    def _delete_file(self, path: Path) -> int | None:
        """Delete a file. Returns the bytes that it took; None: it is still there."""
        if path.parent in self._stuck or None in self._stuck:
            return None
        try:
            size = self._files.delete(path)
        except OutsideError:
            self._say(f"{path} is not below {self._files.folder} and is not deleted")
            return 0
        except OSError as error:
            # One failure stands for the folder, or for all of a disk that is read-only: there may be thousands.
            self._stuck.add(None if error.errno == errno.EROFS else path.parent)
            self._say(f"{path} cannot be deleted ({error}); trying again until it can", _NOT_DELETED)
            return None
        self._freed += size
        return size

    def _old_events(self) -> int:
        """Delete old events."""
        now = self._clock()
        if now - self._events_unix < EVENTS_S:
            return 0
        self._events_unix = now
        before = now - self.config.event_days * DAY_S
        deleted = self._store.prune(before, reports_before_unix=max(before, now - _REPORT_DAYS * DAY_S))
        self._store.compact()
        return deleted

    def _free(self) -> int:
        try:
            place = next(one for one in (self._files.folder, *self._files.folder.parents) if one.exists())
            return int(self._usage(place)[2])
        except OSError as error:
            self._say(f"the room on the disk of {self._files.folder} is unknown ({error})")
            return 1 << 62

    def _adapt(self, free: int) -> int:
        """Take or take back one step. Returns the bytes that are missing."""
        wanted = int(self.config.free_gb * GB)
        short = free < wanted or self._full_disk
        now = self._clock()
        if short and self._level < len(STEPS) and now - self._changed_unix >= STEP_S:
            self._change(self._level + 1, free)
        elif not short and self._level and free >= wanted * SPARE and now - self._changed_unix >= STEP_S:
            self._change(self._level - 1, free)
        missing = max(wanted - free, wanted // 10 if self._full_disk else 0, 1 if self._full_disk else 0)
        self._full_disk = False
        return missing

    def _change(self, level: int, free: int) -> None:
        step = STEPS[max(level, self._level) - 1]
        room = f"{free / GB:.2f} GB are free, and {self.config.free_gb:g} GB have to be"
        if level > self._level:
            words = {"old media": "the oldest clips and pictures are deleted"}.get(step, f"{step} are no longer stored")
            _log.warning("%s: %s", room, words)
        else:
            words = {"old media": "clips and pictures are deleted by age again"}.get(step, f"{step} are stored again")
            _log.warning("%.2f GB are free: %s", free / GB, words)
        self._level, self._changed_unix = level, self._clock()
        self._store.keep_provisional = level < len(STEPS)
        if not level:
            self._failed.clear()

    def _say(self, text: str, about: str = "") -> None:
        """Log a problem once until it is solved. about: identifies the problem where its text varies."""
        if (about or text) not in self._failed and len(self._failed) < 100:
            self._failed.add(about or text)
            _log.warning("%s", shown(text, 500))
