"""A running camera that loses video, or delivers far too few frames, is marked as degraded until that is over."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
from punctum.runtime.site.config.models import CameraConfig
from punctum.runtime.site.metrics import SiteMetrics
from punctum.runtime.site.supervisor.camera_messages import handle
from punctum.runtime.site.supervisor.camera_unit import CameraUnit
from punctum.runtime.site.supervisor.recent_loss import RecentLoss
from punctum.runtime.site.supervisor.route import Route
from punctum.runtime.site.view import View

STRIDE_S = 0.2
LOG = "punctum.runtime.site.supervisor.camera_unit"


class Camera:
    """A running camera of which the test states what its process says, second by second."""

    def __init__(self, source: str = "rtsp://127.0.0.1/door") -> None:
        self.now, self.media_s, self.received, self.lost, self.shed = 100.0, 0.0, 0, 0, 0
        self.unit = CameraUnit("door", CameraConfig(source=source, bundles=("actions",)), lambda *_: None)
        self.unit.loss = RecentLoss(clock=lambda: self.now)
        self.unit.feeds = ("feed",)
        self.route = Route("door", "feed", STRIDE_S, None, lambda *_: None, lambda seq: None)
        self.unit.routes["actions"] = self.route
        self.unit.set_state("running")
        self.fps = 10.0

    def say(self, header: dict, payload: bytes = b"") -> None:
        handle(SimpleNamespace(), self.unit, self.unit.child, header, payload)  # type: ignore[arg-type]

    def second(self, *, covered: float = 1.0, received: int = 10, lost: int = 0, shed: int = 0) -> None:
        """One second of media, of which a part is covered by features at its end."""
        self.now += 1.0
        self.media_s += 1.0
        self.received, self.lost, self.shed = self.received + received, self.lost + lost, self.shed + shed
        rows = round(covered / STRIDE_S)
        if rows:
            at = self.media_s - rows * STRIDE_S
            self.say({"type": "chunk", "feed": "feed", "seq": int(self.now), "at": at, "rows": rows})
        counters = {"received_frames": self.received, "lost_frames": self.lost, "shed_frames": self.shed}
        self.say({"type": "stats", "fps": self.fps, **counters})

    def run(self, seconds: int, **what: float) -> None:
        for _ in range(seconds):
            self.second(**what)  # type: ignore[arg-type]


def test_a_camera_that_loses_frames_says_so_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOG)
    camera = Camera()
    camera.run(60)
    assert not camera.unit.losing and camera.unit.loss.share == 0
    camera.run(60, covered=0.6, received=6, lost=4)
    assert camera.unit.losing.startswith("40% of the media of the last minute is missing: 240 of 600 frames")
    assert camera.unit.loss.code == "camera-loss" and camera.unit.state == "running"
    camera.run(70)
    assert not camera.unit.losing
    lines = [one.getMessage() for one in caplog.records if "media" in one.getMessage()]
    assert len(lines) == 2 and "is missing" in lines[0] and "complete again" in lines[1]


def test_one_short_loss_is_not_worth_a_word() -> None:
    camera = Camera()
    camera.run(60)
    camera.run(2, received=0, covered=0.0, lost=10)
    camera.run(60)
    assert not camera.unit.losing


def test_lost_frames_of_covered_snippets_count_and_those_of_gaps_count_once() -> None:
    camera = Camera()
    camera.run(60, received=8, lost=2)
    assert camera.unit.loss.share == pytest.approx(0.2)
    camera.run(60, received=8, lost=2, covered=0.8)
    assert camera.unit.loss.share == pytest.approx(0.2, abs=0.01)


def test_a_camera_that_sends_one_frame_in_ten_does_not_pass_for_healthy() -> None:
    """73 frames in 67 s of a stream of 10 frames per second, whatever its time stamps are."""
    camera = Camera()
    camera.run(67, received=1)
    assert camera.unit.losing == "it delivers 1.0 frames per second, and its stream announces 10.0"
    camera.run(70)
    assert not camera.unit.losing


def test_fewer_frames_than_before_where_the_stream_announces_nothing() -> None:
    camera = Camera()
    camera.fps = 0.0
    camera.run(70, received=25)
    camera.run(70, received=12)  # at night
    assert not camera.unit.losing
    camera.run(70, received=5)
    assert camera.unit.losing == "it delivers 5.0 frames per second, and it has delivered 25.0"


def test_too_slow_a_machine_is_told_apart() -> None:
    camera = Camera()
    camera.run(60, covered=0.6, received=10, lost=4, shed=4)
    assert camera.unit.loss.code == "camera-behind" and "not processed fast enough" in camera.unit.losing
    camera = Camera()
    for _ in range(60):
        camera.second()
        camera.route.dropped += 2
    assert camera.unit.loss.code == "camera-behind" and camera.unit.loss.share == pytest.approx(0.4)


def test_the_start_of_a_camera_and_a_pause_are_no_loss() -> None:
    camera = Camera()
    camera.second(lost=250)  # before the first key frame
    camera.run(60)
    assert not camera.unit.losing
    camera.unit.loss.pause()
    camera.media_s += 3600.0
    camera.run(60)
    assert not camera.unit.losing


def test_gaps_of_senders_and_recordings_are_their_own_business() -> None:
    camera = Camera("unix://features.sock")
    camera.run(60, covered=0.2, received=0)
    assert not camera.unit.losing


def test_it_is_in_the_view_the_site_and_the_metrics() -> None:
    pytest.importorskip("prometheus_client", reason="metrics need prometheus_client (extra metrics)")
    camera = Camera()
    camera.run(60, covered=0.6, received=6, lost=4)
    units = SimpleNamespace(
        cameras={"door": camera.unit},
        engines={},
        engines_of=lambda unit: [],
        loaded=SimpleNamespace(config=SimpleNamespace(name="depot")),
        writer=SimpleNamespace(trouble="", dropped=0),
    )
    site = SimpleNamespace(
        supervisor=SimpleNamespace(units=units, call=lambda function: function()),
        retention=SimpleNamespace(degraded=()),
        store=SimpleNamespace(damage="", troubles=[]),
        waiting_for_start=(),
        differences=(),
        deliveries={},
        reported={},
    )
    view = View(site)  # type: ignore[arg-type]
    (shown,) = view.cameras()
    assert shown.state == "running" and shown.degraded and shown.missing_share == pytest.approx(0.4)
    assert "40%" in shown.why and "network" in shown.next_step
    (sentence,) = view.site().degraded
    assert sentence == f"camera door: {shown.why}"
    units.current = {}
    text = SiteMetrics(site).render()[0].decode()  # type: ignore[arg-type]
    assert 'punctum_site_camera_degraded{camera="door"} 1.0' in text
    assert 'punctum_site_camera_missing_ratio{camera="door"} 0.4' in text
