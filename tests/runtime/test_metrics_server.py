"""The metrics port against clients that are slow, many, or no HTTP clients at all."""

from __future__ import annotations

import contextlib
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from punctum.runtime.errors import InputError

pytest.importorskip("prometheus_client", reason="metrics need prometheus-client")
from punctum.runtime.service import server as module
from punctum.runtime.service.health import Health
from punctum.runtime.service.metrics import Metrics
from punctum.runtime.service.server import MetricsServer


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    one = MetricsServer("127.0.0.1:0", Metrics(), Health())
    yield one
    one.close()


def descriptors() -> int:
    """Open descriptors of this process, 0 where the system does not say."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def ask(port: int, request: bytes, host: str = "127.0.0.1") -> tuple[bytes, bytes]:
    """(head, body) of the answer."""
    with socket.create_connection((host, port), 10) as client:
        client.settimeout(10)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # answered before all of it was sent
            client.sendall(request)
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := client.recv(65536):
                data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    return head, body


def test_slow_clients_hold_neither_descriptors_nor_the_scrape(server: MetricsServer) -> None:
    """Several times as many as there are places, each a byte now and then: a scrape is answered at once."""
    before = descriptors()
    clients = []
    try:
        for _ in range(4 * module.MAX_CLIENTS):
            client = socket.create_connection(("127.0.0.1", server.port), 10)
            client.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
            clients.append(client)
        began = time.monotonic()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as answer:
            assert b"punctum_windows_total" in answer.read()
        assert time.monotonic() - began < 9.0
        assert server.clients <= module.MAX_CLIENTS
        if before:
            assert descriptors() - before - len(clients) <= module.MAX_CLIENTS
    finally:
        for client in clients:
            client.close()


def test_a_byte_a_second_does_not_prolong_a_request(server: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUEST_S", 0.6)
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.settimeout(0.1)
        began = time.monotonic()
        with pytest.raises(OSError, match=r".*"):
            while time.monotonic() - began < 20:
                client.sendall(b"G")
                with contextlib.suppress(TimeoutError):
                    if client.recv(100) == b"":
                        raise ConnectionResetError
        assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"GET http://host/healthz?x HTTP/1.0\r\n\r\n", b"200"),
        (b"GET /../../etc/passwd HTTP/1.0\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 100_000, b"405"),
        (b"OPTIONS * HTTP/1.0\r\n\r\n", b"405"),
        (b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 9999 + b"\r\n", b"431"),
        (b"GET /healthz\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/9.9\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01" + bytes(500) + b"\n", b"400"),
        (bytes(range(256)), b"400"),
    ],
)
def test_requests_of_any_kind_are_answered(server: MetricsServer, request_: bytes, status: bytes) -> None:
    head, _ = ask(server.port, request_)
    if head:  # a client that goes on sending may lose the answer
        assert head.startswith(b"HTTP/1.1 " + status)
    else:
        assert status == b"431"
    assert ask(server.port, b"GET /healthz HTTP/1.0\r\n\r\n")[0].startswith(b"HTTP/1.1 200")


def test_head_gives_the_head_alone(server: MetricsServer) -> None:
    head, body = ask(server.port, b"HEAD /healthz HTTP/1.1\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"Content-Length: " in head
    assert body == b""


def test_no_descriptors_left_is_no_end(server: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """accept() fails for a while, as with EMFILE; afterwards those who waited are served."""
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(module, "ACCEPT_PAUSE_S", 0.1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.create_connection(("127.0.0.1", server.port), 10) as warm:
        warm.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        warm.recv(100)
    client = socket.socket()
    client.settimeout(10)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        client.connect(("127.0.0.1", server.port))
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        time.sleep(0.3)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        client.close()


def test_the_loopback_interface_is_the_default() -> None:
    for address, host in ((":0", "127.0.0.1"), ("127.0.0.1:0", "127.0.0.1"), ("0.0.0.0:0", "0.0.0.0")):
        server = MetricsServer(address, Metrics(), Health())
        try:
            assert server.host == host
        finally:
            server.close()
            server.close()


@pytest.mark.parametrize(("address", "also"), [("[::1]:0", None), ("[::]:0", "127.0.0.1")])
def test_ipv6(address: str, also: str | None) -> None:
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 ({error})")
    server = MetricsServer(address, Metrics(), Health())
    try:
        for host in filter(None, ("::1", also)):
            assert ask(server.port, b"GET /healthz HTTP/1.0\r\n\r\n", host)[0].startswith(b"HTTP/1.1 200")
    finally:
        server.close()


@pytest.mark.parametrize(
    "address", ["9100", "host:", ":99999", "a:b", "[::1:9100", "::1:9100", "no such host.invalid:1"]
)
def test_addresses_that_cannot_work(address: str) -> None:
    with pytest.raises(InputError) as caught:
        MetricsServer(address, Metrics(), Health())
    assert caught.value.code == "metrics-address"


def test_ready_says_when_the_source_is_silent_or_lost() -> None:
    now = [100.0]
    health = Health(silent_s=15.0, clock=lambda: now[0])
    health.waiting_for("")
    assert health.ready() == (True, "ready")
    now[0] += 16
    assert health.ready() == (False, "source silent for 16.0 s")
    assert health.alive()[0]
    health.heard()
    assert health.ready()[0]
    health.source("the camera broke off")
    now[0] += 2
    assert health.ready() == (False, "source lost (the camera broke off); last item 2.0 s ago")
    health.source("")
    assert health.ready()[0]


def test_gauges_tell_since_when() -> None:
    metrics = Metrics()
    began = time.time()
    metrics.heard()
    metrics.source_up(True)
    metrics.refused("probe", 2)
    value = metrics.registry.get_sample_value
    assert began <= (value("punctum_source_last_item_timestamp_seconds") or 0.0) <= time.time()
    assert value("punctum_source_up") == 1
    metrics.source_up(False)
    assert value("punctum_source_up") == 0
    assert value("punctum_connections_refused_total", {"reason": "probe"}) == 2


def test_names_that_are_no_utf8_can_be_served() -> None:
    metrics = Metrics()
    metrics.taken("cam\udcff", 1, state_bytes=0, lag_s=0.0)
    assert b"cam\\\\udcff" in metrics.render()
