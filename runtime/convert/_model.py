"""What all forms have in common: actions and clicks on videos, in seconds on the media clock."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from .._text import short
from ..errors import InputError
from ..events import Event

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

    def apart(self) -> Iterator[Timelines]:
        """Every video on its own, with the classes of all."""
        classes = self.classes
        for video, marks in self.by_video().items():
            yield replace(self, marks=tuple(marks), videos=(video,), labels=classes)

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
    marks = []
    for where, mark in rows:
        label, video = mark.label.strip(), mark.video.strip()
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
        marks.append(mark if (label, video) == (mark.label, mark.video) else replace(mark, label=label, video=video))
    return Timelines(
        tuple(marks),
        tuple(dict.fromkeys([*videos, *(mark.video for mark in marks)])),
        tuple(dict.fromkeys(labels)),
        fps or {},
        duration or {},
        tuple(notes),
    )


def merge(parts: Iterable[Timelines]) -> Timelines:
    """Several files as one, in their order; equal notes are said once, with how often they came."""
    parts = list(parts)
    if len(parts) == 1:
        return parts[0]
    notes = Counter(note for part in parts for note in part.notes)
    return Timelines(
        tuple(mark for part in parts for mark in part.marks),
        tuple(dict.fromkeys(video for part in parts for video in part.videos)),
        tuple(dict.fromkeys(label for part in parts for label in part.labels)),
        {video: fps for part in parts for video, fps in part.fps.items()},
        {video: seconds for part in parts for video, seconds in part.duration.items()},
        tuple(note if n == 1 else f"{note} (in {n} files)" for note, n in notes.items()),
    )


def counted(number: int, thing: str) -> str:
    """`3 clicks`, `1 action`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _bad_name(text: str, what: str) -> str:
    if not text:
        return f"it has no {what}"
    if any(unicodedata.category(c) in ("Cc", "Cs") or c in "\u2028\u2029\ufffe\uffff" for c in text):
        return f"its {what} {text!r} holds characters that are not text"
    return ""
