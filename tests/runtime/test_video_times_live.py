"""Media time over HTTP and of live sources: what a file gives, and times of arrival where there are no stamps."""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from punctum.runtime.errors import InputError
from punctum.runtime.video import Gap, Sampled, VideoOptions, open_frames

from tests.helpers import video_times as odd

pytestmark = pytest.mark.slow

RATE, make, remux, bump, media_times = odd.RATE, odd.make, odd.remux, odd.bump, odd.media_times


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = odd.make_all(tmp_path_factory.mktemp("times"))
    return folder


SLACK_S = 0.03  # containers round, and codecs of sound begin a few milliseconds early


class _Ranges(http.server.SimpleHTTPRequestHandler):
    """A file server that knows ranges and keeps connections open, as most do."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        data = Path(self.directory, self.path.lstrip("/")).read_bytes()  # type: ignore[attr-defined]
        given = self.headers.get("Range")
        begin, _, end = (given or "bytes=0-").removeprefix("bytes=").partition("-")
        first, last = int(begin), int(end) if end else len(data) - 1
        self.send_response(206 if given else 200)
        self.send_header("Accept-Ranges", "bytes")
        if given:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        try:
            self.wfile.write(data[first : last + 1])
        except OSError:
            self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def site(made: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Ranges, directory=str(made)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    "name", ["long.mp4", "late.mp4", "late.ts", "bframes.avi", "raw.h264", "raw.mjpeg", "vfr.mp4", "cut.ts", "jump.ts"]
)
def test_an_address_gives_the_times_and_losses_of_the_file(name: str, made: Path, site: str) -> None:
    if name == "cut.ts":
        odd.cut(made)
    if name == "jump.ts":
        remux(made / name, made / "plain.mp4", form="mpegts", change=bump(1.5, 100.0))
    if name == "long.mp4":  # its index is at the end, further away than a reader's buffer
        make(made / name, 200, size=(240, 320), options={"crf": "1"})
    _, here = media_times(made / name)
    _, there = media_times(f"{site}/{name}", reconnect_s=0)
    assert len(here.items) >= 40
    assert [item.at for item in there.items] == [item.at for item in here.items]
    assert [item.lost for item in there.items] == [item.lost for item in here.items]
    assert there.dropped == here.dropped
    shown = [item for item in here.items if not isinstance(item, Gap)]
    again = [item for item in there.items if not isinstance(item, Gap)]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(shown, again, strict=True))


class _Camera(http.server.BaseHTTPRequestHandler):
    """MJPEG as cameras send it, a frame every 0.1 s; it carries no stamps."""

    pictures: ClassVar[list[bytes]] = []

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        begun = time.monotonic()
        try:
            for k, jpeg in enumerate(self.pictures):
                head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                self.wfile.write(head + jpeg + b"\r\n")
                time.sleep(max(begun + (k + 1) / 10 - time.monotonic(), 0))
        except OSError:
            pass

    def log_message(self, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def _serving(handler: type[http.server.BaseHTTPRequestHandler], path: str) -> Iterator[str]:
    """A server with this handler; gives the address of the path."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/{path}"
    finally:
        server.shutdown()
        server.server_close()


def _until_the_end(address: str, options: VideoOptions) -> list[Sampled | Gap]:
    """Everything that comes until the sender is switched off."""
    items: list[Sampled | Gap] = []
    with contextlib.closing(open_frames(address, fps=10.0, options=options)) as source:
        with contextlib.suppress(InputError):
            for item in source.frames():
                items += [] if item is None else [item]
    return items


@pytest.mark.parametrize("rate", [None, 10.0])
def test_mjpeg_of_a_camera_runs_at_the_rate_at_which_it_arrives(rate: float | None, made: Path) -> None:
    data = (made / "raw.mjpeg").read_bytes()
    _Camera.pictures = [b"\xff\xd8\xff" + part for part in data.split(b"\xff\xd8\xff")[1:31]]
    with _serving(_Camera, "video") as address:
        items = _until_the_end(address, VideoOptions(reconnect_s=0, rate=rate))
    assert items[-1].at == pytest.approx(2.9, abs=0.6)


def test_media_time_of_a_camera_without_stamps_goes_on_by_the_clock_over_a_loss(made: Path) -> None:
    data = (made / "raw.mjpeg").read_bytes()
    _Camera.pictures = [b"\xff\xd8\xff" + part for part in data.split(b"\xff\xd8\xff")[1:16]]
    options = VideoOptions(reconnect_s=5, backoff_s=0.5, max_backoff_s=0.5)
    with (
        _serving(_Camera, "video") as address,
        contextlib.closing(open_frames(address, fps=10.0, options=options)) as source,
    ):
        begun, ended, at, reconnected = time.monotonic(), 0.0, 0.0, 0
        for item in source.frames():
            if item is not None:
                at, ended = item.at, time.monotonic()
                reconnected += isinstance(item, Gap)
            if reconnected == 2 and at > 4.5:
                break
    assert reconnected == 2
    assert at == pytest.approx(ended - begun, abs=0.7)


def test_what_opening_reads_ahead_of_a_stream_without_stamps_took_its_time_too(made: Path) -> None:
    """FFmpeg looks at two dozen frames of raw H.264 before it hands out the first."""
    data = (made / "raw.h264").read_bytes()
    starts = [k for k in range(len(data) - 4) if data[k : k + 3] == b"\0\0\1"]
    slices = [k for k in starts if data[k + 3] & 31 in (1, 5)]
    ends = [next((k for k in starts if k > begin), len(data)) for begin in slices]

    class Encoder(_Camera):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/h264")
            self.end_headers()
            begun, sent = time.monotonic(), 0
            try:
                for k, end in enumerate(ends):
                    self.wfile.write(data[sent:end])
                    sent = end
                    time.sleep(max(begun + (k + 1) / RATE - time.monotonic(), 0))
            except OSError:
                pass

    with _serving(Encoder, "live.h264") as address:
        items = _until_the_end(address, VideoOptions(reconnect_s=0))
    assert items[-1].at == pytest.approx(2.9, abs=0.6)
    shown = [odd.level(item.image) for item in items if not isinstance(item, Gap)]
    assert len(set(shown[:10])) >= 6  # not all of it in the first cell


def test_a_recording_without_stamps_that_comes_all_at_once_is_named(
    made: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Sent in chunks, without a length: nothing tells it from a camera but its pace."""
    data = (made / "raw.mjpeg").read_bytes()

    class Chunks(_Camera):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            many = data * 10
            for k in range(0, len(many), 16384):
                part = many[k : k + 16384]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")

    with _serving(Chunks, "x.mjpeg") as address:
        _until_the_end(address, VideoOptions(reconnect_s=0))
    assert "set its frame rate with `rate`" in caplog.text
