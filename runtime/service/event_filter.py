"""Which events of a live run are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..bundle.operating_point import MinScore, minimum
from ..events.event import Event


@dataclass(slots=True)
class EventFilter:
    """Passes events of some labels, and those whose score once reached a minimum.

    What passes is a complete sequence of its own: it begins with revision 0, as `open` if the action still runs, and
    ends exactly once. Final events are those of a whole recording with the same minimum, so an action that was reported
    and whose final score is below the minimum is retracted.

    Args:
        labels: Labels that pass; empty: all.
        min_score: Score from which an event passes for the first time, for all classes or by class.
        reported: Actions that have passed and are still open: number of earlier reports that did not pass, by id. Part
            of a snapshot.
    """

    labels: frozenset[str] = frozenset()
    min_score: MinScore = 0.0
    reported: dict[str, int] = field(default_factory=dict)

    def __call__(self, events: Sequence[Event]) -> list[Event]:
        """The events that pass, in order."""
        return [passed for event in events if (passed := self._pass(event)) is not None]

    def _pass(self, event: Event) -> Event | None:
        if self.labels and event.label not in self.labels:
            return None
        known, phase = event.id in self.reported, event.phase
        enough = event.score >= minimum(self.min_score, event.label)
        if not known and (not enough or phase == "retracted"):
            return None
        hidden = self.reported.pop(event.id, event.revision)
        if phase == "final" and not enough:
            phase = "retracted"
        elif phase in ("open", "update"):
            self.reported[event.id] = hidden
            if not known:
                phase = "update" if event.ended else "open"
        return replace(event, phase=phase, revision=event.revision - hidden)
