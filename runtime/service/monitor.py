"""What a live run reports to its endpoints while it runs: metrics and health."""

from __future__ import annotations

import time
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field

from ..events.event import Event
from ..session.plan import Stats
from ..session.session import Session
from ..sinks import Sink
from ..sinks.mqtt import MqttSink
from ..sources.items import Chunk, Source
from .health import Health
from .metrics import Metrics


@dataclass(slots=True)
class Monitor:
    """Keeps metrics and health up to date. Counters of a source are cumulative, so the last values are remembered.

    Args:
        metrics: None: nothing is served.
        health: State of /healthz and /readyz.
    """

    metrics: Metrics | None = None
    health: Health = field(default_factory=Health)
    _clock: tuple[float, float] = (0.0, 0.0)  # wall and media time at the start of the stream
    _mqtt_dropped: tuple[int, int] = (0, 0)
    _refused: dict[str, int] = field(default_factory=dict)
    _reconnects: int = 0

    def begin(self, media_s: float) -> None:
        """The stream begins, or is resumed, at this media time."""
        self._clock = (time.monotonic(), media_s)

    def reconnected(self) -> None:
        """A sender came back."""
        if self.metrics is not None:
            self.metrics.reconnected("source")

    def iteration(self, source: Source, *, received: bool) -> None:
        """The loop has taken its next item; received: there was one."""
        self.health.beat()
        self.health.source(getattr(source, "trouble", ""))
        if received:
            self.health.heard()
        if self.metrics is None:
            return
        if received:
            self.metrics.heard()
        self.metrics.source_up(not self.health.silent)
        reconnects = int(getattr(getattr(source, "frames", None), "reconnects", 0))  # of a video
        for _ in range(reconnects - self._reconnects):
            self.metrics.reconnected("source")
        self._reconnects = reconnects
        for reason, count in getattr(source, "refused", {}).items():
            self.metrics.refused(reason, count - self._refused.get(reason, 0))
            self._refused[reason] = count

    def before_push(self, session: Session) -> Stats | None:
        """The counters of the session, for `pushed`."""
        return None if self.metrics is None else copy(session.stats)

    def pushed(self, session: Session, chunk: Chunk, before: Stats | None) -> None:
        """A chunk was processed."""
        if self.metrics is None or before is None:
            return
        self.metrics.stages(before, session.stats, read_s=chunk.read_s)
        self.metrics.lost(session.stream, session.stats.dropped - before.dropped, "gap")
        self.metrics.frames_lost(session.stream, chunk.dropped)
        wall, media = self._clock
        lag = (time.monotonic() - wall) - (session.now_s - media)
        self.metrics.taken(session.stream, len(chunk.rows), state_bytes=session.state_bytes, lag_s=lag)

    def lost(self, stream: str, snippets: int, reason: str) -> None:
        """Snippets of the source did not reach the session."""
        if self.metrics is not None:
            self.metrics.lost(stream, snippets, reason)

    def emitted(self, events: Sequence[Event], *, seconds: float, limit_s: float | None) -> None:
        """Events were handed to all sinks. See `Metrics.emitted`."""
        if self.metrics is not None:
            self.metrics.emitted(events, seconds=seconds, limit_s=limit_s)

    def queues(self, sinks: Sequence[Sink]) -> None:
        """Read the queues of the sinks."""
        if self.metrics is None:
            return
        for sink in sinks:
            if isinstance(sink, MqttSink):
                self.metrics.queue("mqtt", sink.depth)
                provisional, final = sink.dropped
                self.metrics.queue_dropped(
                    "mqtt", provisional=provisional - self._mqtt_dropped[0], final=final - self._mqtt_dropped[1]
                )
                self._mqtt_dropped = (provisional, final)
