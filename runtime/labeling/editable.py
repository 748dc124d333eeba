"""What changes are made to, and the state of a click that a page did not know of."""

from __future__ import annotations

from typing import Any, Protocol

from ..datasets.background import BackgroundRow
from ..datasets.labeled import Labeling
from .clicks import Click


class Editable(Protocol):
    """What changes are made to; see `ClickStore`."""

    clicks: dict[str, Click]
    spans: dict[str, BackgroundRow]
    classes: list[str]
    labeling: Labeling
    videos: list[str]
    fixed: bool

    def touch(self, video: str) -> None: ...

    def has_clicks(self, video: str, annotator: str | None = None) -> bool: ...

    def now(self, age_s: float = 0.0) -> str: ...


class Conflict(Exception):
    """Another page has changed the click. click: its state now; None if it is gone."""

    def __init__(self, click: Click | None) -> None:
        super().__init__("the click was changed elsewhere")
        self.click, self.reloaded = click, False


def unmark(marks: dict[str, dict[str, str]], key: str, who: str) -> None:
    """Remove the mark of an annotator. who: empty for all annotators."""
    people = marks.get(key, {})
    if who:
        people.pop(who, None)
    if not who or not people:
        marks.pop(key, None)


def span_record(row: BackgroundRow) -> dict[str, Any]:
    """A span of certified background for pages."""
    return {
        "id": row.id,
        "video": row.video,
        "start_s": row.start_s,
        "end_s": row.end_s,
        "label": row.label or None,
        "annotator": row.annotator,
        "created": row.created,
    }
