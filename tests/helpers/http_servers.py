"""An HTTP server that behaves as its paths say: what tests of video over HTTP share."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import http.server
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from punctum.runtime.errors import InputError
from punctum.runtime.video import Gap, Sampled, VideoOptions, open_frames

from . import video_corpus as corpus
from . import video_peers as peers

FPS = 10.0
OFFLINE = VideoOptions(reconnect_s=0.0)
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings to serve."""
    folder = tmp_path_factory.mktemp("site")
    corpus.encode(folder / "a.ts", 50)
    corpus.encode(folder / "b.ts", 50, keyframes=7)
    corpus.encode(folder / "end.mp4", 50)
    corpus.encode(folder / "first.mp4", 50, muxer={"movflags": "faststart"})
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    """Serves `folder`."""
    one = Server(folder)
    yield one
    one.stop()


def read(address: str, options: VideoOptions = OFFLINE) -> tuple[list[Sampled | Gap], InputError | None]:
    """What comes from an address, and the error that ended it."""
    return peers.drain(open_frames(address, fps=FPS, options=options))


def told(items: list[Sampled | Gap]) -> list[tuple[float, int]]:
    """Time and number of each picture."""
    return [(item.at, corpus.number(item.image)) for item in items if isinstance(item, Sampled)]


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
