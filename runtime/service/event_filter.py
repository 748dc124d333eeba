"""Which events of a live run are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..events.event import Event


@dataclass(slots=True)
class EventFilter:
    """Passes events of some labels, and those whose score once reached a minimum.

    An event that has passed once passes in all later phases, so that a provisional event never lacks its final one.

    Args:
        labels: Labels that pass; empty: all.
        min_score: Score from which an event passes for the first time.
        reported: Ids of events that have passed and are still open. Part of a snapshot.
    """

    labels: frozenset[str] = frozenset()
    min_score: float = 0.0
    reported: set[str] = field(default_factory=set)

    def __call__(self, events: Sequence[Event]) -> list[Event]:
        """The events that pass, in order."""
        passed = []
        for event in events:
            if self.labels and event.label not in self.labels:
                continue
            known = event.id in self.reported
            if not known and (event.score < self.min_score or event.phase == "retracted"):
                continue
            if event.phase in ("final", "retracted"):
                self.reported.discard(event.id)
            else:
                self.reported.add(event.id)
            passed.append(event)
        return passed
