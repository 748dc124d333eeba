"""Prometheus metrics of a site, read from its state when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .parts import SiteParts
    from .supervisor.camera_unit import CameraUnit
    from .supervisor.engine_unit import EngineUnit

STATES = ("starting", "opening", "running", "lost", "ended", "failed", "scheduled", "off")


class SiteMetrics:
    """Metrics of a running site."""

    def __init__(self, running: SiteParts) -> None:
        import prometheus_client as prom

        self._site = running
        self._render = prom.generate_latest
        self._content_type: str = prom.CONTENT_TYPE_LATEST
        self.registry = prom.CollectorRegistry()
        self.registry.register(self)  # type: ignore[arg-type]  # the protocol of a collector is `collect`

    def render(self) -> tuple[bytes, str]:
        """Text and content type."""
        return self._render(self.registry), self._content_type

    def collect(self) -> Iterator[Any]:
        """Called by the registry at each scrape."""
        yield from self._site.supervisor.call(lambda: list(self._cameras()) + list(self._engines()))
        yield from self._outputs()

    def _cameras(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        units = list(self._site.supervisor.units.cameras.values())
        state = GaugeMetricFamily(
            "punctum_site_camera_state", "1 for the state of a camera", labels=["camera", "state"]
        )
        up = GaugeMetricFamily("punctum_source_up", "1 while the camera sends", labels=["camera"])
        families = {
            name: CounterMetricFamily(name, text, labels=["camera"])
            for name, text in (
                ("punctum_frames", "Video frames read"),
                ("punctum_frames_dropped", "Video frames lost before they became snippets"),
                ("punctum_reconnects", "Connections to the camera after the first"),
                ("punctum_site_camera_starts", "Starts of the process of the camera"),
                ("punctum_site_camera_cpu_seconds", "CPU time of the process of the camera since its start"),
                ("punctum_snippets_dropped", "Snippets missing in gaps, or dropped on the way to the engine and in it"),
            )
        }
        gauges = {
            name: GaugeMetricFamily(name, text, labels=["camera"])
            for name, text in (
                ("punctum_site_camera_memory_bytes", "Memory of the process of the camera"),
                ("punctum_site_camera_fps", "Frames per second of the source"),
                ("punctum_site_camera_missing_ratio", "Share of the media of the last minute that is missing"),
                ("punctum_site_camera_degraded", "1 while a running camera loses media, or sends too few frames"),
                ("punctum_site_waiting_snippets", "Snippets on the way to an engine"),
            )
        }
        for unit in units:
            self._camera(unit, families, gauges)
            up.add_metric([unit.name], 1.0 if unit.state == "running" else 0.0)
            for one in STATES:
                state.add_metric([unit.name, one], 1.0 if unit.state == one else 0.0)
        yield state
        yield up
        yield from families.values()
        yield from gauges.values()

    def _camera(self, unit: CameraUnit, counters: dict[str, Any], gauges: dict[str, Any]) -> None:
        stats, name = unit.stats, [unit.name]
        counters["punctum_frames"].add_metric(name, _number(stats.get("frames")))
        counters["punctum_frames_dropped"].add_metric(name, _number(stats.get("lost_frames")))
        counters["punctum_reconnects"].add_metric(name, _number(stats.get("reconnects")))
        counters["punctum_site_camera_starts"].add_metric(name, unit.starts)
        counters["punctum_site_camera_cpu_seconds"].add_metric(name, _number(stats.get("cpu_s")))
        dropped = sum(route.dropped for route in unit.routes.values())
        dropped += sum(count for reason, count in unit.lost.items() if reason.startswith("snippets"))
        counters["punctum_snippets_dropped"].add_metric(name, dropped)
        gauges["punctum_site_camera_memory_bytes"].add_metric(name, 1e6 * _number(stats.get("rss_mb")))
        gauges["punctum_site_camera_fps"].add_metric(name, _number(stats.get("fps")))
        running = unit.state == "running"
        gauges["punctum_site_camera_missing_ratio"].add_metric(name, unit.loss.share if running else 0.0)
        gauges["punctum_site_camera_degraded"].add_metric(name, 1.0 if unit.losing else 0.0)
        gauges["punctum_site_waiting_snippets"].add_metric(name, sum(route.rows for route in unit.routes.values()))

    def _engines(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        engines = list(self._site.supervisor.units.engines.values())
        ready = GaugeMetricFamily("punctum_site_bundle_ready", "1 while the bundle is ready", labels=["bundle", "id"])
        starts = CounterMetricFamily("punctum_site_bundle_starts", "Starts of the process", labels=["bundle"])
        cpu = CounterMetricFamily("punctum_site_bundle_cpu_seconds", "CPU time of the process", labels=["bundle"])
        memory = GaugeMetricFamily("punctum_site_bundle_memory_bytes", "Memory of the process", labels=["bundle"])
        labels = ["camera", "bundle"]
        snippets = CounterMetricFamily("punctum_snippets", "Snippets processed", labels=labels)
        lag = GaugeMetricFamily("punctum_stream_lag_seconds", "Time that the oldest snippet waits", labels=labels)
        current = self._site.supervisor.units.current
        for engine in engines:
            name = engine.bundle if current.get(engine.bundle) == engine.key else engine.key
            self._engine(engine, name, snippets, lag)
            bundle_id = str(engine.ready.get("bundle_id", ""))
            ready.add_metric([name, bundle_id], 1.0 if engine.state == "ready" else 0.0)
            starts.add_metric([name], engine.starts)
            cpu.add_metric([name], _number(engine.stats.get("cpu_s")))
            memory.add_metric([name], 1e6 * _number(engine.stats.get("rss_mb")))
        yield from (ready, starts, cpu, memory, snippets, lag)

    def _engine(self, engine: EngineUnit, name: str, snippets: Any, lag: Any) -> None:
        for camera, stats in engine.stats.get("cameras", {}).items():
            snippets.add_metric([camera, name], _number(stats.get("snippets")))
            lag.add_metric([camera, name], _number(stats.get("lag_s")))

    def _outputs(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        depth = GaugeMetricFamily("punctum_queue_depth", "Reports that wait for an output", labels=["queue"])
        oldest = GaugeMetricFamily("punctum_site_sink_oldest_seconds", "Age of the oldest of them", labels=["queue"])
        delivered = CounterMetricFamily("punctum_site_sink_delivered", "Reports delivered", labels=["queue"])
        retried = CounterMetricFamily("punctum_site_sink_retried", "Deliveries tried again", labels=["queue"])
        refused = CounterMetricFamily("punctum_site_sink_refused", "Reports that the output refused", labels=["queue"])
        for name, delivery in self._site.deliveries.items():
            counts = delivery.stats()
            depth.add_metric([name], counts.waiting)
            oldest.add_metric([name], counts.oldest_s)
            delivered.add_metric([name], counts.delivered)
            retried.add_metric([name], counts.retried)
            refused.add_metric([name], counts.refused)
        events = CounterMetricFamily("punctum_events", "Reports stored", labels=["camera", "label", "phase"])
        for (camera, label, phase), count in self._site.reported.items():
            events.add_metric([camera, label, phase], count)
        yield from (depth, oldest, delivered, retried, refused, events)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
