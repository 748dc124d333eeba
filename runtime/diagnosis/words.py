"""What a diagnosis says in words, in the terminal and on the page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..text.display import counted

if TYPE_CHECKING:
    from .diagnose import Diagnosis

TITLES = {
    "class": "wrong class",
    "localization": "badly localized",
    "confusion": "wrong class and badly localized",
    "duplicate": "duplicate",
    "background": "background",
    "merged": "merged: one event for several clicks",
    "missed": "missed: no wrong event there either",
    "all not found": "all actions that are not found, for any reason",
}
FACTORS = {"class": "class", "length": "length", "gap": "gap to the next action", "brightness": "brightness"}


def summary(result: Diagnosis, name: str) -> str:
    """One sentence about what is found, and one about the ranking."""
    least = "the bundle's minimum scores" if result.min_score is None else f"a score of {result.min_score:.3g}"
    if result.best_here:
        least += " (the best F1 here, because the events are not calibrated)"
    thing = "click" if result.by == "clicks" else "action"
    return (
        f"{name}, by {judge(result)}, {counted(result.videos, 'video')}: from {least} on, {result.actions_found} of "
        f"{counted(result.actions, thing)} found, {result.right} of {counted(result.events, 'event')} right, "
        f"F1 {number(result.f1)}. Average precision of all {counted(result.events_all, 'event')}: "
        f"{number(result.average_precision)}"
    )


def judge(result: Diagnosis) -> str:
    """What the events were judged by."""
    return "clicks" if result.tiou is None else f"ground truth at tIoU {result.tiou:g}"


def span(start_s: float, end_s: float) -> str:
    """A time or a span of time."""
    return f"{start_s:.2f} s" if end_s <= start_s else f"{start_s:.2f} to {end_s:.2f} s"


def number(value: float) -> str:
    """Three digits; "-" for NaN."""
    return f"{value:.3f}" if math.isfinite(value) else "-"


def gain(value: float) -> str:
    """A difference with its sign; "-" for NaN."""
    return f"{value:+.3f}" if math.isfinite(value) else "-"
