"""The clicks of a folder. This is their single writer: every change is on disk before it is acknowledged.

Pages may send a change twice, because an answer was lost; the second time has no effect. A change of a click that
another page has changed in between is refused with the state that it has now. If another program has changed the points
file, its content is taken first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ..datasets.annotators import Mark, one_per_action
from ..datasets.background import FILE as BACKGROUND
from ..datasets.background import BackgroundRow, write_background
from ..datasets.labeled import RECORD, Labeling
from ..errors import InputError, PunctumError
from ..files.atomic import remove_drafts
from ..files.regular import need_regular
from ..text.display import as_utf8
from .changes import Change
from .clicks import Click, write_clicks
from .editable import Conflict, span_record
from .lock import WORK, FolderLock, digest, folder_id
from .loss import tell_lost_clicks, tell_lost_spans
from .reading import LabelReader, text_of
from .together import SAVED, complete, write_together
from .undo import Labels, replaced
from .verify import verify
from .watched import Changed, Watched, writing

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_ANSWERS = 1000  # changes that are known when they are sent again
_TRIES = 5  # of a change while another program writes as well
_NOTICES = 5


def utc_now() -> str:
    """The time of day in UTC, to the second."""
    return datetime.now(UTC).strftime(_TIME)


def earlier(text: str, age_s: float) -> str:
    """Subtract `age_s` seconds from a UTC time, given and returned as text to the second."""
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
        self._now = now
        self._busy = threading.Lock()
        self._actions: dict[str, dict[str, int]] = {}
        self._answers: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._record = ""
        self._given = classes
        self.background_file = points_file.with_name(BACKGROUND)
        self._files = {"record": folder / RECORD, "spans": self.background_file, "clicks": points_file}
        self._reader = LabelReader(self._files, videos, fixed=fixed, seconds=seconds)
        self._watched = Watched(folder, self._files.values())
        self.clicks: dict[str, Click] = {}
        self.spans: dict[str, BackgroundRow] = {}
        """Certified background by id."""
        self.classes: list[str] = []
        self.labeling = Labeling()
        self.version = 0
        """Number of changes since the start."""
        self.notices: list[str] = []
        """What pages have to tell: labels that another program removed."""
        self._lock = FolderLock(folder, points_file)
        try:
            need_regular([*self._files.values(), folder / SAVED])
            ident, place = folder_id(folder), str(points_file.resolve())
            self.identity = digest(place, ident)
            """Stays the same when the folder is labeled again: changes of another folder are not for this one."""
            self.origin = digest(ident, points_file.name)
            """The same for a copy of the folder, or for the folder at another place."""
            for path in (*self._files.values(), folder / SAVED):
                remove_drafts(path)
            complete(folder / SAVED, self._files)
            self._load()
        except BaseException:
            self.close()
            raise

    @property
    def there(self) -> bool:
        """Whether the folder is at its place: it may be moved, unmounted or replaced while pages are open."""
        return not self.gone

    @property
    def gone(self) -> str:
        """Why the folder is not at its place; empty if it is."""
        return self._lock.gone

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
            reloaded = False
            for _ in range(_TRIES):
                try:
                    reloaded = self._reload() or reloaded
                except InputError as error:  # the change is not at fault
                    raise PunctumError(
                        error.code, error.given, error.allowed, error.next_step, required=error.required
                    ) from error
                try:
                    return self._apply(change, reloaded=reloaded)
                except Changed:  # just before it was written
                    continue
            raise writing(self.folder)

    def _apply(self, change: Change, *, reloaded: bool) -> dict[str, Any]:
        if change.key in self._answers:
            known = self._answers[change.key]
            return {**known, "version": self.version, "counts": self.counts(), "reload": True}
        before = self._copy()
        try:
            event = change.apply(self)
            if event:
                self._save(change, before)
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
                "notices": self.notices,
                "gone": as_utf8(self.gone),
            }

    def snapshot(self) -> tuple[list[Click], list[BackgroundRow], Labeling]:
        """Copies of clicks, certified background and marks."""
        with self._busy:
            now = self._copy()
            return list(now.clicks.values()), list(now.spans.values()), now.labeling

    def names(self) -> tuple[list[str], list[tuple[str, str]]]:
        """The classes, and all changes of their names."""
        with self._busy:
            return list(self.classes), list(self.labeling.renamed)

    @property
    def points_name(self) -> str:
        """The points file as readers of the folder name it."""
        if self.points_file.is_relative_to(self.folder):
            return self.points_file.relative_to(self.folder).as_posix()
        return self.points_file.name

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
        """The UTC time `age_s` seconds ago, as text."""
        return earlier(self._now(), age_s) if age_s >= 1 else self._now()

    def _copy(self) -> Labels:
        return Labels(dict(self.clicks), self.labeling.copy(), list(self.classes), dict(self.spans))

    def _save(self, change: Change, before: Labels) -> None:
        if not self.fixed:
            self.labeling.classes = list(self.classes)
        text, texts = text_of(self.labeling), dict[str, str]()
        verify(before, self, self._files, text, exact=change.op == "undo")
        if text != self._record:
            texts["record"] = text
        if change.saves_spans and (self.spans or self.background_file.exists()):
            texts["spans"] = write_background(self.spans.values())
        if change.saves_clicks:
            texts["clicks"] = write_clicks(self.clicks.values())
        write_together(self.folder / SAVED, self._files, texts, self._watched)
        self._lock.check()
        self._record, self._given = text, self._given if self.fixed else ()

    def _reload(self) -> bool:
        self._lock.check()
        completed = complete(self.folder / SAVED, self._files)
        if not completed:
            if not self._watched.changed():
                return False
            self._watched.settle()
        self._load(own=completed)
        return True

    def _load(self, *, own: bool = False) -> None:
        """Read the files. own: they are what this process wrote."""
        need_regular(self._files.values())
        seen = self._watched.now()
        known = self.labeling if self._watched.known else None
        labels, record = self._reader.read(self._given, self.clicks, known)
        if self._watched.known and not own:
            work = self.folder / WORK
            told = [
                tell_lost_clicks(work, self.points_file, self.clicks, labels.clicks.values()),
                tell_lost_spans(work, self.background_file, self.spans, labels.spans),
            ]
            self.notices = [*self.notices, *filter(None, told)][-_NOTICES:]
        self.clicks, self.spans = dict(labels.clicks), dict(labels.spans)
        self.classes, self.labeling, self._record = labels.classes, labels.labeling, record
        self._actions.clear()
        self._watched.note(seen)
