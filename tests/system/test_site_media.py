"""A camera process on a real RTSP server: clips and pictures on command, across a change of the camera."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("av", reason="PyAV is not installed")

import av
from punctum.runtime.site.wire import Channel

from tests.helpers import site_media as helper
from tests.helpers import video_corpus as corpus
from tests.system.test_rtsp import PACKAGES, SERVER, SYSTEM_PYTHON

pytestmark = pytest.mark.slow

RATE = 25


@contextlib.contextmanager
def serving(path: Path, port: int = 0) -> Iterator[int]:
    """An RTSP server of a file."""
    if not SYSTEM_PYTHON.exists():
        pytest.skip(f"no {SYSTEM_PYTHON}")
    process = subprocess.Popen(
        [SYSTEM_PYTHON, SERVER, path, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        word, _, rest = process.stdout.readline().partition(" ")
        if word != "ready":
            pytest.skip(f"no RTSP server ({word} {rest.strip()}); Debian packages: {PACKAGES}")
        yield int(rest)
    finally:
        process.kill()
        process.communicate()


class Camera:
    """A camera process as the supervisor sees it. Its answers are collected while it runs."""

    def __init__(
        self, source: str, *, start_s: float = 0.0, media: dict[str, Any] | None = None, **options: Any
    ) -> None:
        self.channel, theirs = Channel.pair()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "punctum.runtime.site.camera", str(theirs)], pass_fds=[theirs]
        )
        os.close(theirs)
        kept = {"clips": True, "pictures": True, "ring_s": 60, "ring_mb": 64, **(media or {})}
        self.channel.send(
            {
                "type": "start",
                "name": "door",
                "source": source,
                "options": {"reconnect_s": 30, **options},
                "start_s": start_s,
                "start_steady": time.monotonic() + 3600.0,  # its first frame is at start_s, however long opening takes
                "feeds": [{"feed": "", "bundle_path": "default"}],
                "media": kept,
            }
        )
        self.chunks: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.stats: dict[str, Any] = {}
        self.states: list[dict[str, Any]] = []

    def until(self, done: Callable[[], Any], limit_s: float = 60.0) -> Any:
        """Read messages until something is true; give it."""
        deadline = time.monotonic() + limit_s
        while not (result := done()):
            assert time.monotonic() < deadline, (self.stats, self.states)
            received = self.channel.receive(0.2)
            if received is None:
                continue
            header = received[0]
            kind = header["type"]
            if kind == "chunk":
                self.chunks.append(header)
                self.channel.send({"type": "taken", "feed": header["feed"], "seq": header["seq"]})
            elif kind == "media":
                self.answers.append(header)
            elif kind == "stats":
                self.stats = header
            elif kind == "state":
                self.states.append(header)
        return result

    def now_s(self) -> float:
        last = self.chunks[-1] if self.chunks else None
        return 0.0 if last is None else last["at"] + 0.2 * last["rows"]

    def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self.channel.send({"request": 7, **command})
        before = len(self.answers)
        answer: dict[str, Any] = self.until(lambda: self.answers[before:])[0]
        return answer

    def end(self) -> None:
        self.channel.close()
        self.process.wait(20)


@pytest.fixture
def cameras() -> Iterator[Callable[..., Camera]]:
    running: list[Camera] = []

    def start(*args: Any, **kwargs: Any) -> Camera:
        running.append(Camera(*args, **kwargs))
        return running[-1]

    yield start
    for camera in running:
        camera.process.kill()
        camera.process.wait()


def numbers(path: str) -> list[tuple[float, int]]:
    return [(at, corpus.number(image)) for at, image in helper.frames_of(Path(path))]


def test_clip_and_pictures_of_a_camera(cameras: Callable[..., Camera], tmp_path: Path) -> None:
    video = corpus.encode(tmp_path / "a.mp4", 250, keyframes=25, b_frames=2, muxer={"movflags": "faststart"})
    with serving(video) as port:
        camera = cameras(f"rtsp://127.0.0.1:{port}/cam", start_s=500.0)
        camera.until(lambda: camera.now_s() >= 503.0)
        # The end of this clip has not arrived.
        clip = camera.ask(type="clip", start_s=501.3, end_s=505.0, path=str(tmp_path / "clip.mp4"))
        assert clip["ok"] and clip["why"] == "" and clip["start_s"] == 501.0 and clip["end_s"] >= 505.0
        assert clip["media_type"] == "video/mp4" and clip["codec"] == "h264" and clip["plays_in_browsers"]
        for at, number in numbers(clip["path"]):
            assert round((clip["start_s"] + at - 500.0) * RATE) == number
        picture = camera.ask(type="picture", at_s=502.5, width=None, path=str(tmp_path / "p.jpg"))
        with av.open(picture["path"]) as container:
            image = next(container.decode(video=0)).to_ndarray(format="rgb24")
        assert corpus.number(image) == int(2.5 * RATE) and picture["start_s"] == pytest.approx(502.48)
        live = camera.ask(type="live_picture", width=64, path=str(tmp_path / "l.jpg"))
        assert live["ok"] and live["start_s"] > 503.0
        refused = camera.ask(type="clip", start_s=5.0, end_s=1.0, path=str(tmp_path / "no.mp4"))
        assert not refused["ok"] and "a clip of -4 s" in refused["why"]
        camera.end()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "clip.mp4", "l.jpg", "p.jpg"]


def test_camera_that_returns_with_another_size(cameras: Callable[..., Camera], tmp_path: Path) -> None:
    first = corpus.encode(tmp_path / "a.mp4", 250, keyframes=25, muxer={"movflags": "faststart"})
    other = corpus.encode(tmp_path / "b.mp4", 250, size=(192, 256), muxer={"movflags": "faststart"})
    with serving(first) as port:
        camera = cameras(f"rtsp://127.0.0.1:{port}/cam")
        camera.until(lambda: camera.now_s() >= 4.0)
    with serving(other, port):
        camera.until(lambda: camera.stats.get("reconnects") and camera.now_s() >= 8.0)
        back = next(
            chunk["at"]
            for before, chunk in pairwise(camera.chunks)
            if chunk["at"] > before["at"] + 0.3 + 0.2 * before["rows"]
        )
        clip = camera.ask(type="clip", start_s=2.0, end_s=back + 0.3, path=str(tmp_path / "clip.mp4"))
        assert clip["ok"] and "another video" in clip["why"]
        assert clip["start_s"] == 2.0 and all(round((2.0 + at) * RATE) == n for at, n in numbers(clip["path"]))
        after = camera.ask(type="clip", start_s=back, end_s=back + 1.0, path=str(tmp_path / "after.mp4"))
        assert after["ok"], after
        # The second connection begins with frame 0 of its recording. Its media time continues the first.
        offset = {round(after["start_s"] + at - n / RATE, 2) for at, n in numbers(after["path"])}
        assert len(offset) == 1 and abs(offset.pop() - back) < 0.21
        camera.end()


def test_file_that_loops(cameras: Callable[..., Camera], tmp_path: Path) -> None:
    video = corpus.encode(tmp_path / "a.mp4", 100, keyframes=10, b_frames=2)
    camera = cameras(str(video), start_s=50.0, loop=True, real_time=False)
    camera.until(lambda: camera.now_s() >= 60.0)
    clip = camera.ask(type="clip", start_s=56.5, end_s=59.0, path=str(tmp_path / "clip.mp4"))
    assert clip["ok"] and not clip["why"]
    found = numbers(clip["path"])
    assert len(found) >= 60
    for at, number in found:
        assert round((clip["start_s"] + at - 50.0) * RATE) % 100 == number
    camera.end()


def test_masked_camera_stores_no_clips(cameras: Callable[..., Camera], tmp_path: Path) -> None:
    video = corpus.encode(tmp_path / "a.mp4", 100)
    right = [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]
    camera = cameras(str(video), loop=True, masks=[right], media={"mask": True})
    camera.until(lambda: camera.now_s() >= 1.0)
    clip = camera.ask(type="clip", start_s=0.0, end_s=0.5, path=str(tmp_path / "clip.mp4"))
    assert not clip["ok"] and "mask" in clip["why"]
    for kind in ({"type": "picture", "at_s": 0.5}, {"type": "live_picture"}):
        answer = camera.ask(**kind, width=None, path=str(tmp_path / "p.jpg"))
        with av.open(answer["path"]) as container:
            image = next(container.decode(video=0)).to_ndarray(format="rgb24")
        assert image[:, 68:].max() < 16 and image[:, :60].max() > 50
    camera.end()
