"""Events of a round that overlap."""

from __future__ import annotations

from collections.abc import Sequence

from .round_result import RoundEvent


def distinct(events: Sequence[RoundEvent]) -> list[RoundEvent]:
    """Events that do not repeat a better one of their class."""
    kept: list[RoundEvent] = []
    for event in sorted(events, key=lambda e: -e.score):
        if not any(_repeats(event, other) for other in kept if other.label == event.label):
            kept.append(event)
    return kept


def _repeats(event: RoundEvent, other: RoundEvent) -> bool:
    shared = min(event.end_s, other.end_s) - max(event.start_s, other.start_s)
    return shared > 0.5 * min(event.end_s - event.start_s, other.end_s - other.start_s)


def iou(a: RoundEvent, b: RoundEvent) -> float:
    shared = max(min(a.end_s, b.end_s) - max(a.start_s, b.start_s), 0.0)
    union = (a.end_s - a.start_s) + (b.end_s - b.start_s) - shared
    return shared / union if union > 0 else 0.0
