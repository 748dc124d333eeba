"""What a sink is, and how it says what became of the reports that it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ...events.event import Event
from ..store.rows import Report

Batch = Sequence[tuple[int, Report]]
"""Reports in order, each with the number of its row in the outbox."""


@dataclass(slots=True)
class Outcome:
    """What became of a batch. Rows in neither list are delivered again later, in the same order.

    Attributes:
        delivered: Rows that the sink has.
        refused: Rows that it will never take, and why.
        blocked: Cameras whose next row failed: their rows wait this many seconds (None: as usual), others go on.
        error: Why a row failed; empty if none did.
        retry_s: Seconds after which the sink wants to be tried again; None: as usual.
    """

    delivered: list[int] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    blocked: dict[str, float | None] = field(default_factory=dict)
    error: str = ""
    retry_s: float | None = None


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """What a sink may say about a camera.

    Attributes:
        labels: Classes that it reports.
        online: Whether its source runs.
    """

    labels: tuple[str, ...]
    online: bool


class Sink(Protocol):
    """An output. All methods are called by one thread, except `wants` and `interrupt`."""

    name: str
    kind: str
    most: int
    """Rows of a batch at most."""
    pace_s: float
    """Seconds between batches that are not full, for sinks where a batch is expensive."""

    def wants(self, event: Event) -> bool:
        """Whether this sink takes a report."""
        ...

    def deliver(self, batch: Batch) -> Outcome:
        """Deliver reports, in order for each camera. Opens what is necessary.

        Raises:
            PunctumError: Nothing of the batch was delivered.
        """
        ...

    def describe(self, cameras: Mapping[str, CameraInfo], removed: Sequence[str]) -> None:
        """The cameras of the site, at the start and after every change. Raises PunctumError.

        Args:
            cameras: All that there are now.
            removed: Cameras that were described before, also by an earlier process, and no longer exist.
        """
        ...

    def tick(self) -> None:
        """About once a second without work: keep a connection. Raises PunctumError."""
        ...

    def reopen(self) -> None:
        """Continue in a new file after a rotation. Raises PunctumError."""
        ...

    def interrupt(self) -> None:
        """End a wait in `deliver` soon: the service ends."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


class BaseSink:
    """A sink that takes everything and has nothing to describe or to reopen."""

    most, pace_s = 500, 0.0

    def wants(self, event: Event) -> bool:
        return True

    def describe(self, cameras: Mapping[str, CameraInfo], removed: Sequence[str]) -> None:
        return

    def tick(self) -> None:
        return

    def reopen(self) -> None:
        return

    def interrupt(self) -> None:
        return

    def close(self) -> None:
        return
