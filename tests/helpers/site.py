"""Events, stores and outputs for tests of a site."""

from __future__ import annotations

import http.server
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from punctum.runtime.events.event import Event
from punctum.runtime.site.store.rows import Report

EVENT = Event(
    "hall",
    "hall/open/0",
    0,
    "final",
    "open",
    0.5,
    10.0,
    14.0,
    16.0,
    2.0,
    "b-1.0.0-0123",
    start_utc="2026-05-01T10:00:10.000Z",
    end_utc="2026-05-01T10:00:14.000Z",
)


def event(number: int = 0, revision: int = 0, phase: str = "final", **changes: Any) -> Event:
    return replace(EVENT, id=f"hall/open/{number}", revision=revision, phase=phase, **changes)


def batch(first: int, last: int, camera: str = "hall", **changes: Any) -> list[tuple[int, Report]]:
    return [(n, Report(n, camera, "default", event(n, **changes), 1_777_630_000.0 + n)) for n in range(first, last)]


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Answer:
    """What the receiver does with one request. hang_s: seconds before it answers; drip: one byte at a time."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang_s: float = 0.0
    drop: bool = False
    drip: bool = False


class Receiver:
    """An HTTP server that keeps what it is sent, and answers as `answer` says."""

    def __init__(
        self, answer: Callable[[str, bytes], Answer] = lambda ident, body: Answer(), context: Any = None
    ) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answer = answer
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append((dict(self.headers.items()), body))
                answer = outer.answer(self.headers.get("Punctum-Id", ""), body)
                if answer.hang_s:
                    outer.stopped.wait(answer.hang_s)
                if answer.drop:
                    self.close_connection = True
                    return
                if answer.drip:
                    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 1000:
                        if outer.stopped.wait(0.05):
                            return
                        try:
                            self.wfile.write(bytes([byte]))
                        except OSError:
                            return
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                try:
                    self.wfile.write(answer.body)
                except OSError:
                    return

            def log_message(self, *_: object) -> None:
                return

        self.stopped = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def ids(self) -> list[str]:
        return [headers["Punctum-Id"] for headers, _ in self.requests]

    def close(self) -> None:
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()


def make_certificates(folder: Path) -> dict[str, Path]:
    """A certificate authority, a server at 127.0.0.1 and a client, made with the openssl command."""
    openssl = shutil.which("openssl")
    assert openssl is not None

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)

    for name in ("ca", "other"):
        run(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem"),
            *("-days", "30", "-subj", f"/CN={name}"),
        )
    (folder / "san.cnf").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("server", "client"):
        run(
            *("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr"),
            *("-subj", f"/CN={name}"),
        )
        run(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-out", f"{name}.pem", "-days", "30", "-extfile", "san.cnf"),
        )
    return {path.name: path for path in folder.glob("*.*")}
