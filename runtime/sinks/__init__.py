"""Where events go: text formats, files and standard output, MQTT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..events.event import Event
from .formats import to_activitynet, to_jsonl

__all__ = ["Sink", "to_activitynet", "to_jsonl"]


class Sink(Protocol):
    """Takes events as they come. Raises PunctumError when it cannot."""

    name: str

    def write(self, events: Sequence[Event]) -> None: ...

    def close(self) -> int:
        """Deliver what is left. Returns the number of final events that were lost."""
        ...
