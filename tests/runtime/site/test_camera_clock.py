"""The media clock of a live camera runs while its source opens, so that gaps are as long as what is missing."""

from __future__ import annotations

import contextlib
import threading
import time

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed")
pytest.importorskip("onnx", reason="the backbone of the tests is made with onnx")

from punctum.runtime import video as video_package
from punctum.runtime.credentials.redact import Address
from punctum.runtime.errors import InputError
from punctum.runtime.site.camera import video
from punctum.runtime.site.camera.signs import Signs
from punctum.runtime.site.camera.start import CameraStart
from punctum.runtime.site.engine.journal import Record
from punctum.runtime.site.engine.snapshot import Cursor
from punctum.runtime.site.engine.stream import advance
from punctum.runtime.video.live import LiveFrames

from tests.helpers import backbones
from tests.runtime.test_video_live import Script, shots

OPENS_S = 1.5


class Channel:
    """Collects what the process sends."""

    def __init__(self) -> None:
        self.sent: list[dict] = []

    def send(self, header: dict, payload: bytes = b"") -> None:
        self.sent.append(header)


class Tap:
    """A tap that only knows where it begins."""

    sound = False

    def __init__(self, start_s: float) -> None:
        self.start_s = start_s
        self.placed: list[float] = []

    def place(self, number: int, at_s: float) -> None:
        self.placed.append(self.start_s + at_s)


class Media:
    """Keeps the tap, and the times of pictures."""

    def __init__(self) -> None:
        self.taps: list[Tap] = []
        self.offered: list[float] = []

    def offer_frame(self, image: np.ndarray, at_s: float, aspect: float) -> None:
        self.offered.append(at_s)

    def tap(self, start_s: float = 0.0) -> Tap:
        self.taps.append(Tap(start_s))
        return self.taps[-1]


def opened(monkeypatch: pytest.MonkeyPatch, start_s: float, opens_s: float) -> tuple[list[dict], Media]:
    """What the process of a camera sends whose source needs a while for its first frame. start_s: of the message."""
    backbone = backbones.backbone()
    monkeypatch.setattr(video.VideoFeeds, "_backbone", lambda self, feed: backbone)

    def open_frames(address: str, *, fps: float, options: video_package.VideoOptions) -> LiveFrames:
        frames = shots(50)
        for number, frame in enumerate(frames):
            frame.packet = number  # type: ignore[union-attr]
        script = Script([opens_s, *frames])
        source = LiveFrames(Address.parse(address), fps=fps, options=options, connect=lambda: script)
        source.open()
        return source

    monkeypatch.setattr(video_package, "open_frames", open_frames)
    channel, media, stop = Channel(), Media(), threading.Event()
    header = {
        "type": "start",
        "name": "extra",
        "source": "rtsp://127.0.0.1/extra",
        "options": {"reconnect_s": 0.0},
        "start_s": start_s,
        "start_steady": time.monotonic(),
        "feeds": [{"feed": "f"}],
    }
    start = CameraStart.parse(header)
    feeds = video.VideoFeeds(start, channel, Signs(), stop, media, lambda why: None)  # type: ignore[arg-type]
    try:
        with contextlib.suppress(InputError):  # the source ends, which a camera never does
            feeds.run(lambda: None)
        assert feeds.stats()["received_frames"] == 50
    finally:
        feeds.close()
    return channel.sent, media


def test_time_passes_while_a_source_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, media = opened(monkeypatch, 100.0, OPENS_S)
    begin = next(one for one in sent if one["type"] == "begin")
    assert 100.0 + OPENS_S <= begin["start_s"] < 160.0
    chunk = next(one for one in sent if one["type"] == "chunk")
    assert chunk["at"] == begin["start_s"]
    assert media.taps[0].placed[0] == media.offered[0] == begin["start_s"]


def test_the_gap_after_a_kill_is_as_long_as_the_service_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is that of the first frame before the kill and after it, however long the source took to open."""
    epoch = time.monotonic()
    first, _ = opened(monkeypatch, 0.0, OPENS_S)
    cursor = Cursor(run_id="r")
    for one in first:
        if one["type"] == "begin":
            advance(cursor, Record(one), 0.2)
        elif one["type"] == "chunk":
            advance(cursor, Record(one, np.zeros((one["rows"], 4), np.float32)), 0.2)
    assert cursor.now_s is not None
    killed_at = cursor.now_s
    second, _ = opened(monkeypatch, time.monotonic() - epoch, 0.0)
    back = next(one for one in second if one["type"] == "chunk")["at"]
    # The script sends a second of frames at once, so that the clock may be ahead by that, never behind by OPENS_S.
    assert killed_at >= OPENS_S + 1.0 - 0.2
    assert back - killed_at <= time.monotonic() - epoch - OPENS_S
