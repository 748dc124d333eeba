"""Clients of the API of a site: requests, streams of events, and sockets that misbehave."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3
from punctum.runtime.site.api.http import Served
from punctum.runtime.site.api.view import BundleView
from punctum.runtime.site.store.store import Store

from tests.helpers import site_scenes
from tests.helpers.site_view import MemorySite

READ, OPERATE = "read-token-0123456789", "operate-token-0123456789"


@dataclass
class Site:
    """A site and its server."""

    view: MemorySite
    media: Path
    served: Served
    http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=10))

    def ask(self, path: str, method: str = "GET", *, token: str = "", **more: Any) -> urllib3.BaseHTTPResponse:
        """A request below api/v1, or from the root with a leading slash."""
        headers = dict(more.pop("headers", {}))
        if token:
            headers["Authorization"] = f"Bearer {token}"
        target = path[1:] if path.startswith("/") else f"api/v1/{path}"
        return self.http.request(method, self.served.url + target, headers=headers, redirect=False, **more)

    def get(self, path: str, **more: Any) -> Any:
        answer = self.ask(path, **more)
        assert answer.status == 200, (path, answer.status, answer.data[:500])
        return answer.json()

    def stop(self) -> None:
        self.http.clear()
        self.served.close()
        self.view.store.close()  # type: ignore[attr-defined]


def start(folder: Path, *, cameras: tuple[str, ...] = ("gate", "yard"), port: int = 0, **settings: Any) -> Site:
    """A site with running cameras. folder: of its store, and of its media."""
    media = folder / "media"
    media.mkdir(parents=True, exist_ok=True)
    view = MemorySite(Store.open(folder / "state"))
    view.bundle_views["doors"] = BundleView("doors", "doors-1.0.0-0123", "1.0.0", "running", site_scenes.LABELS)
    for name in cameras:
        view.add_camera(name)
    return Site(view, media, site_scenes.serve(view, media, port=port, **settings))


class Stream:
    """A client of server-sent events."""

    def __init__(self, site: Site, path: str = "events/stream", *, last: str = "", token: str = "") -> None:
        self.socket = socket.create_connection((site.served.host, site.served.port), timeout=10)
        lines = [f"GET /api/v1/{path} HTTP/1.1", f"Host: 127.0.0.1:{site.served.port}", "Accept: text/event-stream"]
        lines += [f"Last-Event-ID: {last}"] if last else []
        lines += [f"Authorization: Bearer {token}"] if token else []
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self._data, self.last = b"", last
        self.head = self._until(b"\r\n\r\n").decode()
        self.status = int(self.head.split(" ", 2)[1])
        self._text = b""
        self.hello: dict[str, Any] = {}
        if self.status == 200:
            kind, self.hello = next(self.messages())
            assert kind == "hello"

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._data:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError
            self._data += more
        found, _, self._data = self._data.partition(mark)
        return found

    def _block(self) -> bytes:
        """Text up to an empty line, out of chunks of HTTP."""
        while b"\n\n" not in self._text:
            size = int(self._until(b"\r\n"), 16)
            if size == 0:
                raise EOFError
            while len(self._data) < size + 2:
                more = self.socket.recv(65536)
                if not more:
                    raise EOFError
                self._data += more
            self._text += self._data[:size]
            self._data = self._data[size + 2 :]
        found, _, self._text = self._text.partition(b"\n\n")
        return found

    def messages(self, *, beats: bool = False) -> Iterator[tuple[str, Any]]:
        """Kind and data of each message; beats: also of those without data."""
        while True:
            kind, data = "message", ""
            for line in self._block().decode().split("\n"):
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last = value
                elif name == "event":
                    kind = value
                elif name == "data":
                    data += value
            if data:
                yield kind, json.loads(data)
            elif beats:
                yield "beat", None

    def take(self, count: int) -> list[dict[str, Any]]:
        """The next reports."""
        found: list[dict[str, Any]] = []
        for kind, data in self.messages():
            if kind == "report":
                found.append(data)
                if len(found) == count:
                    break
        return found

    def close(self) -> None:
        self.socket.close()


def until(check: Any, *, seconds: float = 10.0) -> Any:
    """The first true value of `check`."""
    end = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return value
