"""Fixtures of the tests of the labeling page: the browser, servers, and videos of odd times and forms."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the labeling page needs starlette (extra label)")
pytest.importorskip("uvicorn", reason="the labeling page needs uvicorn (extra label)")
pytest.importorskip("selenium.webdriver", reason="the browser is driven by selenium")
pytest.importorskip("av", reason="PyAV is not installed")
import av

from tests.helpers.labeling import LabelServer
from tests.helpers.video_corpus import encode, picture
from tests.system import browser as kit

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
if BROWSER is None or DRIVER is None:
    pytest.skip("no chromium and chromium-driver (Debian packages)", allow_module_level=True)

FRAME_S = 0.04
SIZE = (240, 320)


def start_browser(profile: Path) -> kit.Browser:
    from selenium.common.exceptions import WebDriverException

    try:
        return kit.Browser(profile, program=str(BROWSER), driver=str(DRIVER))
    except WebDriverException as error:
        pytest.skip(f"Chromium does not start here: {str(error)[:200]}")


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[kit.Browser]:
    made = start_browser(tmp_path_factory.mktemp("profile"))
    yield made
    made.driver.quit()


Serve = Callable[..., LabelServer]


@pytest.fixture
def serve(browser) -> Iterator[Serve]:
    """Starts `punctum label` on a folder."""
    servers: list[LabelServer] = []

    def start(folder: Path, *options: str, **more: Any) -> LabelServer:
        quiet = () if "--train-after" in options else ("--train-after", "0")  # no training beside other tests
        server = LabelServer(folder, "--annotator", "ann", *quiet, *options, **more)
        server.start()
        servers.append(server)
        return server

    yield start
    browser.driver.get("about:blank")
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Three numbered videos of 4 to 8 s that every browser plays."""
    place = tmp_path_factory.mktemp("clips") / "my-videos"
    place.mkdir()
    for name, count in (("a", 100), ("b", 150), ("c", 200)):
        encode(place / f"{name}.mp4", count, b_frames=2, size=SIZE)
    return place


def copied(clips: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clips, tmp_path / "my-videos"))


def sound(out: Path, video: Path, *, late_s: float) -> None:
    """A copy of a video with sound from 0 on, whose picture begins later."""
    with av.open(str(video)) as source, av.open(str(out), "w") as target:
        track = source.streams.video[0]
        copy = target.add_stream_from_template(track)
        tone = target.add_stream("aac", rate=48_000, layout="mono")
        frame_size, done = 1024, 0
        while done < 48_000 * (late_s + 4):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, frame_size), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48_000, done
            target.mux(tone.encode(frame))
            done += frame_size
        target.mux(tone.encode(None))
        shift = round(late_s / track.time_base)
        for packet in source.demux(track):
            if packet.dts is None:
                continue
            packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, copy
            target.mux(packet)


def cut(out: Path, video: Path, at_s: float, *, keep: bool = False) -> None:
    """A copy from within a group of pictures on, as ffmpeg -ss with -c copy makes it; keep: with its time stamps."""
    with av.open(str(video)) as source, av.open(str(out), "w") as target:
        track = source.streams.video[0]
        copy = target.add_stream_from_template(track)
        source.seek(round(at_s / track.time_base), stream=track)
        for packet in source.demux(track):
            if packet.dts is not None:
                if not keep:
                    packet.pts -= round(at_s / track.time_base)
                    packet.dts -= round(at_s / track.time_base)
                packet.stream = copy
                target.mux(packet)


def remux(out: Path, video: Path, **muxer: str) -> None:
    with av.open(str(video)) as source, av.open(str(out), "w", options=muxer) as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> Path:
    """Videos whose time or form is odd; each frame carries its number."""
    place = tmp_path_factory.mktemp("odd")
    encode(place / "plain.mp4", 100, b_frames=2, size=SIZE, keyframes=25)
    for degrees in (90, 180, 270):
        turns = degrees // 90
        shape = SIZE if degrees == 180 else SIZE[::-1]

        def paint(k: int, shape: tuple[int, int] = shape, turns: int = turns) -> np.ndarray:
            return np.ascontiguousarray(np.rot90(picture(k, shape), -turns))

        encode(place / f"rotated{degrees}.mp4", 60, size=SIZE, rotation=degrees, paint=paint)
    encode(place / "vfr.mp4", 60, times=[k * FRAME_S + k * k * 1e-3 for k in range(60)], size=SIZE)
    encode(place / "ten_bit.mp4", 60, size=SIZE, pixels="yuv420p10le")
    encode(place / "old.avi", 60, size=SIZE, codec="mpeg4")
    encode(place / "lossless.mkv", 40, size=SIZE, codec="ffv1")
    if "libx265" in av.codecs_available:
        encode(place / "hevc.mp4", 60, size=SIZE, codec="libx265", codec_options={"x265-params": "log-level=none"})
    if "libvpx-vp9" in av.codecs_available:
        encode(place / "vp9.webm", 60, size=SIZE, codec="libvpx-vp9", codec_options={"deadline": "realtime"})
    sound(place / "late.mp4", place / "plain.mp4", late_s=2.0)
    sound(place / "slightly_late.mp4", place / "plain.mp4", late_s=0.4)
    cut(place / "cut.mp4", place / "plain.mp4", 1.36)
    cut(place / "copied_stamps.mp4", place / "plain.mp4", 1.36, keep=True)
    remux(place / "stream.ts", place / "plain.mp4")
    remux(place / "fragments.mp4", place / "plain.mp4", movflags="frag_keyframe+empty_moov")
    return place
