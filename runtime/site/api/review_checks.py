"""Checks of reviews: a class must not be a misspelling, and edges have to fit the event and its clip."""

from __future__ import annotations

import re

from ...text.display import is_plain, shown
from ..store.rows import EventRow
from .problems import refusal

_LEEWAY_S = 0.25  # of the end of a clip, as browsers know it
_BEYOND_S = 30.0  # that edges may lie outside of an event without a clip


def checked_edges(row: EventRow, start: float | None, end: float | None) -> tuple[float, float]:
    """The edges of a review. Those that are not given are those of the event.

    Nobody has seen what lies outside of the clip, and a click is made at the middle of the action: edges that lie there
    would make a click at another place.

    Raises:
        ApiProblem: They are no span, do not touch the event, or lie outside of the clip.
    """
    event = row.event
    first, last = event.start if start is None else start, event.end if end is None else end
    if not 0 <= first < last:
        raise unfit("start is not before end", f"0 <= start < end; the event is from {_span(event.start, event.end)}")
    if first > max(event.end, event.start) or last < event.start:
        raise unfit(
            f"The edges {_span(first, last)} do not touch the event",
            f"a span that overlaps {_span(event.start, event.end)}",
            "review it as wrong if there is no action of its class in this span",
        )
    clip = row.clip if row.clip is not None and row.clip.path is not None else None
    least = clip.start_s - _LEEWAY_S if clip is not None else event.start - _BEYOND_S
    most = clip.end_s + _LEEWAY_S if clip is not None else event.end + _BEYOND_S
    what = "the clip of the event" if clip is not None else f"{_BEYOND_S:g} s around the event, which has no clip"
    for name, given, at in (("start", start, first), ("end", end, last)):
        if given is not None and not least <= at <= most:
            allowed = _span(clip.start_s, clip.end_s) if clip is not None else _span(max(least, 0.0), most)
            raise unfit(f"{name} {at:.3f} s is outside of {what}", allowed, "give seconds on the media clock")
    return first, last


def check_class(label: str, known: list[str]) -> None:
    """Raises ApiProblem for a class that no bundle has and that is none: a slip of the pen would become one."""
    if label in known:
        return
    if label != " ".join(label.split()) or not is_plain(label) or not any(map(str.isalnum, label)):
        raise unfit("label is not the name of a class: letters or digits, single spaces, no control characters")
    twin = next((one for one in known if _folded(one) == _folded(label)), None)
    if twin is not None:
        raise unfit(f"label is another spelling of the class {shown(twin, 80)!r}")


def unfit(text: str, allowed: str = "", next_step: str = "") -> Exception:
    """The error for a body that cannot be right."""
    form = "the form that api/v1/openapi.json describes"
    return refusal(422, "site-api-form", text, allowed or form, next_step or "correct the body")


def _folded(label: str) -> str:
    return re.sub(r"[\s_-]+", "", label.casefold()) or label


def _span(start: float, end: float) -> str:
    return f"{start:.3f} to {end:.3f} s"
