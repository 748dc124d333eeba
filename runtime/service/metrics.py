"""Prometheus metrics of a live stream.

Units are seconds and bytes. Each object has its own registry. Label sets are bounded: streams and event labels beyond a
limit are counted as "other".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..backends.placement import placement_counts
from ..errors import MissingDependencyError
from ..events.event import Event
from ..session.engine import locate_windows, step_locator

if TYPE_CHECKING:
    from ..bundle.reader import Bundle
    from ..session.engine import F32, I64, Backend, Stepper
    from ..session.plan import Stats

MAX_STREAMS = 64
MAX_LABELS = 1000
STAGES = ("read", "locate", "islands", "score", "post", "report", "emit")
_STAGE_BUCKETS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0)
_DELAY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)


class Metrics:
    """The metrics of a live stream. Methods may be called from any thread.

    Raises:
        MissingDependencyError: prometheus-client is not installed.
    """

    def __init__(self) -> None:
        try:
            import prometheus_client as prom
        except ImportError:
            raise MissingDependencyError("prometheus-client", "metrics", "serving metrics") from None
        self.registry = prom.CollectorRegistry(auto_describe=True)
        registry = {"registry": self.registry}
        self._render = prom.generate_latest
        self.content_type: str = prom.CONTENT_TYPE_LATEST
        stream = ["stream"]
        self._frames = prom.Counter("punctum_snippets_total", "Snippets processed", stream, **registry)
        self._dropped = prom.Counter(
            "punctum_snippets_dropped_total",
            "Snippets lost in gaps and in chunks that were skipped",
            ["stream", "reason"],
            **registry,
        )
        self._frames_dropped = prom.Counter(
            "punctum_frames_dropped_total", "Video frames lost before they became snippets", stream, **registry
        )
        self._windows = prom.Counter("punctum_windows_total", "Windows that the locator ran on", **registry)
        self._stage = prom.Histogram(
            "punctum_stage_seconds", "Compute time a chunk, by stage", ["stage"], buckets=_STAGE_BUCKETS, **registry
        )
        self._delay = prom.Histogram(
            "punctum_event_delay_seconds",
            "Media time from the end of an action to its final event",
            buckets=_DELAY_BUCKETS,
            **registry,
        )
        self._lag = prom.Gauge(
            "punctum_stream_lag_seconds",
            "Wall clock minus media clock since the stream began: how far processing is behind the source",
            stream,
            **registry,
        )
        self._depth = prom.Gauge("punctum_queue_depth", "Events queued for an output", ["queue"], **registry)
        self._undelivered = prom.Counter(
            "punctum_events_dropped_total",
            "Events dropped from a full queue to an output",
            ["queue", "phase"],
            **registry,
        )
        self._missed = prom.Counter(
            "punctum_deadline_missed_total", "Events first reported later than max_delay_s after their end", **registry
        )
        self._reconnects = prom.Counter("punctum_reconnects_total", "Reconnections", ["endpoint"], **registry)
        self._events = prom.Counter("punctum_events_total", "Events reported", ["label", "phase"], **registry)
        self._backend = prom.Gauge(
            "punctum_backend_info", "The engine: 1", ["requested", "actual", "precision"], **registry
        )
        self._nodes = prom.Gauge(
            "punctum_backend_nodes", "Nodes of the graphs, by the provider that runs them", ["provider"], **registry
        )
        self._bundle = prom.Gauge("punctum_bundle_info", "The bundle: 1", ["id", "sha"], **registry)
        self._state = prom.Gauge("punctum_state_bytes", "Memory used by the state of the stream", stream, **registry)
        self._last_item = prom.Gauge(
            "punctum_source_last_item_timestamp_seconds",
            "Unix time at which the source last sent something; 0 before it has",
            **registry,
        )
        self._up = prom.Gauge(
            "punctum_source_up", "1 while the source sends, 0 while it is silent or lost, as in /readyz", **registry
        )
        self._refused = prom.Counter(
            "punctum_connections_refused_total",
            "Connections to the socket source that were dropped before they counted as a sender",
            ["reason"],
            **registry,
        )
        for stage in STAGES:
            self._stage.labels(stage)
        for endpoint in ("mqtt", "source"):
            self._reconnects.labels(endpoint)
        self._streams: set[str] = set()
        self._labels: set[str] = set()
        self._reported: set[str] = set()
        self._lock = threading.Lock()

    def render(self) -> bytes:
        """All metrics in the text format."""
        return bytes(self._render(self.registry))

    def describe(self, bundle: Bundle, backend: Backend, *, precision: str = "fp32") -> None:
        """Publish the bundle and the engine."""
        self._bundle.labels(bundle.id, bundle.id.rsplit("-", 1)[-1]).set(1)
        self._backend.labels(backend.requested, backend.actual, precision).set(1)
        for provider, nodes in placement_counts(backend).items():
            self._nodes.labels(provider).set(nodes)

    def counted(self, backend: Backend) -> Backend:
        """The same engine, with its locator windows counted."""
        return _Counted(backend, self._windows.inc)

    def taken(self, stream: str, snippets: int, *, state_bytes: int, lag_s: float) -> None:
        """A chunk was processed."""
        name = self._bounded(stream, self._streams, MAX_STREAMS)
        self._frames.labels(name).inc(snippets)
        self._state.labels(name).set(state_bytes)
        self._lag.labels(name).set(max(lag_s, 0.0))

    def lost(self, stream: str, snippets: int, reason: str) -> None:
        """Snippets that are missing or were rejected. reason: one of a fixed set."""
        if snippets > 0:
            self._dropped.labels(self._bounded(stream, self._streams, MAX_STREAMS), reason).inc(snippets)

    def frames_lost(self, stream: str, frames: int) -> None:
        """Video frames that were lost before they became snippets."""
        if frames > 0:
            self._frames_dropped.labels(self._bounded(stream, self._streams, MAX_STREAMS)).inc(frames)

    def stages(self, before: Stats, after: Stats, *, read_s: float) -> None:
        """The time that one push spent in each stage, from the counters of the session before and after it."""
        self._stage.labels("read").observe(max(read_s, 0.0))
        for stage in ("locate", "islands", "score", "post", "report"):
            spent = getattr(after, f"{stage}_s") - getattr(before, f"{stage}_s")
            self._stage.labels(stage).observe(max(spent, 0.0))

    def emitted(self, events: Sequence[Event], *, seconds: float, limit_s: float | None) -> None:
        """The time that one push spent in each stage, from the counters before and after it."""
        if not events:
            return
        self._stage.labels("emit").observe(seconds)
        for event in events:
            self._events.labels(self._bounded(event.label, self._labels, MAX_LABELS), event.phase).inc()
            if event.phase == "final":
                self._delay.observe(max(event.delay_s, 0.0))
            with self._lock:
                first = event.ended and event.id not in self._reported
                if first and event.phase != "retracted" and limit_s is not None and event.delay_s > limit_s + 1e-6:
                    self._missed.inc()
                if event.phase in ("final", "retracted"):
                    self._reported.discard(event.id)
                elif event.ended:
                    self._reported.add(event.id)

    def queue(self, name: str, depth: int) -> None:
        self._depth.labels(name).set(depth)

    def queue_dropped(self, name: str, *, provisional: int, final: int) -> None:
        """More events were dropped from a full queue."""
        for phase, count in (("provisional", provisional), ("final", final)):
            if count > 0:
                self._undelivered.labels(name, phase).inc(count)

    def heard(self) -> None:
        """The source has just sent something."""
        self._last_item.set(time.time())

    def source_up(self, up: bool) -> None:
        """Whether the source is sending."""
        self._up.set(1 if up else 0)

    def refused(self, reason: str, count: int) -> None:
        """A socket source dropped more connections. reason: one of a fixed set."""
        if count > 0:
            self._refused.labels(reason).inc(count)

    def reconnected(self, endpoint: str) -> None:
        self._reconnects.labels(endpoint).inc()

    def _bounded(self, name: str, seen: set[str], limit: int) -> str:
        name = name.encode("utf-8", "backslashreplace").decode()  # a name that is no UTF-8 could not be served
        with self._lock:
            if name not in seen:
                if len(seen) >= limit:
                    return "other"
                seen.add(name)
        return name


class _Counted:
    """An engine that counts its locator windows."""

    def __init__(self, backend: Backend, count: Callable[[float], None]) -> None:
        self._backend, self._count = backend, count
        self.requested, self.actual = backend.requested, backend.actual

    def __getattr__(self, name: str) -> Any:
        """What else the engine has: its precision, placement, length buckets."""
        return getattr(self._backend, name)

    def locate(self, features: F32) -> tuple[F32, F32]:
        self._count(1)
        return self._backend.locate(features)

    def locate_many(self, windows: F32) -> tuple[F32, F32]:
        self._count(len(windows))
        return locate_windows(self._backend, windows)

    def stepper(self, *, ahead: bool) -> Stepper | None:
        stepper = step_locator(self._backend, ahead=ahead)
        return None if stepper is None else _CountedStepper(stepper, self._count)

    def score(self, features: F32, tracks: F32, segments: F32, labels: I64) -> tuple[F32, F32, F32]:
        return self._backend.score(features, tracks, segments, labels)


class _CountedStepper:
    """A step counts as a window of each of its streams."""

    def __init__(self, stepper: Stepper, count: Callable[[float], None]) -> None:
        self._stepper, self._count = stepper, count
        self.state_size, self.ahead = stepper.state_size, stepper.ahead

    def step(self, features: F32, states: F32) -> tuple[F32, F32, F32]:
        self._count(len(states))
        return self._stepper.step(features, states)
