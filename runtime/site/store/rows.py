"""What the store takes and gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ...errors import InputError
from ...events.event import Event, Phase
from ...text.display import is_plain, shown

Kind = Literal["clip", "picture"]
Verdict = Literal["right", "wrong", "class", "edges"]
CLOSED = ("final", "retracted")
MOST_NOTE = 2000
MOST_ITEMS = 1000


@dataclass(frozen=True, slots=True)
class Report:
    """One report about an action, as it was received.

    Attributes:
        id: Grows by at least one per report; never used again.
        camera: Name of the camera.
        bundle: Name of the bundle in the configuration; `event.bundle` is its id.
        event: The report.
        received_unix: When it was received.
    """

    id: int
    camera: str
    bundle: str
    event: Event
    received_unix: float


@dataclass(frozen=True, slots=True)
class MediaRow:
    """A clip or picture of an event, or why there is none.

    Attributes:
        camera: Name of the camera.
        event: Id of the event.
        kind: "clip" or "picture".
        path: The file; None: there is none.
        bytes: Its size.
        start_s: Media time at which it starts.
        end_s: Media time at which it ends.
        why: Why there is no file; empty where there is one.
        created_unix: When it was added.
    """

    camera: str
    event: str
    kind: Kind
    path: str | None
    bytes: int
    start_s: float
    end_s: float
    why: str
    created_unix: float


@dataclass(frozen=True, slots=True)
class Review:
    """What a person says about an event.

    Attributes:
        verdict: "right", "wrong" (no such action), "class" (another class), or "edges" (another start or end).
        label: The class, for "class".
        start: Start on the media clock, for "edges".
        end: End on the media clock, for "edges".
        by: Who.
        unix: When.
        note: Free text.
    """

    verdict: Verdict
    label: str | None = None
    start: float | None = None
    end: float | None = None
    by: str = ""
    unix: float = 0.0
    note: str = ""

    def check(self) -> None:
        """Raises InputError for a review that says nothing, or contradicts itself."""
        wrong = ""
        if self.verdict not in ("right", "wrong", "class", "edges"):
            wrong = f"the verdict is {shown(repr(self.verdict), 40)}"
        elif (self.verdict == "class") != bool(self.label):
            wrong = f"the verdict is {self.verdict}, {'and there is no' if not self.label else 'with a'} label"
        elif (self.verdict == "edges") != (self.start is not None and self.end is not None):
            wrong = f"the verdict is {self.verdict}, and start and end do not fit"
        elif self.start is not None and self.end is not None and not _is_span(self.start, self.end):
            wrong = f"the action runs from {self.start} to {self.end} s"
        if not wrong and not all(is_plain(text) for text in (self.label or "", self.by)):
            wrong = "the label or the name contains control characters"
        if not wrong and (len(self.note) > MOST_NOTE or len(self.by) > 200 or len(self.label or "") > 200):
            wrong = "a text is too long"
        if wrong:
            raise InputError(
                "site-review",
                f"The review cannot be used: {wrong}",
                "right, wrong, class with a label, edges with start and end",
                "correct the review",
            )


def _is_span(start: float, end: float) -> bool:
    return math.isfinite(start) and math.isfinite(end) and start < end


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """The review of one event."""

    camera: str
    event: str
    review: Review


@dataclass(frozen=True, slots=True)
class EventRow:
    """An action with its latest report.

    Attributes:
        camera: Name of the camera.
        id: Id of the event.
        event: The latest report.
        bundle: Name of the bundle in the configuration.
        first_unix: When its first report was received.
        updated_unix: When its latest report was received.
        start_unix: Time of day of its start; None if it is not known.
        end_unix: Time of day of its end.
        clip: Its clip.
        picture: Its picture.
        review: Its review.
    """

    camera: str
    id: str
    event: Event
    bundle: str
    first_unix: float
    updated_unix: float
    start_unix: float | None
    end_unix: float | None
    clip: MediaRow | None = None
    picture: MediaRow | None = None
    review: Review | None = None


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events; None or empty: any.

    Attributes:
        start_unix: Events that start at or after this time of day, by the start in their first report. Events without
            a time of day have that at which they were first reported.
        end_unix: Events that start before this time of day, likewise.
        cameras: Names of cameras.
        labels: Classes.
        min_score: Minimum score.
        bundles: Names of bundles in the configuration.
        reviewed: Whether they have a review.
        phases: Phases of the latest report.
        before: The cursor `next` of the page before.
        limit: Number of events of a page, 1 to 1000.
    """

    start_unix: float | None = None
    end_unix: float | None = None
    cameras: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    min_score: float | None = None
    bundles: tuple[str, ...] = ()
    reviewed: bool | None = None
    phases: tuple[Phase, ...] = ()
    before: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events, those that start last first, by the start in their first report.

    Attributes:
        next: The cursor of the next page; None at the end.
    """

    items: list[EventRow]
    next: str | None


@dataclass(frozen=True, slots=True)
class GapRow:
    """Media that is missing, or was not processed.

    Attributes:
        camera: Name of the camera.
        start_s: Start on the media clock.
        end_s: End on the media clock.
        start_unix: Time of day of the start.
        end_unix: Time of day of the end.
        snippets: Snippets of features that it lasts.
        reason: Why.
    """

    camera: str
    start_s: float
    end_s: float
    start_unix: float
    end_unix: float
    snippets: int
    reason: str


@dataclass(frozen=True, slots=True)
class GapPage:
    """Gaps, those that begin last first. next: the cursor of the next page; None at the end."""

    items: list[GapRow]
    next: str | None


def report_of(row: Sequence[Any]) -> Report:
    """A report of the columns id, camera, bundle, json, received."""
    return Report(row[0], row[1], row[2], Event.from_json(row[3]), row[4])


def marks(values: Sequence[object]) -> str:
    """Placeholders for values of a statement."""
    return ",".join("?" * len(values))
