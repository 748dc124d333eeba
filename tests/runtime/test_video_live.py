"""Live sources: time-outs that hold, losses that are mended and declared, buffers that stay bounded, no credentials."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from punctum.runtime.credentials.redact import Address
from punctum.runtime.errors import InputError
from punctum.runtime.video import Gap, Sampled, VideoInfo, VideoOptions, open_frames
from punctum.runtime.video._connect import ffmpeg_options
from punctum.runtime.video._faults import Fault, explain
from punctum.runtime.video._retries import Retries
from punctum.runtime.video.live import LiveFrames

from tests.helpers import video_corpus as corpus
from tests.helpers import video_peers as peers

drain = peers.drain
talker = peers.talker

FPS = 10.0
RATE = 50.0
QUICK = VideoOptions(
    open_timeout_s=0.8, read_timeout_s=0.4, stall_s=0.3, reconnect_s=1.0, backoff_s=0.02, max_backoff_s=0.1
)
ADDRESS = "rtsp://somebody:hunter2secret@camera.example/live"
GONE = Fault("video-refused", "camera: nothing listens there", "a server", "start it", passing=True)


@dataclass
class Shot:
    """Stands in for a decoded frame."""

    raw_s: float | None
    duration_s: float = 1 / RATE
    lost: int = 0
    damaged: bool = False
    aspect: float = 1.0

    def image(self) -> np.ndarray:
        return np.full((4, 4, 3), round((self.raw_s or 0) * RATE) % 256, np.uint8)


Step = Shot | float | None | Exception
"""What a connection does next: give a frame, wait, give nothing, raise."""


class Script:
    """A connection that does what its script says."""

    def __init__(self, steps: list[Step] | Exception, ended_by: Fault | None = None, endless: bool = False) -> None:
        self.steps, self.ended_by, self.lost = steps, ended_by, 0
        self.endless, self.closed = endless, False

    def open(self) -> None:
        if isinstance(self.steps, Exception):
            raise self.steps

    def info(self, first: Shot) -> VideoInfo:
        return VideoInfo(4, 4, RATE, None, "script", 0, True)

    def watch(self, shows: object) -> None:
        """All of its frames are decoded."""

    def decoded_frames(self) -> Iterator[Shot | None]:
        assert not isinstance(self.steps, Exception)
        for step in self.steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                time.sleep(step)
            else:
                yield step
        while self.endless:
            time.sleep(0.01)
            yield None

    def close(self) -> None:
        self.closed = True


def shots(count: int, first: float = 0.0) -> list[Step]:
    return [Shot(first + k / RATE) for k in range(count)]


def live(scripts: list[Script], options: VideoOptions = QUICK, address: str = ADDRESS) -> tuple[LiveFrames, list[str]]:
    """A source that makes one connection after the other, then is refused; and what it warns of."""
    left, said = list(scripts), []

    def connect() -> Script:
        return left.pop(0) if left else Script(GONE.error())

    return LiveFrames(Address.parse(address), fps=FPS, options=options, connect=connect, warn=said.append), said


# Losses.


def test_a_source_that_breaks_off_goes_on_after_a_gap() -> None:
    first, second = Script(shots(50), GONE), Script([0.3, *shots(50, first=777.0)], GONE)
    source, said = live([first, second])
    items, error = drain(source)
    where = next(k for k, item in enumerate(items) if isinstance(item, Gap))
    gap = items[where]
    assert isinstance(gap, Gap)
    assert gap.reason == "reconnected"
    assert 1.2 < gap.at < 2.5  # 0.98 s of media, 0.3 s and a little more of wall clock
    assert where == 10
    assert [item.index for item in items[where + 1 :] if isinstance(item, Sampled)] == list(range(10))
    assert items[where + 1].at == gap.at
    assert source.reconnects == source.dropped["reconnects"] == 1
    assert sum("is back after" in text for text in said) == 1
    assert error is not None
    assert error.code == "video-lost"
    assert "within 1 s" in error.given
    assert first.closed
    assert second.closed
    assert said
    assert "hunter2" not in f"{said} {error} {source.name}"


def test_a_source_that_never_comes_back_is_given_up_in_time() -> None:
    tries: list[float] = []
    left = [Script(shots(20), GONE)]

    def connect() -> Script:
        tries.append(time.monotonic())
        return left.pop() if left else Script(GONE.error())

    source = LiveFrames(Address.parse(ADDRESS), fps=FPS, options=QUICK, connect=connect, warn=lambda text: None)
    _, error = drain(source)
    assert error is not None
    assert error.code == "video-lost"
    assert 0.9 < tries[-1] - tries[1] < 5.0
    assert 3 < len(tries) < 30


def test_pauses_double_up_to_a_limit_with_jitter_and_end_with_the_attempts() -> None:
    series = [Retries(VideoOptions(backoff_s=0.5, max_backoff_s=4.0, reconnect_s=1e6)) for _ in range(50)]
    for base in [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]:
        pauses = [retries.next_pause() for retries in series]
        assert 0.75 * base <= min(pauses) < max(pauses) <= 1.25 * base
    retries = Retries(VideoOptions(reconnect_s=5.0))
    retries.attempts, retries._since = 19, time.monotonic() - 4.9
    assert not retries.exhausted
    assert retries.next_pause() <= 0.1
    retries._since = time.monotonic() - 9.0
    assert retries.exhausted
    assert retries.next_pause() == 0


def test_a_stall_is_found_and_declared() -> None:
    source, _ = live([Script(shots(20), endless=True), Script(shots(20), GONE)])
    items, _ = drain(source)
    assert [item.reason for item in items if isinstance(item, Gap)] == ["stall"]
    assert source.dropped["stalls"] == 1


def test_credentials_that_are_refused_are_not_tried_again() -> None:
    refused = InputError("video-login", "camera refused the password", "the right one", "correct it")
    scripts = [Script(shots(20), GONE), Script(refused), Script(shots(20))]
    source, _ = live(scripts)
    items, error = drain(source)
    assert error is not None
    assert error.code == "video-login"
    assert source.reconnects == 0
    assert not any(isinstance(item, Gap) for item in items)


def test_no_reconnect_when_it_is_switched_off() -> None:
    source, _ = live([Script(shots(20), GONE), Script(shots(20))], VideoOptions(reconnect_s=0))
    _, error = drain(source)
    assert error is not None
    assert error.code == GONE.code


def test_the_first_connection_must_work() -> None:
    source, _ = live([])
    with pytest.raises(InputError) as caught:
        source.open()
    assert caught.value.code == GONE.code
    source.close()


def test_opening_that_nothing_can_interrupt_is_given_up() -> None:
    released = threading.Event()

    class Stuck(Script):
        def open(self) -> None:
            released.wait(30)  # a look-up of a host name, for example

    source, _ = live([Stuck([])], VideoOptions(open_timeout_s=0.2))
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        source.open()
    source.close()
    assert caught.value.code == "video-timeout"
    assert time.monotonic() - began < 15.0  # less than the 30 s of the look-up
    released.set()


def test_a_fault_of_the_program_reaches_the_consumer_without_credentials() -> None:
    source, _ = live([Script([*shots(20), KeyError(f"no {ADDRESS} for hunter2secret")])])
    items, error = drain(source)
    assert len(items) > 1
    assert error is not None
    assert error.code == "video-failed"
    assert "KeyError" in error.given
    assert "hunter2" not in str(error)


def test_frames_lost_on_the_way_are_counted() -> None:
    steps = [*shots(30), *[Shot(k / RATE) for k in range(40, 60)], Shot(60 / RATE, lost=3), *shots(20, first=61 / RATE)]
    source, _ = live([Script(steps, GONE)])
    items, _ = drain(source)
    assert source.dropped["missing"] == 10
    assert sum(item.lost for item in items) == 13


# Buffers.


def test_a_slow_consumer_loses_stretches_rather_than_memory() -> None:
    options = VideoOptions(buffer_s=1.0, reconnect_s=0, policy="drop_oldest")
    source, _ = live([Script(shots(500), GONE)], options)
    source.open()
    time.sleep(0.3)
    items, _ = drain(source)
    gaps = [item for item in items if isinstance(item, Gap)]
    assert [gap.reason for gap in gaps] == ["overflow"]
    assert len(items) <= 12
    assert source.dropped["overflow"] == gaps[0].lost == 100 - (len(items) - 1)


def test_waiting_loses_nothing() -> None:
    options = VideoOptions(buffer_s=1.0, reconnect_s=0, policy="wait")
    source, _ = live([Script(shots(500), GONE)], options)
    source.open()
    time.sleep(0.2)
    items, _ = drain(source)
    assert [round(item.at * FPS) for item in items] == list(range(100))
    assert "overflow" not in source.dropped


@pytest.mark.parametrize("policy", ["wait", "drop_oldest"])
def test_closing_is_prompt_and_ends_the_thread(policy: str) -> None:
    source, _ = live([Script(shots(500), endless=True)], VideoOptions(buffer_s=0.5, policy=policy))  # type: ignore[arg-type]
    source.open()
    stream = source.frames()
    next(stream)
    began = time.monotonic()
    source.close()
    assert time.monotonic() - began < 4.0  # less than the time that a blocked thread may take
    assert list(stream) == []
    assert not any(thread.name == f"video {source.name}" for thread in threading.enumerate())


EXIT = """
import sys
from punctum.runtime.video import VideoOptions, open_frames
from tests.helpers import video_corpus
from tests.helpers import video_peers
stream = open_frames(sys.argv[1], fps=10.0, options=VideoOptions(read_timeout_s=1.5)).frames()
next(stream)
"""


def test_leaving_a_program_with_an_open_source_is_no_crash(tmp_path: Path) -> None:
    data = corpus.encode(tmp_path / "a.ts", 50).read_bytes()

    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + data)

    with talker(talk) as port:
        command = [sys.executable, "-c", EXIT, f"http://127.0.0.1:{port}/a.ts"]
        runs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
        results = [(run.communicate(timeout=60)[1], run.returncode) for run in runs]
    assert results == [("", 0)] * 3


def test_silence_lets_the_caller_look_around() -> None:
    source, _ = live([Script([*shots(20), 0.25, *shots(20, first=0.4)], GONE)], VideoOptions(reconnect_s=0))
    assert None in list(_until_error(source))
    source.close()


def _until_error(source: LiveFrames) -> Iterator[Sampled | Gap | None]:
    with contextlib.suppress(InputError):
        yield from source.frames()


# Servers of this machine.


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(InputError) as caught:
        open_frames("camera:/dev/video-none", fps=FPS)
    assert caught.value.code == "video-missing"
    assert "v4l2-ctl" in caught.value.next_step


def test_what_is_asked_of_a_camera() -> None:
    options, form = ffmpeg_options(Address.parse("camera:0"), VideoOptions(camera_size="640x480", camera_rate=15.0))
    assert (options, form) == ({"video_size": "640x480", "framerate": "15"}, "v4l2")
    assert ffmpeg_options(Address.parse(ADDRESS), VideoOptions())[0]["rtsp_transport"] == "tcp"


@pytest.mark.parametrize(
    ("error", "code"),
    [(PermissionError(13, "Permission denied"), "video-permission"), (OSError(16, "busy"), "video-unreadable")],
)
def test_faults_of_a_camera(error: OSError, code: str) -> None:
    assert explain(error, Address.parse("camera:0")).code == code
