"""The common model of all formats: actions and clicks on videos, in seconds on the media clock."""

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

# Far beyond any recording, but clocks that count from 1970 are below it.
LATEST_S = 1e10


@dataclass(frozen=True, slots=True)
class Mark:
    """An action [start, end) or a click.

    Attributes:
        video: Name of the video.
        label: Name of the class.
        start: Start of the action, or time of the click, in seconds on the media clock.
        end: End of the action in seconds; None for a click.
        score: Confidence; None if there is none.
        event: The whole event, if the format contains events.
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
    """Actions and clicks of videos.

    Attributes:
        marks: Actions and clicks in the order of the source.
        videos: Names of all videos, including those without marks.
        labels: Classes that the source declares, used or not.
        fps: Frame rates of videos, if known.
        duration: Durations of videos in seconds, if known.
        notes: What was left out or assumed when reading, one sentence each.
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
        """Split by video, or by groups of videos with the same value of `by`. Each part has all classes."""
        classes = self.classes
        groups: dict[str, list[str]] = {}
        for video in self.videos:
            groups.setdefault(by(video) if by else video, []).append(video)
        marks = self.by_video()
        for videos in groups.values():
            yield replace(self, marks=tuple(m for v in videos for m in marks[v]), videos=tuple(videos), labels=classes)

    def by_class(self) -> Iterator[Timelines]:
        """Split by class, each with the videos in which it occurs."""
        for label in self.classes:
            marks = tuple(mark for mark in self.marks if mark.label == label)
            yield replace(self, marks=marks, videos=_unique(mark.video for mark in marks), labels=(label,))

    def by_video(self) -> dict[str, list[Mark]]:
        """Marks of each video, including videos without marks."""
        marks: dict[str, list[Mark]] = {video: [] for video in self.videos}
        for mark in self.marks:
            marks[mark.video].append(mark)
        return marks


def gather(
    rows: Iterable[tuple[str, Mark]],
    *,
    videos: Iterable[str] = (),
    labels: Iterable[str] = (),
    fps: dict[str, float] | None = None,
    duration: dict[str, float] | None = None,
    notes: Iterable[str] = (),
) -> Timelines:
    """Build timelines from pairs of (place in the source, mark). Raises InputError that names the place of an error."""
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
                required="a class, a video, finite scores and seconds with 0 <= start <= end",
                next_step="fix the entry",
            )
        empty += mark.end == mark.start
        if (length := seconds.get(video)) is not None and _is_beyond(where, mark, length):
            beyond.append(f"{video}: {_span(mark)} of {length:g} s")
        marks.append(mark if (label, video) == (mark.label, mark.video) else replace(mark, label=label, video=video))
    collected = [*notes, *names.notes("videos"), *classes.notes("classes")]
    if beyond:
        collected.append(
            f"{counted(len(beyond), 'annotation')} beyond the end of the video that the file states ({beyond[0]})"
        )
    if empty:
        collected.append(f"{counted(empty, 'action')} of zero length: evaluation counts these as never found")
    for what, known in (("video", names), ("class", classes)):
        for name in known.values():
            if wrong := _bad_name(name, what):
                raise InputError(
                    "mark-invalid",
                    f"There is a {what} with an invalid name: {wrong}",
                    required=f"a name for every {what}",
                    next_step="fix the entry",
                )
    return Timelines(
        tuple(marks),
        _unique(names[video] for video in [*videos, *(mark.video for mark in marks)]),
        _unique(classes[label] for label in labels),
        {names[video]: rate for video, rate in (fps or {}).items()},
        seconds,
        tuple(collected),
    )


class _Spelling(dict[str, str]):
    """Names without surrounding spaces; names that differ only by Unicode normalization become one."""

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
        """A note if two spellings became one."""
        if not self._others:
            return []
        return [f"{what} that differ only by Unicode form are treated as one: {clean_name(self._others[0])}"]


def _is_beyond(where: str, mark: Mark, length: float) -> bool:
    """Whether a mark is beyond its video. Raises InputError if it is so far off that the unit must be different."""
    if mark.start > 10 * max(length, 1.0):
        raise InputError(
            "mark-outside",
            f"{where}: {_span(mark)} is outside the video, whose duration in the same file is {length:g} s",
            required="seconds within the video",
            next_step="correct the duration, or the unit of the times (milliseconds?)",
        )
    return max(mark.start, mark.end or 0.0) > length + max(1.0, 0.01 * length)


def _span(mark: Mark) -> str:
    return f"{mark.start:g} s" if mark.end is None else f"{mark.start:g} to {mark.end:g} s"


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def similar_names(names: Iterable[str], what: str, *, media: bool = False) -> list[str]:
    """A note about names that may be meant to be equal: they differ by case, inner spaces or (media) extension."""
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
    how = "case, spaces or extensions" if media else "case or spaces"
    return [f"{what} that differ only by {how} are kept separate: {shown}" + (", ..." if alike[1:] else "")]


def merge(parts: Iterable[Timelines]) -> Timelines:
    """Merge the contents of files in order. Equal notes appear once, with the number of files."""
    parts = list(parts)
    if len(parts) == 1:
        return parts[0]
    notes = Counter(note for part in parts for note in part.notes)
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
            *(note if n == 1 else f"{note} (in {n} files)" for note, n in notes.items()),
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
        return f"its {what} {text[:80]!r} contains characters that are not text"
    return ""
