"""Whether labels already say what an event is: a click in it or near it, or certified background.

A click near an event marks the same action if it is no farther away than the class usually lasts.
"""

from __future__ import annotations

from .labels import Labels
from .round_result import RoundEvent, RoundResult

SURE, UNKNOWN_S = 0.3, 1.0
"""Score of the events that tell the duration of a class, and the duration of a class without one."""
NEAR_SHARE = 0.5
"""A click of its class this share of an event's length before or after it probably marks the same action."""


def typical_lengths(found: RoundResult) -> dict[str, float]:
    """Median duration of the confident events of each class in seconds; classes without one are left out."""
    lengths: dict[str, list[float]] = {}
    for video in found.videos.values():
        for event in video.events:
            if event.score >= SURE:
                lengths.setdefault(event.label, []).append(event.end_s - event.start_s)
    return {label: sorted(values)[len(values) // 2] for label, values in lengths.items()}


def typical_s(found: RoundResult, label: str) -> float:
    """Median duration of the confident events of a class in seconds; `UNKNOWN_S` without any."""
    return typical_lengths(found).get(label, UNKNOWN_S)


def reach(event: RoundEvent, typical: float) -> float:
    """Seconds before or after an event in which a click of its class probably marks the same action.

    typical: duration of the class.
    """
    return max(NEAR_SHARE * (event.end_s - event.start_s), typical)


def is_settled(event: RoundEvent, video: str, labels: Labels, typical: float) -> bool:
    """Whether a click in or near an event, or certified background, says already what it is."""
    near = reach(event, typical)
    for click in labels.clicks.get(video, ()):
        if event.start_s <= click.time_s <= event.end_s:
            return True
        if click.label == event.label and event.start_s - near <= click.time_s <= event.end_s + near:
            return True
    for span in labels.spans.get(video, ()):
        shared = min(event.end_s, span.end_s) - max(event.start_s, span.start_s)
        if span.label in ("", event.label) and shared >= 0.5 * (event.end_s - event.start_s):
            return True
    return False
