"""Sites for tests of the page: a few cameras in all states, a day of events with clips, and a server for them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from punctum.runtime.site.api.app import create_app
from punctum.runtime.site.api.http import Served, serve_http
from punctum.runtime.site.api.settings import ApiSettings
from punctum.runtime.site.api.view import BundleView, SinkView, Tracks
from punctum.runtime.site.config.models import CameraConfig, Period
from punctum.runtime.site.store.store import Store

from tests.helpers.site_view import MemorySite, event, jpeg

LABELS = ("open", "close", "carry", "fall", "wave")
STATES = {
    "gate": ("running", "", ""),
    "yard-north": ("running", "", ""),
    "hall": ("lost", "The source is lost: no answer for 31.0 s", "check the camera and its network"),
    "ramp": ("failed", "The process ended with signal 11 five times in a minute", "see the log; it starts again"),
    "office": ("off", "It is disabled", "enable it"),
    "night": ("scheduled", "Its schedule begins at 20:00", ""),
    "new": ("opening", "The source is being opened", ""),
    "demo-file": ("ended", "The file has ended", "set loop: true to start it again"),
}


def site(folder: Path) -> MemorySite:
    """A site with cameras in all states and nothing else. folder: of its store."""
    made = MemorySite(Store.open(folder), name="warehouse")
    made.bundle_views["doors"] = BundleView(
        "doors", "doors-1.0.0-0123", "1.0.0", "running", LABELS, stats={"rss_mb": 310}
    )
    for name, (state, why, next_step) in STATES.items():
        schedule = (Period(start="20:00", end="06:00"),) if name == "night" else ()
        config = CameraConfig(
            source=f"rtsp://10.0.0.7/{name}", bundles=("doors",), enabled=state != "off", schedule=schedule
        )
        runs = state == "running"
        stats = (
            {"fps": 9.98, "width": 1280, "height": 720, "codec": "h264", "delay_s": 0.41, "rss_mb": 182} if runs else {}
        )
        made.add_camera(
            name,
            state,
            why=why,
            next_step=next_step,
            config=config,
            picture=runs,
            tracks=name == "gate",
            stats=stats,
            losses={"frames": 31, "gaps": 2} if name in ("hall", "gate") else {},
        )
        if runs:
            made.pictures[name] = jpeg(name, (640, 360))
    return made


def tracks(labels: tuple[str, ...] = LABELS, n: int = 120) -> Tracks:
    at = np.linspace(0, 6, n)
    classes = {label: [float(x) for x in np.clip(np.sin(at + k) ** 8, 0, 1)] for k, label in enumerate(labels)}
    total = [float(x) for x in np.clip(np.max(list(classes.values()), axis=0) * 0.9 + 0.05, 0, 1)]
    return Tracks("doors-1.0.0-0123", 1000.0, 0.5, total, classes, time.time() - n * 0.5)


def fill(
    made: MemorySite, count: int, *, since: float, until: float, cameras: tuple[str, ...], seed: int = 1
) -> list[Any]:
    """Final events at random times."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(since, until, count))
    events = []
    for k, at in enumerate(times):
        label = LABELS[int(rng.integers(len(LABELS)))]
        events.append(event(cameras[k % len(cameras)], k, at=float(at), label=label, score=float(rng.uniform(0.3, 1))))
    made.report(*events)
    return events


def with_clips(made: MemorySite, events: list[Any], clip: Path, picture: Path) -> None:
    """Give events a clip of four seconds, and a picture."""
    for one in events:
        size = clip.stat().st_size
        made.store.add_media(one.stream, one.id, "clip", str(clip), size, max(one.start - 1.0, 0.0), one.start + 3.0)
        size = picture.stat().st_size
        made.store.add_media(one.stream, one.id, "picture", str(picture), size, one.start, one.start)


def gap(made: MemorySite, camera: str, start: float, seconds: float, reason: str = "camera-absent") -> None:
    """Declare a gap that begins at a Unix time."""
    made.store.add_gap(camera, start % 86400, start % 86400 + seconds, start, start + seconds, int(2 * seconds), reason)


def sinks(made: MemorySite) -> None:
    made.sink_views = [
        SinkView("mqtt", "mqtt", "running", delivered=5012, retried=3),
        SinkView(
            "hook",
            "webhook",
            "waiting",
            delivered=310,
            retried=40,
            refused=2,
            waiting=118,
            oldest_s=912.0,
            last_error="HTTP 503 from https://hooks.example/punctum",
        ),
    ]


def serve(made: MemorySite, media: Path, *, port: int = 0, **settings: Any) -> Served:
    """The site on a port of the loopback interface."""
    chosen = ApiSettings(media, **settings)
    return serve_http(create_app(made, chosen), "127.0.0.1", port, clients=chosen.clients)
