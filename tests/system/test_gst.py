"""Pipelines of GStreamer as sources: the frames of FFmpeg where the decoder is exact, times, faults, and no secrets."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from punctum.runtime.credentials.redact import Address
from punctum.runtime.errors import InputError, PunctumError, SourceLostError
from punctum.runtime.sources.media import stream_name
from punctum.runtime.sources.open import refuse_options
from punctum.runtime.video import Gap, Sampled, VideoOptions, open_frames

from tests.helpers import gstreamer, video_corpus

corpus = video_corpus
QUICK = VideoOptions(open_timeout_s=2.0, read_timeout_s=1.0, reconnect_s=0.0)


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    found = gstreamer.bindings(tmp_path_factory.mktemp("gi"))
    gstreamer.need("videotestsrc", "videoconvert", "appsink")
    return found


def items_of(address: str, fps: float = 10.0, options: VideoOptions = QUICK) -> list[Sampled | Gap]:
    source = open_frames(address, fps=fps, options=options)
    try:
        return [item for item in source.frames() if item is not None]
    finally:
        source.close()


def images(items: list[Sampled | Gap]) -> list[np.ndarray]:
    return [item.image for item in items if isinstance(item, Sampled)]


@pytest.mark.parametrize(
    ("name", "codec", "elements", "codec_options"),
    [
        ("clip.webm", "libvpx-vp9", "matroskademux ! vp9dec", {"deadline": "realtime", "cpu-used": "8"}),
        ("clip.mkv", "libx264", "matroskademux ! h264parse ! openh264dec", {"profile": "baseline"}),
        ("clip.mp4", "libx265", "qtdemux ! h265parse ! libde265dec", {"x265-params": "log-level=error"}),
    ],
)
def test_the_frames_of_ffmpeg(
    tmp_path: Path, name: str, codec: str, elements: str, codec_options: dict[str, str]
) -> None:
    """Decoding is exact by the standards of these codecs, and images are made by the same code."""
    gstreamer.need(*(element.strip() for element in elements.split("!")))
    path = corpus.encode(tmp_path / name, 60, codec=codec, codec_options=codec_options)
    expected, found = items_of(str(path)), items_of(f"gst:filesrc location={path} ! {elements}")
    assert [(item.at, item.lost) for item in found] == [(item.at, item.lost) for item in expected]
    for one, other in zip(images(found), images(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_recording_is_read_to_its_end_and_not_again() -> None:
    source = open_frames("gst:videotestsrc num-buffers=50 ! video/x-raw,framerate=25/1", fps=10.0)
    items = [item for item in source.frames() if item is not None]
    source.close()
    assert not source.live
    assert source.policy == "wait"
    assert [item.at for item in items] == pytest.approx([k / 10 for k in range(20)])
    assert source.info.decoder == "gstreamer"
    assert source.info.rate == 25.0


def test_a_live_pipeline_that_ends_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    address = "gst:videotestsrc is-live=true num-buffers=12 ! video/x-raw,framerate=25/1"
    source = open_frames(address, fps=10.0, options=QUICK)
    assert source.live
    assert source.policy == "drop_oldest"
    with pytest.raises(InputError) as caught:
        list(source.frames())
    source.close()
    assert caught.value.code == "video-ended"
    again = VideoOptions(reconnect_s=5.0, backoff_s=0.05)
    items, began = [], time.monotonic()
    source = open_frames(address, fps=10.0, options=again)
    with caplog.at_level(logging.WARNING, "punctum"):
        for item in source.frames():
            items += [] if item is None else [item]
            if len(items) >= 12 or time.monotonic() - began > 20:
                break
    source.close()
    gap = next(item for item in items if isinstance(item, Gap))
    assert gap.reason == "reconnected"
    assert gap.at >= 12 / 25


def test_formats_and_odd_sizes() -> None:
    """Rows are padded differently in each format."""
    made: dict[str, list[np.ndarray]] = {}
    for form in ("I420", "NV12", "RGB", "BGR", "RGBx", "BGRx"):
        shape = f"video/x-raw,format={form},width=35,height=18,framerate=10/1"
        made[form] = images(items_of(f"gst:videotestsrc num-buffers=3 pattern=gradient ! {shape}"))
        assert made[form][0].shape == (18, 35, 3)
    for form in ("BGR", "RGBx", "BGRx"):
        np.testing.assert_array_equal(made[form], made["RGB"])
    np.testing.assert_array_equal(made["NV12"], made["I420"])
    assert np.abs(np.asarray(made["I420"], int) - np.asarray(made["RGB"], int)).mean() < 6
    assert images(items_of("gst:videotestsrc num-buffers=3 ! video/x-raw,format=GRAY8,width=33,height=17"))


def test_a_size_that_changes() -> None:
    gstreamer.need("concat")
    shapes = ("width=128,height=96", "width=160,height=64")
    parts = " ".join(f"videotestsrc num-buffers=20 ! video/x-raw,framerate=25/1,{shape} ! c." for shape in shapes)
    found = images(items_of(f"gst:{parts} concat name=c"))
    assert {image.shape for image in found} == {(96, 128, 3), (64, 160, 3)}


@pytest.mark.parametrize(
    ("pipeline", "code"),
    [
        ("nosuchelement", "gst-pipeline"),
        ("videotestsrc nosuch=1", "gst-pipeline"),
        ("videotestsrc ! fakesink", "gst-pipeline"),
        ("audiotestsrc num-buffers=3", "gst-pipeline"),
        ("filesrc location=/nowhere/clip.mp4 ! decodebin", "video-missing"),
        ("videotestsrc num-buffers=0", "video-no-frames"),
        ("videotestsrc is-live=true ! valve drop=true", "video-timeout"),
    ],
)
def test_what_does_not_work_is_said(pipeline: str, code: str) -> None:
    with pytest.raises(PunctumError) as caught:
        items_of(f"gst:{pipeline}")
    assert caught.value.code == code
    assert caught.value.given


def test_frames_that_are_too_large_are_refused() -> None:
    pipeline = "videotestsrc num-buffers=1 ! video/x-raw,width=8200,height=8200,format=GRAY8"
    with pytest.raises(InputError, match="8200 x 8200 pixels") as caught:
        items_of(f"gst:{pipeline}", options=VideoOptions(open_timeout_s=60.0, reconnect_s=0.0))
    assert caught.value.code == "video-size"


@pytest.mark.parametrize("pipeline", ["filesrc location=/nowhere/clip.mp4 ! decodebin", "videotestsrc num-buffers=0"])
def test_a_recording_that_fails_is_not_opened_again(pipeline: str, caplog: pytest.LogCaptureFixture) -> None:
    patient = VideoOptions(open_timeout_s=2.0, read_timeout_s=1.0, reconnect_s=30.0, retry_start=True)
    with caplog.at_level(logging.WARNING), pytest.raises(InputError) as caught:
        items_of(f"gst:{pipeline}", options=patient)
    assert not isinstance(caught.value, SourceLostError)
    assert "Retrying" not in caplog.text


def test_a_device_that_is_missing_may_come_back(caplog: pytest.LogCaptureFixture) -> None:
    gstreamer.need("v4l2src")
    patient = VideoOptions(open_timeout_s=2.0, reconnect_s=0.5, retry_start=True)
    with caplog.at_level(logging.WARNING), pytest.raises(SourceLostError):
        items_of("gst:v4l2src device=/dev/video-none", options=patient)
    assert "Retrying" in caplog.text


def test_a_pipeline_that_falls_silent() -> None:
    """The source delivers one second of frames, then nothing and no end."""
    gstreamer.need("identity")
    pipeline = "videotestsrc is-live=true ! video/x-raw,framerate=25/1 ! identity eos-after=-1 error-after=25"
    with pytest.raises(SourceLostError) as caught:
        items_of(f"gst:{pipeline}")
    assert caught.value.code == "video-broken-off"


def test_secrets_are_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    pipeline = (
        'gst:rtspsrc location="rtsp://bob:hunter2@127.0.0.1:9/cam?token=abcdef" user-id=bobby user-pw="hunter3 x" ! '
        "rtph264depay ! h264parse ! openh264dec"
    )
    gstreamer.need("rtspsrc", "rtph264depay", "h264parse", "openh264dec")
    address = Address.parse(pipeline)
    with caplog.at_level(logging.DEBUG), pytest.raises(PunctumError) as caught:
        items_of(pipeline)
    for text in (str(caught.value), address.shown, repr(address), stream_name(address.shown), caplog.text):
        for secret in ("hunter2", "hunter3", "bob", "abcdef"):
            assert secret not in text
    assert "rtspsrc" in address.shown
    assert "127.0.0.1:9/cam" in address.shown
    assert stream_name(address.shown) == "127.0.0.1:9/cam"
    assert address.clean("could not log in as bobby with hunter3 x") == "could not log in as *** with ***"


def test_names_of_streams() -> None:
    for pipeline, name in (
        ("filesrc location=/data/cam-1.mkv ! decodebin", "cam-1"),
        ("v4l2src device=/dev/video0", "video0"),
        ("videotestsrc", "gst"),
        ("uridecodebin uri=rtsp://cam/stream1", "cam/stream1"),
    ):
        assert stream_name(Address.parse(f"gst:{pipeline}").shown) == name


@pytest.mark.parametrize("name", ["transport", "allow_hosts", "follow", "decoder"])
def test_options_without_effect(name: str) -> None:
    with pytest.raises(InputError) as caught:
        refuse_options("gst:videotestsrc", [name])
    assert caught.value.code == "option-unfit"


@pytest.mark.slow
def test_the_command(environment: dict[str, str]) -> None:
    """A pipeline on the command line: live, ended by its length."""
    pipeline = "gst:videotestsrc num-buffers=75 pattern=ball ! video/x-raw,framerate=25/1,width=320,height=240"
    command = [sys.executable, "-c", "from punctum.runtime.cli import main; main()", "run", "default", pipeline]
    done = subprocess.run(
        [*command, "--stream", "--stats"], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "3.0 s of media" in done.stderr
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 2
    assert "[needs-stream]" in done.stderr
