"""The clicks of a folder. This is their single writer: every change is on disk before it is acknowledged.

Pages may send a change twice, because an answer was lost; the second time has no effect. A change of a click that
another page has changed in between is refused with the state that it has now. If another program has changed the points
file, its content is taken first.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..datasets.annotators import Mark, one_per_action
from ..datasets.labeled import RECORD, read_labeling
from ..errors import InputError, PunctumError
from ..files.atomic import BINARY, atomic_write
from ..text.name_index import NameIndex
from .changes import Change, Conflict
from .clicks import Click, read_clicks, write_clicks

WORK = ".punctum-label"
"""Folder for what can be made again: converted videos, and the lock."""


def utc_now() -> str:
    """The time of day in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class ClickStore:
    """Clicks and marks of a folder.

    Args:
        folder: The folder of points.csv and labeling.json.
        points_file: The points file.
        videos: Names of the videos.
        classes: Classes; more can be added unless `fixed`.
        fixed: Whether dataset.json gives the classes.
        seconds: See `read_clicks`.
        now: The time of day as text.

    Raises:
        InputError: The files cannot be read, or another process labels this folder.
    """

    def __init__(
        self,
        folder: Path,
        points_file: Path,
        videos: list[str],
        *,
        classes: tuple[str, ...] = (),
        fixed: bool = False,
        seconds: Callable[[str, float], float] | None = None,
        now: Callable[[], str] = utc_now,
    ) -> None:
        self.folder, self.points_file, self.videos, self.fixed = folder, points_file, videos, fixed
        self._index = NameIndex(videos, media=True)
        self._seconds, self._now = seconds, now
        self._busy = threading.Lock()
        self._signature: tuple[int, ...] | None = None
        self._actions: dict[str, dict[str, int]] = {}
        self._record = ""
        self.clicks: dict[str, Click] = {}
        self.version = 0
        """Number of changes since the start."""
        self._lock = _lock(folder)
        try:
            self.labeling = read_labeling(folder)
            self.classes = list(dict.fromkeys([*classes, *([] if fixed else self.labeling.classes)]))
            self._load()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let other processes label the folder."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def apply(self, change: Change) -> dict[str, Any]:
        """Make a change and save it. Returns the event that tells pages about it; see `changes`.

        Raises:
            InputError: The change is not possible.
            Conflict: Another page has changed the same click.
            PunctumError: The file cannot be written; nothing has changed then.
        """
        with self._busy:
            reloaded = self._reload()
            before = self._copy()
            try:
                event = change.apply(self)
                if event:
                    self._save(change)
            except Conflict as conflict:
                conflict.reloaded = reloaded
                raise
            except BaseException:
                self.clicks, self.labeling, self.classes = before
                self._actions.clear()
                raise
            if event or reloaded:
                self.version += 1
            return {**event, "version": self.version, "counts": self.counts(), "reload": reloaded}

    def refresh(self) -> bool:
        """Take over what another program wrote to the points file. Returns whether there was anything."""
        with self._busy:
            if changed := self._reload():
                self.version += 1
            return changed

    def state(self) -> dict[str, Any]:
        """What a page needs at its start."""
        with self._busy:
            return {
                "version": self.version,
                "classes": self.classes,
                "fixed": self.fixed,
                "clicks": [click.to_record() for click in self.clicks.values()],
                "nothing": self.labeling.nothing,
                "finished": self.labeling.finished,
                "reaction_s": self.labeling.reaction_s,
                "counts": self.counts(),
            }

    def counts(self) -> dict[str, list[int]]:
        """Class -> number of actions with a click, of any annotator, and number of videos with such actions."""
        by_video: dict[str, list[Click]] = {}
        for click in self.clicks.values():
            if click.video not in self._actions:
                by_video.setdefault(click.video, []).append(click)
        for video, clicks in by_video.items():
            per_class: dict[str, int] = {}
            for label, _ in one_per_action(Mark(c.annotator, c.label, c.time_s) for c in clicks):
                per_class[str(label)] = per_class.get(str(label), 0) + 1
            self._actions[video] = per_class
        total: dict[str, list[int]] = {label: [0, 0] for label in self.classes}
        for per_class in self._actions.values():
            for label, count in per_class.items():
                pair = total.setdefault(label, [0, 0])
                pair[0], pair[1] = pair[0] + count, pair[1] + 1
        return total

    def touch(self, video: str) -> None:
        """Note that the clicks of a video have changed."""
        self._actions.pop(video, None)

    def now(self) -> str:
        return self._now()

    def _copy(self) -> tuple[dict[str, Click], Any, list[str]]:
        record = self.labeling
        copied = type(record)(
            list(record.classes),
            {video: dict(marks) for video, marks in record.nothing.items()},
            {video: dict(marks) for video, marks in record.finished.items()},
            dict(record.reaction_s),
        )
        return dict(self.clicks), copied, list(self.classes)

    def _save(self, change: Change) -> None:
        if change.saves_clicks:
            atomic_write(self.points_file, write_clicks(self.clicks.values()))
            self._signature = _signature(self.points_file)
        self.labeling.classes = [] if self.fixed else list(self.classes)
        text = json.dumps(self.labeling.to_record(), indent=1, ensure_ascii=False) + "\n"
        if text != self._record:
            atomic_write(self.folder / RECORD, text)
            self._record = text

    def _reload(self) -> bool:
        if _signature(self.points_file) == self._signature:
            return False
        self._load()
        return True

    def _load(self) -> None:
        signature = _signature(self.points_file)
        found = read_clicks(self.points_file, self._seconds)
        known = NameIndex(self.classes)
        for click in found:
            click.video = self._index.find(click.video) or click.video
            label = known.find(click.label)
            if label is None and self.fixed:
                raise InputError(
                    "label-unknown",
                    f"{self.points_file} contains the class {click.label!r}, which dataset.json does not list",
                    ", ".join(self.classes),
                    "correct one of the two",
                )
            if label is None:
                self.classes.append(click.label)
                known = NameIndex(self.classes)
            click.label = label or click.label
            old = self.clicks.get(click.id)
            click.rev = 1 if old is None else old.rev + (old.to_record() != {**click.to_record(), "rev": old.rev})
        self.clicks = {click.id: click for click in found}
        self._actions.clear()
        self._signature = signature


def _signature(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _lock(folder: Path) -> int | None:
    """Keep other processes from labeling the same folder. The system releases the lock when the process ends."""
    try:
        (folder / WORK).mkdir(exist_ok=True)
        handle = os.open(folder / WORK / "lock", os.O_RDWR | os.O_CREAT | BINARY, 0o600)
    except OSError as error:
        raise PunctumError(
            "write-failed",
            f"Cannot write to {folder} ({error.strerror or error})",
            required="a folder that this user may write to, for points.csv",
            next_step="change its permissions, or copy the videos to a folder of your own",
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise InputError(
            "label-running",
            f"Another `punctum label` is labeling {folder}",
            required="one process per folder; it serves any number of pages",
            next_step="use its page, or stop it",
        ) from None
    except OSError:  # a file system without locks
        with contextlib.suppress(OSError):
            os.close(handle)
        return None
    return handle
