"""Clients that ask for much and take nothing."""

from __future__ import annotations

import socket
import time

import pytest

pytest.importorskip("fastapi", reason="the API needs fastapi (extra serve)")
from tests.helpers.site_view import event

pytestmark = pytest.mark.slow

DAY = 1_790_000_000.0 // 86400 * 86400


def test_a_client_that_does_not_read_its_clip_is_dropped(sites):
    site = sites(slow_s=0.5)
    one = event("gate", 1, at=DAY)
    site.view.report(one)
    size = 32 << 20
    with (site.media / "clip.mp4").open("wb") as file:
        file.truncate(size)
    site.view.store.add_media("gate", one.id, "clip", "clip.mp4", size, 0.0, 1.0)
    url = site.get("events")["events"][0]["url"]
    clients = []
    for _ in range(20):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect((site.served.host, site.served.port))
        client.sendall(f"GET /api/v1/{url}/clip HTTP/1.1\r\nHost: 127.0.0.1:{site.served.port}\r\n\r\n".encode())
        clients.append(client)
    begun = time.monotonic()
    assert site.get("site")["name"] == "yard" and time.monotonic() - begun < 8
    time.sleep(1.5)
    for client in clients:
        taken = 0
        try:
            while data := client.recv(1 << 20):
                taken += len(data)
        except ConnectionError:
            pass
        assert taken < size, "the connection was dropped before the end"
        client.close()


def test_an_unexpected_error_is_json(sites, monkeypatch):
    site = sites()

    def broken() -> None:
        raise ZeroDivisionError("internal detail")

    monkeypatch.setattr(site.view, "cameras", broken)
    answer = site.ask("cameras")
    assert answer.status == 500 and answer.json()["code"] == "bug" and b"detail" not in answer.data
