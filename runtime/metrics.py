"""Prometheus metrics of a live stream, and the small HTTP server that shows them with /healthz and /readyz.

Seconds and bytes. One registry an object, nothing global. Label sets are bounded: streams and event labels beyond a
limit are counted as "other".
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from .backends._placement import placement_counts
from .errors import InputError, MissingDependencyError
from .events import Event

if TYPE_CHECKING:
    from .backends._protocol import F32, I64, Backend
    from .bundle import Bundle
    from .plan import Stats

MAX_STREAMS = 64
MAX_LABELS = 1000
STAGES = ("read", "locate", "islands", "score", "post", "report", "emit")
_STAGE_BUCKETS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0)
_DELAY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)


class Metrics:
    """What a live stream counts. Methods may be called from any thread."""

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
        self._frames = prom.Counter("punctum_snippets_total", "Snippets taken in", stream, **registry)
        self._dropped = prom.Counter(
            "punctum_frames_dropped_total",
            "Snippets lost in gaps and in chunks that were skipped; with reason frames: video frames",
            ["stream", "reason"],
            **registry,
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
            "Wall clock minus media clock since the stream began: how far it is behind its source",
            stream,
            **registry,
        )
        self._depth = prom.Gauge("punctum_queue_depth", "Events that wait for a sink", ["queue"], **registry)
        self._undelivered = prom.Counter(
            "punctum_events_dropped_total", "Events that a full queue to a sink cost", ["queue", "phase"], **registry
        )
        self._missed = prom.Counter(
            "punctum_deadline_missed_total", "Events first reported later than max_delay_s after their end", **registry
        )
        self._reconnects = prom.Counter(
            "punctum_reconnects_total", "Times that a connection was made again", ["endpoint"], **registry
        )
        self._events = prom.Counter("punctum_events_total", "Events reported", ["label", "phase"], **registry)
        self._backend = prom.Gauge(
            "punctum_backend_info", "The engine: 1", ["requested", "actual", "precision"], **registry
        )
        self._nodes = prom.Gauge(
            "punctum_backend_nodes", "Nodes of the graphs, by the provider that runs them", ["provider"], **registry
        )
        self._bundle = prom.Gauge("punctum_bundle_info", "The bundle: 1", ["id", "sha"], **registry)
        self._state = prom.Gauge("punctum_state_bytes", "Memory held for the stream", stream, **registry)
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
        """Which bundle and which engine."""
        self._bundle.labels(bundle.id, bundle.id.rsplit("-", 1)[-1]).set(1)
        self._backend.labels(backend.requested, backend.actual, precision).set(1)
        for provider, nodes in placement_counts(backend).items():
            self._nodes.labels(provider).set(nodes)

    def counted(self, backend: Backend) -> Backend:
        """The same engine; locator windows are counted."""
        return _Counted(backend, self._windows.inc)

    def taken(self, stream: str, snippets: int, *, state_bytes: int, lag_s: float) -> None:
        """A chunk was pushed."""
        name = self._bounded(stream, self._streams, MAX_STREAMS)
        self._frames.labels(name).inc(snippets)
        self._state.labels(name).set(state_bytes)
        self._lag.labels(name).set(max(lag_s, 0.0))

    def lost(self, stream: str, snippets: int, reason: str) -> None:
        """Snippets that never came, or were refused. reason: one of a fixed few."""
        if snippets > 0:
            self._dropped.labels(self._bounded(stream, self._streams, MAX_STREAMS), reason).inc(snippets)

    def stages(self, before: Stats, after: Stats, *, read_s: float) -> None:
        """Time that one push took, as the difference of a session's counters."""
        self._stage.labels("read").observe(max(read_s, 0.0))
        for stage in ("locate", "islands", "score", "post", "report"):
            spent = getattr(after, f"{stage}_s") - getattr(before, f"{stage}_s")
            self._stage.labels(stage).observe(max(spent, 0.0))

    def emitted(self, events: Sequence[Event], *, seconds: float, limit_s: float | None) -> None:
        """Events went to the sinks in `seconds`. limit_s: first reports after it are counted as missed."""
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

    def reconnected(self, endpoint: str) -> None:
        self._reconnects.labels(endpoint).inc()

    def _bounded(self, name: str, seen: set[str], limit: int) -> str:
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
        return self._backend.locate_many(windows)

    def score(self, features: F32, tracks: F32, segments: F32, labels: I64) -> tuple[F32, F32, F32]:
        return self._backend.score(features, tracks, segments, labels)


class Health:
    """Alive: the main loop went round lately. Ready: all steps of the start are done."""

    def __init__(self, *, stuck_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._stuck_s, self._clock = stuck_s, clock
        self._beat, self._missing = clock(), "starting"

    def beat(self) -> None:
        self._beat = self._clock()

    def waiting_for(self, step: str) -> None:
        """Not ready; why. An empty string: ready."""
        self._missing = step
        self.beat()

    def alive(self) -> tuple[bool, str]:
        quiet = self._clock() - self._beat
        return quiet < self._stuck_s, f"last sign of life {quiet:.1f} s ago"

    def ready(self) -> tuple[bool, str]:
        return not self._missing, self._missing or "ready"


class MetricsServer:
    """Serves /metrics, /healthz and /readyz from a thread. Raises InputError for an address that cannot be used."""

    def __init__(self, address: str, metrics: Metrics, health: Health) -> None:
        match = re.fullmatch(r"(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:]*)):(?P<port>\d{1,5})", address)
        if match is None:
            raise InputError("metrics-address", f"address {address!r}", "HOST:PORT or :PORT", "set --metrics :9100")
        try:
            self._server = _Server((match["six"] or match["host"] or "", int(match["port"])), _handler(metrics, health))
        except (OSError, OverflowError) as error:
            raise InputError(
                "metrics-address", f"cannot serve metrics on {address} ({error})", "a free address", "choose another"
            ) from None
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="punctum-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=2.0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


def _handler(metrics: Metrics, health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10.0
        server_version = "punctum"
        sys_version = ""

        def do_GET(self) -> None:
            path = self.path.split("?", 1)[0]
            if path == "/metrics":
                self._answer(200, metrics.render(), metrics.content_type)
            elif path in ("/healthz", "/readyz"):
                good, text = health.alive() if path == "/healthz" else health.ready()
                self._answer(200 if good else 503, text.encode() + b"\n", "text/plain; charset=utf-8")
            else:
                self._answer(404, b"/metrics, /healthz, /readyz\n", "text/plain; charset=utf-8")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Scrapes are no news."""

    return Handler
