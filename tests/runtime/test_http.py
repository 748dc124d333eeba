"""Video over HTTP from servers of every kind: what ends, what is cut, what comes twice, and where it may lead."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import http.server
import importlib.util
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from punctum.runtime.errors import InputError
from punctum.runtime.video import Gap, Sampled, VideoOptions, open_frames
from punctum.runtime.video._guard import Guard, Refused
from punctum.runtime.video._http import HttpSource


def _helper(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


corpus, peers = _helper("video_corpus"), _helper("video_peers")
FPS = 10.0
OFFLINE = VideoOptions(reconnect_s=0.0)
LIVE = VideoOptions(reconnect_s=1.5, backoff_s=0.05, max_backoff_s=0.2)
USER, PASSWORD = "viewer", "hunter2@/:x"


class Server(http.server.ThreadingHTTPServer):
    """Answers as its paths say: /MODE/FILE. Keeps what it was asked."""

    daemon_threads = True

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.folder, self.asked, self.leads_to = folder, list[tuple[str, str | None]](), ""
        super().__init__((host, 0), Handler)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def url(self, path: str, login: str = "") -> str:
        return f"http://{login}{self.server_address[0]}:{self.server_address[1]}/{path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join(5)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        mode, _, name = self.path.lstrip("/").partition("?")[0].partition("/")
        span = self.headers.get("Range")
        self.server.asked.append((self.path, span))
        self.close_connection = True
        file = self.server.folder / name
        data = file.read_bytes() if name and file.is_file() else b""
        getattr(self, f"_{mode}", self._missing)(data, span)

    def _missing(self, data: bytes, span: str | None) -> None:
        self.send_error(404)

    def _head(self, status: int = 200, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def _length(self, data: bytes, span: str | None) -> None:
        self._head(Content_Length=len(data))
        self.wfile.write(data)

    def _nothing(self, data: bytes, span: str | None) -> None:
        """Neither length nor chunks: the end of the connection is the end of the body."""
        self._head(Connection="close")
        self.wfile.write(data)

    def _chunked(self, data: bytes, span: str | None, end: bool = True) -> None:
        self._head(Transfer_Encoding="chunked")
        for at in range(0, len(data), 4000):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data[at : at + 4000]), data[at : at + 4000]))
        self.wfile.write(b"0\r\n\r\n" if end else b"")

    def _cut(self, data: bytes, span: str | None) -> None:
        self._chunked(data, span, end=False)

    def _gzip(self, data: bytes, span: str | None) -> None:
        packed = gzip.compress(data)
        self._head(Content_Length=len(packed), Content_Encoding="gzip")
        self.wfile.write(packed)

    def _brotli(self, data: bytes, span: str | None) -> None:
        self._head(Content_Length=len(data), Content_Encoding="br")
        self.wfile.write(data)

    def _ranges(self, data: bytes, span: str | None, shift: int = 0) -> None:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", span or "")
        if match is None:
            return self._length(data, span)
        first, last = int(match[1]), int(match[2] or len(data) - 1)
        self._head(
            206, Content_Length=last + 1 - first, Content_Range=f"bytes {first + shift}-{last + shift}/{len(data)}"
        )
        self.wfile.write(data[first : last + 1])
        return None

    def _wrong(self, data: bytes, span: str | None) -> None:
        """Claims another range than it was asked for."""
        self._ranges(data, span, shift=7)

    def _later(self, data: bytes, span: str | None) -> None:
        """A range from the beginning, everything when asked for a later one."""
        (self._ranges if span == "bytes=0-" else self._length)(data, span)

    def _redirect(self, data: bytes, span: str | None) -> None:
        self._head(302, Location=self.server.leads_to, Content_Length=0)

    def _playlist(self, data: bytes, span: str | None) -> None:
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:4", "#EXTINF:4,", self.server.leads_to]
        body = "\n".join([*lines, "#EXT-X-ENDLIST", ""]).encode()
        self._head(Content_Type="application/vnd.apple.mpegurl", Content_Length=len(body))
        self.wfile.write(body)

    def _key(self, data: bytes, span: str | None) -> None:
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:4", f'#EXT-X-KEY:METHOD=AES-128,URI="{self.server.leads_to}"']
        body = "\n".join([*lines, "#EXTINF:4,", "/length/a.ts", "#EXT-X-ENDLIST", ""]).encode()
        self._head(Content_Type="application/x-mpegURL", Content_Length=len(body))
        self.wfile.write(body)

    def _dash(self, data: bytes, span: str | None) -> None:
        body = b'<?xml version="1.0"?><MPD><BaseURL>http://127.0.0.1:1/</BaseURL></MPD>'
        self._head(Content_Type="application/dash+xml", Content_Length=len(body))
        self.wfile.write(body)

    def _text(self, data: bytes, span: str | None) -> None:
        body = self.server.leads_to.encode()
        self._head(Content_Type="text/plain", Content_Length=len(body))
        self.wfile.write(body)

    def _basic(self, data: bytes, span: str | None) -> None:
        wanted = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") == f"Basic {wanted}":
            self._length(data, span)
        else:
            self._head(401, WWW_Authenticate='Basic realm="cam"', Content_Length=0)

    def _digest(self, data: bytes, span: str | None) -> None:
        found = dict(re.findall(r'(\w+)="?([^",]*)"?', self.headers.get("Authorization") or ""))

        def md5(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        secret = md5(f"{USER}:cam:{PASSWORD}")
        request = md5(f"GET:{found.get('uri')}")
        wanted = md5(f"{secret}:n1:{found.get('nc')}:{found.get('cnonce')}:auth:{request}")
        if found.get("response") == wanted:
            self._length(data, span)
        else:
            self._head(401, WWW_Authenticate='Digest realm="cam", nonce="n1", qop="auth"', Content_Length=0)

    def _paced(self, data: bytes, span: str | None) -> None:
        """As slowly as a camera: 2 s of video in 2 s."""
        self._head(Connection="close")
        for k in range(20):
            self.wfile.write(data[k * len(data) // 20 : (k + 1) * len(data) // 20])
            self.wfile.flush()
            time.sleep(0.1)

    def _live(self, data: bytes, span: str | None) -> None:
        """An HLS playlist that goes on for ever, until its server is told to forget it."""
        if self.server.leads_to == "gone":
            self.send_error(404)
            return
        self.server.leads_to = self.server.leads_to or "/length/a.ts"
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1", "#EXT-X-MEDIA-SEQUENCE:0"]
        body = "\n".join([*lines, "#EXTINF:2,", self.server.leads_to, ""]).encode()
        self._head(Content_Type="application/vnd.apple.mpegurl", Content_Length=len(body))
        self.wfile.write(body)

    def _drip(self, data: bytes, span: str | None) -> None:
        """A byte now and then."""
        with contextlib.suppress(OSError):
            self._head(Content_Length=len(data))
            for at in range(200):
                self.wfile.write(data[at : at + 1])
                self.wfile.flush()
                time.sleep(0.05)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    corpus.encode(folder / "a.ts", 50)
    corpus.encode(folder / "b.ts", 50, keyframes=7)
    corpus.encode(folder / "end.mp4", 50)
    corpus.encode(folder / "first.mp4", 50, muxer={"movflags": "faststart"})
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    one = Server(folder)
    yield one
    one.stop()


def read(address: str, options: VideoOptions = OFFLINE) -> tuple[list[Sampled | Gap], InputError | None]:
    return peers.drain(open_frames(address, fps=FPS, options=options))


def told(items: list[Sampled | Gap]) -> list[tuple[float, int]]:
    return [(item.at, corpus.number(item.image)) for item in items if isinstance(item, Sampled)]


@pytest.mark.parametrize("options", [OFFLINE, LIVE])
@pytest.mark.parametrize("mode", ["length", "nothing", "chunked", "gzip", "ranges", "wrong", "later"])
@pytest.mark.parametrize("name", ["a.ts", "end.mp4", "first.mp4"])
def test_every_server_gives_the_recording_once(server: Server, mode: str, name: str, options: VideoOptions) -> None:
    if name == "end.mp4" and mode in ("nothing", "chunked", "gzip"):
        with pytest.raises(InputError) as caught:
            read(server.url(f"{mode}/{name}"), options)
        assert caught.value.code == "video-unreadable"
        assert "faststart" in caught.value.next_step
        return
    expected = told(read(str(server.folder / name))[0])
    items, error = read(server.url(f"{mode}/{name}"), options)
    assert error is None
    assert told(items) == expected
    assert not any(isinstance(item, Gap) for item in items)
    assert len(server.asked) <= 8


def test_what_is_cut_is_no_whole_recording(server: Server) -> None:
    items, error = read(server.url("cut/a.ts"))
    assert error is not None
    assert error.code == "video-broken-off"
    assert error.exit_code == 3
    assert len(items) >= 19


def test_a_recording_that_is_cut_and_served_again_is_not_told_twice(server: Server) -> None:
    """Live, the server closes in the middle and begins anew with the same bytes."""
    items, error = read(server.url("cut/a.ts"), LIVE)
    assert error is not None
    assert error.code == "video-broken-off"
    assert len(told(items)) <= 20


def test_a_camera_that_closes_cleanly_is_opened_again(server: Server) -> None:
    """It sends no faster than real time, so the end of the connection is not the end of a recording."""
    source = open_frames(server.url("paced/a.ts"), fps=FPS, options=LIVE)
    items = []
    for item in source.frames():  # type: ignore[attr-defined]
        if item is not None:
            items.append(item)
        if len(items) == 5:
            (server.folder / "a.ts").rename(server.folder / "kept.ts")
            (server.folder / "a.ts").write_bytes((server.folder / "b.ts").read_bytes())
        if sum(isinstance(i, Gap) for i in items) and len(items) > 30:
            break
    source.close()
    (server.folder / "kept.ts").replace(server.folder / "a.ts")
    assert [item.reason for item in items if isinstance(item, Gap)] == ["reconnected"]


def test_a_recording_that_a_slow_server_serves_again_ends_once(server: Server) -> None:
    items, error = read(server.url("paced/a.ts"), LIVE)
    assert error is None
    assert len(told(items)) == 20
    assert not any(isinstance(item, Gap) for item in items)


def test_motion_jpeg_that_ends_is_a_camera_that_was_lost(folder: Path, server: Server) -> None:
    import av

    corpus.encode(folder / "a.avi", 50, codec="mjpeg", pixels="yuvj420p")
    with av.open(str(folder / "a.avi")) as clip:
        frames = [bytes(packet) for packet in clip.demux(video=0) if packet.size]
    served = []

    def camera(connection: socket.socket) -> None:
        connection.recv(4096)
        served.append(1)
        if len(served) <= 2:
            connection.sendall(
                b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
                + b"".join(
                    b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(f), f)
                    for f in frames
                )
            )
        connection.close()

    with peers.talker(camera) as port:
        items, error = read(f"http://127.0.0.1:{port}/mjpg", LIVE)
    assert [item.reason for item in items if isinstance(item, Gap)] == ["reconnected"]
    assert error is not None
    assert error.code == "video-lost"


def test_hls_without_an_end_is_lost_when_its_server_forgets_it(server: Server) -> None:
    source = open_frames(server.url("live/x.m3u8"), fps=FPS, options=LIVE)
    items = []
    with pytest.raises(InputError) as caught:
        for item in source.frames():  # type: ignore[attr-defined]
            if item is not None:
                items.append(item)
                server.leads_to = "gone"
    source.close()
    assert len(items) >= 19
    assert caught.value.code == "video-lost"
    assert caught.value.exit_code == 3


def test_an_unknown_encoding_is_refused(server: Server) -> None:
    with pytest.raises(InputError, match="br"):
        read(server.url("brotli/a.ts"))


def test_a_server_that_drips_is_too_slow(server: Server) -> None:
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        read(server.url("drip/a.ts"), VideoOptions(open_timeout_s=0.6, read_timeout_s=0.4, reconnect_s=0.0))
    assert caught.value.code == "video-timeout"
    assert time.monotonic() - began < 5.0


def test_closing_does_not_wait_for_a_silent_server(folder: Path) -> None:
    data = (folder / "a.ts").read_bytes()

    def half(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + data)

    with peers.talker(half) as port:
        options = VideoOptions(read_timeout_s=60.0, stall_s=60.0)
        source = open_frames(f"http://127.0.0.1:{port}/", fps=FPS, options=options)
        time.sleep(0.3)  # the thread waits for what never comes
        began = time.monotonic()
        source.close()
        assert time.monotonic() - began < 10.0


def test_a_head_that_drips_is_too_slow() -> None:
    def drip(connection: socket.socket) -> None:
        for letter in b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"a" * 1000:
            connection.sendall(bytes([letter]))
            time.sleep(0.05)

    began = time.monotonic()
    with peers.talker(drip) as port, pytest.raises(InputError) as caught:
        read(f"http://127.0.0.1:{port}/", VideoOptions(open_timeout_s=0.6, read_timeout_s=0.4, reconnect_s=0.0))
    assert caught.value.code == "video-timeout"
    assert time.monotonic() - began < 5.0


@pytest.mark.parametrize("mode", ["basic", "digest"])
def test_logins(server: Server, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = server.url(f"{mode}/a.ts")
    with pytest.raises(InputError) as caught:
        read(address)
    assert caught.value.code == "video-login"
    assert caught.value.exit_code == 2
    with pytest.raises(InputError) as caught:
        read(server.url(f"{mode}/a.ts", "viewer:wrongpw@"))
    assert caught.value.code == "video-login"
    assert "wrongpw" not in str(caught.value)
    expected = told(read(str(server.folder / "a.ts"))[0])
    assert told(read(server.url(f"{mode}/a.ts", "viewer:hunter2%40%2F%3Ax@"))[0]) == expected
    given = VideoOptions(reconnect_s=0.0, user=USER, password=PASSWORD)
    assert told(read(address, given)[0]) == expected
    assert "hunter2" not in repr(given)
    monkeypatch.setenv("PUNCTUM_SOURCE_USER", USER)
    monkeypatch.setenv("PUNCTUM_SOURCE_PASSWORD", PASSWORD)
    assert told(read(address)[0]) == expected


def test_credentials_stay_with_the_host_they_were_given_for(server: Server, folder: Path) -> None:
    other = Server(folder, "127.0.0.2")
    try:
        server.leads_to = other.url("basic/a.ts")
        with pytest.raises(InputError) as caught:
            read(
                server.url("redirect/x", "viewer:hunter2%40%2F%3Ax@"),
                VideoOptions(reconnect_s=0.0, allow_hosts=("127.0.0.2",)),
            )
        assert caught.value.code == "video-login"
        assert len(other.asked) == 1
    finally:
        other.stop()


@pytest.mark.parametrize("way", ["redirect/x", "playlist/x.m3u8"])
def test_redirects_and_playlists_do_not_reach_other_private_hosts(server: Server, folder: Path, way: str) -> None:
    for host in ("127.0.0.1", "127.0.0.2"):
        other = Server(folder, host)
        try:
            server.leads_to = other.url("length/a.ts?token=hunter2secret")
            with pytest.raises(InputError) as caught:
                read(server.url(way))
            assert caught.value.code == "video-redirect"
            assert caught.value.exit_code == 2
            assert "--allow-host" in caught.value.next_step
            assert "hunter2" not in str(caught.value)
            assert other.asked == []
            for allowed in (host, "127.0.0.0/8"):
                items, error = read(server.url(way), VideoOptions(reconnect_s=0.0, allow_hosts=(allowed,)))
                assert error is None
                assert len(told(items)) == 20
            assert other.asked
        finally:
            other.stop()


def test_a_playlist_s_key_does_not_reach_other_private_hosts(server: Server, folder: Path) -> None:
    other = Server(folder, "127.0.0.2")
    try:
        server.leads_to = other.url("length/a.ts")
        with pytest.raises(InputError):
            read(server.url("key/x.m3u8"))
        assert other.asked == []
    finally:
        other.stop()


@pytest.mark.parametrize("way", ["redirect/x", "playlist/x.m3u8", "key/x.m3u8"])
@pytest.mark.parametrize(
    "target",
    [
        "file://{folder}/a.ts",
        "file:{folder}/a.ts",
        "gopher://127.0.0.1:{port}/x",
        "ftp://127.0.0.1:{port}/x",
        "concat:{folder}/a.ts|{folder}/b.ts",
        "subfile,,start,0,end,0,,:{folder}/a.ts",
        "tcp://127.0.0.1:{port}",
        "crypto+file://{folder}/a.ts",
        "pipe:0",
    ],
)
def test_other_protocols_are_refused(server: Server, way: str, target: str) -> None:
    server.leads_to = target.format(folder=server.folder, port=server.server_address[1])
    with pytest.raises(InputError) as caught:
        items, error = read(server.url(way))
        assert items == []
        raise error or AssertionError
    # Where FFmpeg takes it for a path, it is one of the server's.
    assert caught.value.code in ("video-unreadable", "video-missing", "video-encrypted", "video-connection")


def test_the_same_host_may_lead_to_itself(server: Server) -> None:
    for way in ("redirect/x", "playlist/x.m3u8"):
        for target in ("/length/a.ts", server.url("length/a.ts")):
            server.leads_to = target
            items, error = read(server.url(way))
            assert error is None
            assert len(told(items)) == 20


def test_redirects_without_end_are_refused(server: Server) -> None:
    server.leads_to = "/redirect/x"
    with pytest.raises(InputError, match="redirects"):
        read(server.url("redirect/x"))
    assert len(server.asked) < 10


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile {folder}/a.ts\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 40000 RTP/AVP 26\n",
    ],
)
def test_forms_that_open_other_files_are_refused(server: Server, text: str) -> None:
    server.leads_to = text.format(folder=server.folder)
    with pytest.raises(InputError) as caught:
        read(server.url("text/x.mp4"))
    assert caught.value.code == "video-unreadable"


def test_dash_is_named(server: Server) -> None:
    with pytest.raises(InputError) as caught:
        read(server.url("dash/x.mpd"))
    assert caught.value.code == "video-format"
    assert "HLS" in caught.value.allowed


def test_a_source_that_is_absent_at_first_is_waited_for(folder: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    waited: list[str] = []
    served: list[Server] = []

    def late() -> None:
        time.sleep(0.8)
        one = Server.__new__(Server)
        one.folder, one.asked, one.leads_to = folder, [], ""
        http.server.ThreadingHTTPServer.__init__(one, ("127.0.0.1", port), Handler)
        one.thread = threading.Thread(target=one.serve_forever, args=(0.05,), daemon=True)
        one.thread.start()
        served.append(one)

    thread = threading.Thread(target=late)
    thread.start()
    options = VideoOptions(reconnect_s=20.0, backoff_s=0.05, max_backoff_s=0.2, retry_start=True, waiting=waited.append)
    try:
        items, error = read(f"http://127.0.0.1:{port}/length/a.ts", options)
    finally:
        thread.join()
        for one in served:
            one.stop()
    assert error is None
    assert len(told(items)) == 20
    assert any("refused" in why for why in waited)


PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "127.0.0.2",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "[::1]",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::a00:1]",
    "[2002:a00:1::1]",
    "2130706434",
    "0x7f000002",
    "localhost",
]


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_in_any_spelling(host: str) -> None:
    guard = Guard("http://203.0.114.7/live")
    with pytest.raises((Refused, OSError)):
        guard.place(f"http://{host}/x")
    with contextlib.suppress(OSError):  # what this machine's resolver does not know
        allowed = Guard("http://203.0.114.7/live", [host])
        assert allowed.place(f"http://{host}/x").addresses or True


def test_public_addresses_and_the_given_host_are_allowed() -> None:
    guard = Guard("http://10.1.2.3:8080/live")
    assert guard.place("http://10.1.2.3:8080/other").addresses == ("10.1.2.3",)
    assert guard.place("https://10.1.2.3/other").port == 443
    assert guard.place("http://8.8.8.8/x").addresses == ("8.8.8.8",)
    for wrong in ("a b", "http://x/", "", "10.0.0.0/99"):
        with pytest.raises(InputError):
            Guard("http://host/", [wrong])


def test_a_name_is_asked_once_for_the_check_and_the_connection(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that answers with a public address first and a private one then gets no connection."""
    answers = iter(["93.184.216.34", "127.0.0.1", "127.0.0.1"])
    real, dialled = socket.getaddrinfo, []

    def lookup(host: str, port: int, *rest: Any, **more: Any) -> Any:
        return real(next(answers) if host == "rebind.example" else host, port, *rest, **more)

    def dial(address: tuple[str, int], timeout: float) -> socket.socket:
        dialled.append(address[0])
        raise ConnectionRefusedError(111, "refused")

    source = HttpSource("http://198.51.100.1/live", limits=(1.0, 1.0))
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr(socket, "create_connection", dial)
    with pytest.raises(ConnectionRefusedError):
        source.request("http://rebind.example/x", None)
    assert dialled == ["93.184.216.34"]


def test_a_proxy_is_used_and_does_not_open_private_hosts(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that only the proxy can resolve pass; private addresses do not."""
    asked: list[str] = []
    data = (folder / "a.ts").read_bytes()

    def proxy(connection: socket.socket) -> None:
        line = connection.recv(4096).split(b"\r\n")[0].decode()
        asked.append(line.split()[1])
        if "redirect" in line:
            connection.sendall(b"HTTP/1.0 302 Found\r\nLocation: http://10.0.0.1/x\r\n\r\n")
        else:
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data))
        connection.close()

    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with peers.talker(proxy) as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        items, error = read("http://camera.invalid/a.ts")
        assert error is None
        assert len(told(items)) == 20
        with pytest.raises(InputError) as caught:
            read("http://camera.invalid/redirect")
        assert caught.value.code == "video-redirect"
    assert asked == ["http://camera.invalid/a.ts", "http://camera.invalid/redirect"]
