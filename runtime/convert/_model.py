"""What all forms have in common: actions and clicks on videos, in seconds on the media clock."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from ..errors import InputError
from ..events.event import Event
from ..text.display import short
from ..text.names import clean_name, media_path

# Far beyond any recording, and clocks that count from 1970 still fit.
LATEST_S = 1e10


@dataclass(frozen=True, slots=True)
class Mark:
    """An action [start, end) or, where end is None, a click at `start`. Seconds on the media clock of the video.

    score: confidence, None where nobody gave one. event: all of it, where the form carries events.
    """

    video: str
    label: str
    start: float
    end: float | None = None
    score: float | None = None
    event: Event | None = None

    @property
    def is_click(self) -> bool:
        return self.end is None


@dataclass(frozen=True, slots=True)
class Timelines:
    """Marks of some videos, in the order of the source.

    videos: all of them, also those without a mark; labels: classes that the source declares, used or not; fps and
    duration (seconds) of videos where known; notes: what reading left out or had to assume, one sentence each.
    """

    marks: tuple[Mark, ...] = ()
    videos: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    fps: dict[str, float] = field(default_factory=dict)
    duration: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def actions(self) -> int:
        return sum(not mark.is_click for mark in self.marks)

    @property
    def clicks(self) -> int:
        return sum(mark.is_click for mark in self.marks)

    @property
    def classes(self) -> tuple[str, ...]:
        """Declared classes, then others in order of appearance."""
        return tuple(dict.fromkeys([*self.labels, *(mark.label for mark in self.marks)]))

    def apart(self, by: Callable[[str], str] | None = None) -> Iterator[Timelines]:
        """Every video on its own, or the videos of which `by` says the same; with the classes of all."""
        classes = self.classes
        groups: dict[str, list[str]] = {}
        for video in self.videos:
            groups.setdefault(by(video) if by else video, []).append(video)
        marks = self.by_video()
        for videos in groups.values():
            yield replace(self, marks=tuple(m for v in videos for m in marks[v]), videos=tuple(videos), labels=classes)

    def by_class(self) -> Iterator[Timelines]:
        """Every class on its own, with the videos in which it occurs."""
        for label in self.classes:
            marks = tuple(mark for mark in self.marks if mark.label == label)
            yield replace(self, marks=marks, videos=_unique(mark.video for mark in marks), labels=(label,))

    def by_video(self) -> dict[str, list[Mark]]:
        """Marks of every video, videos without marks included."""
        found: dict[str, list[Mark]] = {video: [] for video in self.videos}
        for mark in self.marks:
            found[mark.video].append(mark)
        return found


def gather(
    rows: Iterable[tuple[str, Mark]],
    *,
    videos: Iterable[str] = (),
    labels: Iterable[str] = (),
    fps: dict[str, float] | None = None,
    duration: dict[str, float] | None = None,
    notes: Iterable[str] = (),
) -> Timelines:
    """Timelines from (place in the source, mark) pairs. Raises InputError naming the place of a mark that is wrong."""
    rows, videos, labels = list(rows), list(videos), list(labels)
    names = _Spelling([*videos, *(duration or {}), *(fps or {}), *(mark.video for _, mark in rows)])
    classes = _Spelling([*labels, *(mark.label for _, mark in rows)])
    seconds = {names[video]: d for video, d in (duration or {}).items()}
    marks = []
    beyond: list[str] = []
    empty = 0
    for where, mark in rows:
        label, video = classes[mark.label], names[mark.video]
        wrong = _bad_name(label, "class") or _bad_name(video, "video")
        if not 0 <= mark.start <= LATEST_S:
            wrong = wrong or f"it starts at {short(mark.start)} s"
        if mark.end is not None and not mark.start <= mark.end <= LATEST_S:
            wrong = wrong or f"it lasts from {short(mark.start)} to {short(mark.end)} s"
        if mark.score is not None and not math.isfinite(mark.score):
            wrong = wrong or f"its score is {mark.score}"
        if wrong:
            raise InputError(
                "mark-invalid",
                f"{where}: {wrong}",
                "a class, a video, finite scores and seconds with 0 <= start <= end",
                "fix the entry",
            )
        empty += mark.end == mark.start
        if (length := seconds.get(video)) is not None and _is_beyond(where, mark, length):
            beyond.append(f"{video}: {_span(mark)} of {length:g} s")
        marks.append(mark if (label, video) == (mark.label, mark.video) else replace(mark, label=label, video=video))
    said = [*notes, *names.notes("videos"), *classes.notes("classes")]
    if beyond:
        said.append(f"{counted(len(beyond), 'mark')} beyond the end of the video that the file states ({beyond[0]})")
    if empty:
        said.append(f"{counted(empty, 'action')} of no length: evaluators count such truth as never found")
    for what, known in (("video", names), ("class", classes)):
        for name in known.values():
            if wrong := _bad_name(name, what):
                raise InputError("mark-invalid", f"a {what}: {wrong}", f"a {what} with a name", "fix the entry")
    return Timelines(
        tuple(marks),
        _unique(names[video] for video in [*videos, *(mark.video for mark in marks)]),
        _unique(classes[label] for label in labels),
        {names[video]: rate for video, rate in (fps or {}).items()},
        seconds,
        tuple(said),
    )


class _Spelling(dict[str, str]):
    """Names as they are used: without space around them, and those that differ by Unicode form alone as one."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        self._first: dict[str, str] = {}
        self._others: list[str] = []
        for text in dict.fromkeys(names):
            name, key = text.strip(), clean_name(text)
            self[text] = self._first.setdefault(key, name)
            if self[text] != name:
                self._others.append(name)

    def notes(self, what: str) -> list[str]:
        """A note where two spellings became one."""
        if not self._others:
            return []
        return [f"{what} that differ by their Unicode form alone are taken as one: {clean_name(self._others[0])}"]


