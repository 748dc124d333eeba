"""Metrics: names that people expect, bounded labels, an HTTP endpoint that tells alive from ready."""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import replace

import numpy as np
import pytest
from punctum.runtime.errors import InputError
from punctum.runtime.events.event import Event
from punctum.runtime.session.plan import Stats

pytest.importorskip("prometheus_client", reason="metrics need prometheus-client")
from punctum.runtime.service.health import STOPPING, Health
from punctum.runtime.service.metrics import MAX_STREAMS, Metrics
from punctum.runtime.service.server import MetricsServer

EVENT = Event("cam", "cam/0", 0, "update", "wave", 0.5, 1.0, 2.0, 4.0, 2.0, "b-1")


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_counts():
    metrics = Metrics()
    metrics.taken("cam", 10, state_bytes=4096, lag_s=-3.0)
    metrics.taken("cam", 5, state_bytes=5000, lag_s=0.5)
    metrics.lost("cam", 7, "gap")
    metrics.frames_lost("cam", 3)
    metrics.stages(Stats(locate_s=1.0), Stats(locate_s=1.25), read_s=0.002)
    final = replace(EVENT, phase="final", revision=1)
    metrics.emitted([EVENT, final], seconds=0.001, limit_s=1.0)
    metrics.emitted([replace(EVENT, id="cam/1", delay_s=0.5)], seconds=0.001, limit_s=1.0)
    metrics.emitted([replace(EVENT, id="cam/1", phase="final", delay_s=9.0)], seconds=0.001, limit_s=1.0)
    metrics.queue_dropped("mqtt", provisional=2, final=0)
    metrics.reconnected("mqtt")
    assert value(metrics, "punctum_snippets_total", stream="cam") == 15
    assert value(metrics, "punctum_snippets_dropped_total", stream="cam", reason="gap") == 7
    assert value(metrics, "punctum_frames_dropped_total", stream="cam") == 3
    assert value(metrics, "punctum_stream_lag_seconds", stream="cam") == 0.5
    assert value(metrics, "punctum_state_bytes", stream="cam") == 5000
    assert value(metrics, "punctum_stage_seconds_sum", stage="locate") == 0.25
    assert value(metrics, "punctum_events_total", label="wave", phase="final") == 2
    assert value(metrics, "punctum_event_delay_seconds_count") == 2
    assert value(metrics, "punctum_deadline_missed_total") == 1  # the first report of cam/0; cam/1 was in time
    assert value(metrics, "punctum_events_dropped_total", queue="mqtt", phase="provisional") == 2
    assert value(metrics, "punctum_reconnects_total", endpoint="mqtt") == 1
    assert not metrics._reported


def test_label_sets_are_bounded_and_registries_are_their_own():
    metrics, other = Metrics(), Metrics()
    for i in range(MAX_STREAMS + 50):
        metrics.taken(f"cam{i}", 1, state_bytes=0, lag_s=0.0)
    text = metrics.render().decode()
    assert text.count("punctum_snippets_total{") == MAX_STREAMS + 1
    assert value(metrics, "punctum_snippets_total", stream="other") == 50
    assert value(other, "punctum_snippets_total", stream="cam0") is None


class Engine:
    requested = actual = "cpu"

    def locate(self, features):
        return features, features

    def locate_many(self, windows):
        return windows, windows

    def score(self, *arrays):
        return arrays


def test_windows_are_counted():
    metrics = Metrics()
    engine = metrics.counted(Engine())
    engine.locate(np.zeros((3, 2), np.float32))
    engine.locate_many(np.zeros((4, 3, 2), np.float32))
    assert value(metrics, "punctum_windows_total") == 5
    assert engine.actual == "cpu"


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_alive_and_ready_over_http():
    now = [100.0]
    metrics, health = Metrics(), Health(stuck_s=60, clock=lambda: now[0])
    server = MetricsServer("127.0.0.1:0", metrics, health)
    try:
        assert get(server.port, "/readyz")[0] == 503
        health.waiting_for("warming kernels")
        assert get(server.port, "/readyz") == (503, "warming kernels\n")
        assert get(server.port, "/healthz")[0] == 200
        now[0] += 600  # kernels are compiled for the first time on a slow machine
        assert get(server.port, "/healthz") == (200, "last sign of life 600.0 s ago; warming kernels\n")
        health.waiting_for("")
        assert get(server.port, "/readyz")[0] == 200
        now[0] += 61
        assert get(server.port, "/healthz")[0] == 503
        health.waiting_for(STOPPING)
        assert get(server.port, "/healthz")[0] == 200
        now[0] += 61
        assert get(server.port, "/healthz")[0] == 503
        status, text = get(server.port, "/metrics")
        assert status == 200
        for name in ("punctum_windows_total", "punctum_deadline_missed_total", "punctum_stage_seconds_bucket"):
            assert name in text
        assert get(server.port, "/other")[0] == 404
        with pytest.raises(InputError, match="Cannot serve"):
            MetricsServer(f"127.0.0.1:{server.port}", metrics, health)
    finally:
        server.close()


@pytest.mark.parametrize("address", ["9100", "host:", ":99999", "a:b"])
def test_bad_addresses(address):
    with pytest.raises(InputError):
        MetricsServer(address, Metrics(), Health())
