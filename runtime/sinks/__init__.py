"""Outputs of events: text formats, files and standard output, MQTT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..events.event import Event
from .formats import to_activitynet, to_jsonl

__all__ = ["Sink", "to_activitynet", "to_jsonl"]


class Sink(Protocol):
    """Receives events as they occur."""

    name: str

    def write(self, events: Sequence[Event]) -> None:
        """Raises PunctumError where the events cannot be stored or queued."""
        ...

    def close(self) -> int:
        """Deliver what is queued, and return the number of final events that were lost."""
        ...