def _is_beyond(where: str, mark: Mark, length: float) -> bool:
    """Whether a mark leaves its video. Raises InputError where it is so far behind that the unit must be another."""
    if mark.start > 10 * max(length, 1.0):
        raise InputError(
            "mark-outside",
            f"{where}: {_span(mark)} in a video of {length:g} s, by the same file",
            "seconds within the video",
            "correct the duration, or the unit of the times (milliseconds?)",
        )
    return max(mark.start, mark.end or 0.0) > length + max(1.0, 0.01 * length)


def _span(mark: Mark) -> str:
    return f"{mark.start:g} s" if mark.end is None else f"{mark.start:g} to {mark.end:g} s"


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def similar_names(names: Iterable[str], what: str, *, media: bool = False) -> list[str]:
    """A note for names that a person may take for one: they differ by case, spaces within, or (media) their ending."""
    groups: dict[str, list[str]] = {}
    for name in _unique(names):
        key = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
        if media and (path := media_path(key)) is not None:
            key = path
        groups.setdefault(key, []).append(name)
    alike = [group for group in groups.values() if len(group) > 1]
    if not alike:
        return []
    shown = ", ".join(repr(name) for name in alike[0])
    how = "case, spaces or endings" if media else "case or spaces"
    return [f"{what} that differ by {how} alone are kept apart: {shown}" + (", ..." if alike[1:] else "")]


def merge(parts: Iterable[Timelines]) -> Timelines:
    """Several files as one, in their order; equal notes are said once, with how often they came."""
    parts = list(parts)
    if len(parts) == 1:
        return parts[0]
    said = Counter(note for part in parts for note in part.notes)
    names = _Spelling(video for part in parts for video in part.videos)
    classes = _Spelling(label for part in parts for label in part.classes)
    return Timelines(
        tuple(
            mark
            if (classes[mark.label], names[mark.video]) == (mark.label, mark.video)
            else replace(mark, label=classes[mark.label], video=names[mark.video])
            for part in parts
            for mark in part.marks
        ),
        _unique(names[video] for part in parts for video in part.videos),
        _unique(classes[label] for part in parts for label in part.labels),
        {names[video]: fps for part in parts for video, fps in part.fps.items()},
        {names[video]: seconds for part in parts for video, seconds in part.duration.items()},
        (
            *(note if n == 1 else f"{note} (in {n} files)" for note, n in said.items()),
            *names.notes("videos"),
            *classes.notes("classes"),
        ),
    )


def counted(number: int, thing: str) -> str:
    """`3 clicks`, `1 action`."""
    plural = "es" if thing.endswith(("s", "ch", "x")) else "s"
    return f"{number} {thing}{'' if number == 1 else plural}"


def _bad_name(text: str, what: str) -> str:
    if not text:
        return f"it has no {what}"
    if what == "video" and text in (".", ".."):  # a folder to every tool that makes a path of it
        return f"its video is called {text!r}"
    if any(unicodedata.category(c) in ("Cc", "Cs") or c in "\u2028\u2029\ufffe\uffff" for c in text):
        return f"its {what} {text[:80]!r} holds characters that are not text"
    return ""
