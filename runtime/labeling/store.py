"""The clicks of a folder. This is their single writer: every change is on disk before it is acknowledged.

Pages may send a change twice, because an answer was lost; the second time has no effect. A change of a click that
another page has changed in between is refused with the state that it has now. If another program has changed the points
file, its content is taken first.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ..datasets.annotators import Mark, one_per_action
from ..datasets.background import FILE as BACKGROUND
from ..datasets.background import BackgroundRow, read_background, write_background
from ..datasets.labeled import RECORD, Labeling, read_labeling
from ..errors import InputError, PunctumError
from ..files.atomic import remove_drafts
from ..text.name_index import NameIndex
from .changes import Change
from .clicks import Click, read_clicks, write_clicks
from .editable import Conflict, span_record
from .lock import FolderLock
from .together import SAVED, complete, write_together
from .undo import Labels, replaced
from .watched import Watched

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_ANSWERS = 1000  # changes that are known when they are sent again


def utc_now() -> str:
    """The time of day in UTC, to the second."""
    return datetime.now(UTC).strftime(_TIME)


def earlier(text: str, age_s: float) -> str:
    """A time of day so many seconds before another one, to the second."""
    return (datetime.strptime(text, _TIME) - timedelta(seconds=age_s)).strftime(_TIME)


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
        self._actions: dict[str, dict[str, int]] = {}
        self._answers: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._record = ""
        self._given = classes
        self.background_file = points_file.with_name(BACKGROUND)
        self._files = {"record": folder / RECORD, "spans": self.background_file, "clicks": points_file}
        self._watched = Watched(folder, self._files.values())
        self.clicks: dict[str, Click] = {}
        self.spans: dict[str, BackgroundRow] = {}
        """Certified background by id."""
        self.classes: list[str] = []
        self.labeling = Labeling()
        self.version = 0
        """Number of changes since the start."""
        self._lock = FolderLock(folder)
        try:
            self.identity = _identity(folder, points_file)
            """Stays the same when the folder is labeled again: changes of another folder are not for this one."""
            for path in (*self._files.values(), folder / SAVED):
                remove_drafts(path)
            complete(folder / SAVED, self._files)
            self._load()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let other processes label the folder."""
        self._lock.close()

    def apply(self, change: Change) -> dict[str, Any]:
        """Make a change and save it. Returns the event that tells pages about it; see `changes`.

        Raises:
            InputError: The change is not possible.
            Conflict: Another page has changed the same click.
            PunctumError: The files cannot be written, or read because another program is writing them; nothing has
                changed then, and the change can be sent again.
        """
        with self._busy:
            try:
                reloaded = self._reload()
            except InputError as error:  # the change is not at fault
                raise PunctumError(
                    error.code, error.given, error.allowed, error.next_step, required=error.required
                ) from error
            if change.key in self._answers:
                known = self._answers[change.key]
                return {**known, "version": self.version, "counts": self.counts(), "reload": True}
            before = self._copy()
            try:
                event = change.apply(self)
                if event:
                    self._save(change)
            except Conflict as conflict:
                conflict.reloaded = reloaded
                raise
            except BaseException:
                self.clicks, self.labeling = dict(before.clicks), before.labeling
                self.classes, self.spans = before.classes, dict(before.spans)
                self._actions.clear()
                raise
            if event or reloaded:
                self.version += 1
            restore = {"restore": replaced(before, self, change.ident)} if event and change.can_be_undone else {}
            if change.key:
                self._answers[change.key] = restore
                while len(self._answers) > _ANSWERS:
                    self._answers.popitem(last=False)
            return {**event, **restore, "version": self.version, "counts": self.counts(), "reload": reloaded}

    def refresh(self) -> bool:
        """Take over what another program wrote to the files. Returns whether there was anything."""
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
                "background": [span_record(row) for row in self.spans.values()],
                "confirmed": self.labeling.confirmed,
            }

    def snapshot(self) -> tuple[list[Click], list[BackgroundRow], Labeling]:
        """Copies of clicks, certified background and marks."""
        with self._busy:
            now = self._copy()
            return list(now.clicks.values()), list(now.spans.values()), now.labeling

    def has_clicks(self, video: str, annotator: str | None = None) -> bool:
        """Whether a video has clicks. annotator: only those of this one, and those of nobody, which everybody edits."""
        who = None if annotator is None else ("", annotator)
        return any(c.video == video and (who is None or c.annotator in who) for c in self.clicks.values())

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

    def now(self, age_s: float = 0.0) -> str:
        """The time of day, or that of so many seconds ago."""
        return earlier(self._now(), age_s) if age_s >= 1 else self._now()

    def _copy(self) -> Labels:
        return Labels(dict(self.clicks), self.labeling.copy(), list(self.classes), dict(self.spans))

    def _save(self, change: Change) -> None:
        texts: dict[str, str] = {}
        if not self.fixed:
            self.labeling.classes = list(self.classes)
        text = json.dumps(self.labeling.to_record(), indent=1, ensure_ascii=False) + "\n"
        if text != self._record:
            texts["record"] = text
        if change.saves_spans and (self.spans or self.background_file.exists()):
            texts["spans"] = write_background(self.spans.values())
        if change.saves_clicks:
            texts["clicks"] = write_clicks(self.clicks.values())
        write_together(self.folder / SAVED, self._files, texts)
        self._record, self._given = text, self._given if self.fixed else ()
        self._watched.note()

    def _reload(self) -> bool:
        completed = complete(self.folder / SAVED, self._files)
        if not completed:
            if not self._watched.changed():
                return False
            self._watched.settle()
        self._load()
        return True

    def _load(self) -> None:
        seen = self._watched.now()
        labeling, record = self._read_record()
        before, self.classes = (
            self.classes,
            list(dict.fromkeys([*self._given, *([] if self.fixed else labeling.classes)])),
        )
        try:
            self._read_clicks_and_spans()
        except BaseException:
            self.classes = before
            raise
        self.labeling, self._record = labeling, record
        self._actions.clear()
        self._watched.note(seen)

    def _read_record(self) -> tuple[Labeling, str]:
        """The content of labeling.json, and its text. If it was removed meanwhile, nothing of it is lost."""
        path = self._files["record"]
        if not path.exists():
            return (self.labeling, "") if self._watched.known else (Labeling(), "")
        found = read_labeling(self.folder)
        try:
            return found, path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):  # in another encoding: it is written again
            return found, ""

    def _read_clicks_and_spans(self) -> None:
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
        spans = self._read_spans()
        if not self.fixed:
            known = NameIndex(self.classes)
            self.classes += dict.fromkeys(s.label for s in spans.values() if s.label and known.find(s.label) is None)
        self.clicks, self.spans = {click.id: click for click in found}, spans

    def _read_spans(self) -> dict[str, BackgroundRow]:
        """Certified background by id; rows of another program get one."""
        known, spans = NameIndex(self.classes), dict[str, BackgroundRow]()
        for row in read_background(self.background_file):
            video, label = self._index.find(row.video) or row.video, known.find(row.label) or row.label
            base = row.id or f"{video}-{row.start_s:g}-{row.end_s:g}"
            ident, number = base, 2
            while ident in spans:
                ident, number = f"{base}-{number}", number + 1
            spans[ident] = replace(row, id=ident, video=video, label=label)
        return spans


def _identity(folder: Path, points_file: Path) -> str:
    """The place of the points file, and which folder that is: another one may have taken its place."""
    facts = f"{points_file.resolve()}\0{folder.stat().st_ino}"
    return hashlib.sha256(facts.encode("utf-8", "surrogateescape")).hexdigest()[:16]
