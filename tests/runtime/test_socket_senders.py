"""The socket source: connections that show a header and no features, senders that begin again, no descriptors left."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable

import pytest
from punctum.runtime.sources.framing import encode_end, encode_header, encode_record
from punctum.runtime.sources.items import Begin, Chunk

from tests.runtime import test_socket_source as _shared

DIM, STRIDE, HEADER, ROWS, GOOD = _shared.DIM, _shared.STRIDE, _shared.HEADER, _shared.ROWS, _shared.GOOD
Running, dial, run, address = _shared.Running, _shared.dial, _shared.run, _shared.address

LATER = encode_header(dim=DIM, stride_s=STRIDE, start_s=1e9)
BROKEN = encode_record(ROWS)[:-1] + bytes([encode_record(ROWS)[-1] ^ 1])


@pytest.mark.parametrize("reconnect_s", [None, 30.0])
@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (LATER + encode_record(ROWS)[:9], "probe"),
        (LATER + encode_record(ROWS)[:-1], "probe"),
        (LATER + b"\xff" * 100, "header"),
        (LATER + BROKEN, "header"),
    ],
)
def test_a_header_without_features_begins_no_stream(
    run: Callable[..., Running], address: str, sent: bytes, reason: str, reconnect_s: float | None
) -> None:
    running = run(address, reconnect_s=reconnect_s)
    _shared.refuse_then_read(running, sent, ends=reason == "probe")
    assert running.items[0].start_s == 0.0  # type: ignore[attr-defined]
    assert running.refused == {reason: 1}


def test_a_header_without_features_gives_way(run: Callable[..., Running], address: str) -> None:
    running = run(address)
    with dial(running.source.name) as probe:
        probe.sendall(LATER + encode_record(ROWS)[:9])
        time.sleep(0.3)
        with dial(running.source.name) as sender:
            sender.sendall(GOOD)
            probe.shutdown(socket.SHUT_WR)
            running.thread.join(30)
    assert running.error is None
    assert [type(item) for item in running.items] == [Begin, Chunk]
    assert running.items[0].start_s == 0.0  # type: ignore[attr-defined]


def test_a_sender_that_begins_again_keeps_nobody_out(run: Callable[..., Running], address: str) -> None:
    """What it sends was read already: it is dropped, and the one that goes on is heard."""
    running = run(address, reconnect_s=30.0)
    with dial(running.source.name) as sender:
        sender.sendall(HEADER + encode_record(ROWS, at=2.0))
        running.wait(lambda: running.rows() == len(ROWS))
        with dial(running.source.name) as other:
            other.sendall(GOOD)
            time.sleep(0.3)
            sender.close()
            running.wait(lambda: running.refused == {"header": 1})
    with dial(running.source.name) as again:
        again.sendall(encode_header(dim=DIM, stride_s=STRIDE, start_s=2.4) + encode_record(ROWS) + encode_end())
        running.thread.join(30)
    assert running.error is None
    assert [type(item) for item in running.items] == [Begin, Chunk, Begin, Chunk]


def test_senders_that_begin_again_do_not_prolong_the_wait(run: Callable[..., Running], address: str) -> None:
    running = run(address, reconnect_s=1.5)
    with dial(running.source.name) as sender:
        sender.sendall(HEADER + encode_record(ROWS, at=2.0))
        running.wait(lambda: running.rows() == len(ROWS))
    began = time.monotonic()
    while running.thread.is_alive() and time.monotonic() - began < 30:
        with contextlib.suppress(OSError), dial(running.source.name) as other:
            other.sendall(GOOD)
            time.sleep(0.2)
    assert time.monotonic() - began < 15
    assert running.error is not None
    assert running.error.code == "time-backwards"


def test_no_descriptors_left_beside_a_sender(run: Callable[..., Running], address: str) -> None:
    """None is needed to go on with the sender that is there."""
    resource = pytest.importorskip("resource")
    running = run(address)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with dial(running.source.name) as sender:
        sender.sendall(HEADER + encode_record(ROWS))
        running.wait(lambda: running.rows() == len(ROWS))
        try:
            taken = os.dup(0)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken, 16), limits[1]))
            os.close(taken)
            with contextlib.ExitStack() as stack:
                with contextlib.suppress(OSError):
                    while True:
                        stack.callback(os.close, os.dup(0))
                for _ in range(5):
                    sender.sendall(encode_record(ROWS))
                    time.sleep(0.15)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        sender.sendall(encode_end())
        running.thread.join(30)
    assert running.error is None
    assert running.rows() == 6 * len(ROWS)
