"""Live sources against real sockets: silent servers, HTTP that breaks off, HLS; and FFmpeg's own log."""

from __future__ import annotations

import functools
import http.server
import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from punctum.runtime.errors import InputError
from punctum.runtime.video import Gap, Sampled, VideoOptions, open_frames
from punctum.runtime.video._faults import Fault

from tests.helpers import video_corpus, video_peers

corpus, peers = video_corpus, video_peers
drain = peers.drain
talker = peers.talker

FPS = 10.0
RATE = 50.0
QUICK = VideoOptions(
    open_timeout_s=0.8, read_timeout_s=0.4, stall_s=0.3, reconnect_s=1.0, backoff_s=0.02, max_backoff_s=0.1
)
ADDRESS = "rtsp://somebody:hunter2secret@camera.example/live"
GONE = Fault("video-refused", "camera: nothing listens there", "a server", "start it", passing=True)


def _half_rtsp(connection: socket.socket) -> None:
    request = connection.recv(4096).decode()
    number = next(line.split()[1] for line in request.splitlines() if line.startswith("CSeq"))
    connection.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\nPublic: DESCRIBE, SETUP, PLAY\r\n\r\n".encode())


def _half_http(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nContent-Length: 1000000\r\n\r\n" + b"G" * 10)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
@pytest.mark.parametrize("answer", ["silence", "half an answer"])
def test_a_server_that_accepts_and_stays_silent(scheme: str, answer: str) -> None:
    half = _half_rtsp if scheme == "rtsp" else _half_http
    with talker(half if answer == "half an answer" else lambda connection: None) as port:
        began = time.monotonic()
        with pytest.raises(InputError) as caught:
            open_frames(f"{scheme}://somebody:hunter2secret@127.0.0.1:{port}/live", fps=FPS, options=QUICK)
        took = time.monotonic() - began
    assert caught.value.code == "video-timeout"
    assert took < QUICK.open_timeout_s + 2.0
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("closes", [True, False])
def test_a_recording_that_breaks_off_over_http_is_no_whole_one(closes: bool, tmp_path: Path) -> None:
    data = corpus.encode(tmp_path / "a.mp4", 100, size=(240, 320), muxer={"movflags": "faststart"}).read_bytes()

    def half(connection: socket.socket) -> None:
        connection.recv(4096)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {len(data)}\r\n\r\n"
        connection.sendall(head.encode() + data[: len(data) // 2])
        if closes:
            connection.close()

    with talker(half) as port:
        source = open_frames(f"http://127.0.0.1:{port}/a.mp4", fps=FPS, options=QUICK)
        items, error = drain(source)  # type: ignore[arg-type]
    assert not source.live
    assert 10 < len(items) < 30
    assert [item.at for item in items] == [k / FPS for k in range(len(items))]
    assert error is not None
    assert error.code in ({"video-broken-off"} if closes else {"video-timeout", "video-stall"})


def _chunked(data: bytes, *, end: bool = True) -> bytes:
    parts = [data[i : i + 5000] for i in range(0, len(data), 5000)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + (b"0\r\n\r\n" if end else b"")


def test_a_stream_over_http_that_breaks_off_is_opened_again(tmp_path: Path) -> None:
    bodies = [corpus.encode(tmp_path / f"{k}.ts", 50, keyframes=10 + k).read_bytes() for k in range(2)]
    served: list[int] = []

    def twice(connection: socket.socket) -> None:
        connection.recv(4096)
        if len(served) < 2:
            connection.sendall(_chunked(bodies[len(served)], end=False))
        served.append(1)
        connection.close()

    with talker(twice) as port:
        source = open_frames(f"http://127.0.0.1:{port}/a.ts?token=hunter2secret", fps=FPS, options=QUICK)
        items, error = drain(source)  # type: ignore[arg-type]
    assert [item.reason for item in items if isinstance(item, Gap)] == ["reconnected"]
    assert [corpus.number(item.image) for item in items if isinstance(item, Sampled)][20:24] == [1, 3, 6, 8]
    assert error is not None
    assert error.code == "video-lost"
    assert error.exit_code == 3
    assert "hunter2" not in str(error)


def test_a_port_that_nobody_listens_on() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for scheme in ("rtsp", "http"):
        with pytest.raises(InputError) as caught:
            open_frames(f"{scheme}://me:hunter2secret@127.0.0.1:{port}/live", fps=FPS, options=QUICK)
        assert caught.value.code == "video-refused"
        assert caught.value.__context__ is None
        assert "hunter2" not in str(caught.value)


def test_a_host_that_does_not_exist() -> None:
    with pytest.raises(InputError) as caught:
        open_frames("rtsp://me:hunter2secret@nowhere.invalid/live", fps=FPS, options=QUICK)
    assert caught.value.code in ("video-connection", "video-timeout")
    assert "hunter2" not in str(caught.value)


class LiveList(http.server.SimpleHTTPRequestHandler):
    """HLS as a live encoder makes it: a playlist that grows by a segment now and then, and ends."""

    began = 0.0
    names: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        if not self.path.startswith("/live.m3u8"):
            super().do_GET()
            return
        cls = type(self)
        cls.began = cls.began or time.monotonic()
        there = min(len(cls.names), 2 + int((time.monotonic() - cls.began) / 0.8))
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1", "#EXT-X-MEDIA-SEQUENCE:0"]
        lines += [line for name in cls.names[:there] for line in ("#EXTINF:0.8,", name)]
        lines += ["#EXT-X-ENDLIST"] if there == len(cls.names) else []
        body = "\n".join([*lines, ""]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.apple.mpegurl")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_live_hls_that_comes_in_segments_loses_nothing(tmp_path: Path) -> None:
    muxer = {"hls_time": "0.8", "hls_list_size": "0"}
    corpus.encode(tmp_path / "clip.m3u8", 120, form="hls", muxer=muxer)
    corpus.encode(tmp_path / "clip.mp4", 120)
    lines = (tmp_path / "clip.m3u8").read_text().splitlines()
    LiveList.names = [line for line in lines if line and not line.startswith("#")]
    assert len(LiveList.names) == 6
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(LiveList, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/live.m3u8"
        source = open_frames(url, fps=FPS, options=VideoOptions(read_timeout_s=0.3, buffer_s=0.5))
        items, error = drain(source)  # type: ignore[arg-type]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
    assert error is None
    assert source.live
    assert source.policy == "wait"
    found = [(item.at, corpus.number(item.image)) for item in items if isinstance(item, Sampled)]
    assert found == shown(str(tmp_path / "clip.mp4"))
    assert not any(isinstance(item, Gap) for item in items)


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of a folder; /private asks for a login, /forbidden never lets in."""

    def do_GET(self) -> None:
        if self.path.startswith("/private"):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="cam"')
            self.end_headers()
        elif self.path.startswith("/forbidden"):
            self.send_error(403)
        elif self.path.startswith("/broken"):
            self.send_error(503)
        else:
            super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Folder with videos, and where an HTTP server of this machine serves it."""
    folder = tmp_path_factory.mktemp("site")
    corpus.encode(folder / "clip.mp4", 100, muxer={"movflags": "faststart"})
    corpus.encode(
        folder / "clip.m3u8", 100, form="hls", muxer={"hls_time": "1", "hls_list_size": "0", "hls_playlist_type": "vod"}
    )
    (folder / "text.html").write_text("<html>no video here</html>" * 20)
    corpus.playlist(folder / "local.m3u8", f"file://{folder}/clip0.ts")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join(5)


def shown(address: str) -> list[tuple[float, int]]:
    source = open_frames(address, fps=FPS)
    try:
        return [(item.at, corpus.number(item.image)) for item in source.frames() if isinstance(item, Sampled)]
    finally:
        source.close()


@pytest.mark.parametrize("name", ["clip.mp4", "clip.m3u8", "clip.mp4?token=hunter2secret"])
def test_http_gives_what_the_file_gives(name: str, site: tuple[Path, str]) -> None:
    folder, url = site
    expected = shown(str(folder / "clip.mp4"))
    assert len(expected) == 40
    assert shown(f"{url}/{name}") == expected


def test_a_recording_over_http_is_no_live_source(site: tuple[Path, str]) -> None:
    source = open_frames(f"{site[1]}/clip.mp4?token=hunter2secret", fps=FPS)
    source.close()
    assert not source.live
    assert source.name.endswith("/clip.mp4?token=***")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("private/clip.mp4", "video-login"),
        ("forbidden/clip.mp4?token=hunter2secret", "video-login"),
        ("missing.mp4?token=hunter2secret", "video-missing"),
        ("broken/clip.mp4?token=hunter2secret", "video-connection"),
        ("text.html", "video-unreadable"),
        ("local.m3u8", "video-unreadable"),
    ],
)
def test_http_errors(name: str, code: str, site: tuple[Path, str]) -> None:
    with pytest.raises(InputError) as caught:
        open_frames(f"{site[1]}/{name}", fps=FPS, options=QUICK)
    assert caught.value.code == code
    assert "hunter2" not in str(caught.value)
    assert caught.value.next_step


def test_ffmpeg_s_own_log_tells_no_credentials(
    site: tuple[Path, str], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    import av

    caplog.set_level(logging.DEBUG)
    logging.getLogger("libav").setLevel(logging.DEBUG)
    av.logging.set_level(av.logging.DEBUG)
    try:
        with pytest.raises(InputError):
            open_frames(f"{site[1]}/missing.mp4?token=hunter2secret", fps=FPS, options=QUICK)
        with pytest.raises(InputError):
            open_frames(f"{site[1].replace('//', '//me:hunter2secret@')}/missing.mp4", fps=FPS, options=QUICK)
    finally:
        av.logging.set_level(None)
        logging.getLogger("libav").setLevel(logging.WARNING)
    out, err = capfd.readouterr()
    assert "hunter2" not in caplog.text + out + err


# Cameras.
