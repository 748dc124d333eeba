"""Senders of features to a running site: honest ones, and those that break every rule of the protocol."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

import numpy as np
from punctum.runtime.sources.framing import encode_header, encode_record, encode_token
from punctum.runtime.synthetic.sensors import make_sequence

STRIDE_S = 0.1
TOKEN = b"a token of the gate"
ROWS = make_sequence(seed=3, seconds=60).features
DIM = ROWS.shape[1]


def dial(path: Path, timeout_s: float = 20.0) -> socket.socket:
    """A connection, once somebody listens."""
    limit = time.monotonic() + timeout_s
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(timeout_s)
        try:
            client.connect(str(path))
            return client
        except OSError:
            client.close()
            if time.monotonic() > limit:
                raise
            time.sleep(0.05)


def head(start_s: float, *, token: bytes | None = None, **changes: object) -> bytes:
    """The beginning of a stream."""
    fields = {"dim": DIM, "stride_s": STRIDE_S, "start_s": start_s} | changes
    return (b"" if token is None else encode_token(token)) + encode_header(**fields)


def send(path: Path, *parts: bytes, quiet_s: float = 0.0) -> None:
    """Send parts over one connection, whatever the other side does, and close it."""
    with contextlib.suppress(OSError), dial(path) as client:
        for part in parts:
            client.sendall(part)
        time.sleep(quiet_s)


class Paced(threading.Thread):
    """An honest sender in real time, which never ends."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.path, self.stopped, self.sent = path, threading.Event(), 0

    def run(self) -> None:
        with dial(self.path, 120.0) as client:
            client.sendall(head(0.0))
            client.settimeout(120.0)
            began = time.monotonic()
            while not self.stopped.wait(max(began + self.sent * STRIDE_S - time.monotonic(), 0.0)):
                rows = np.take(ROWS, range(self.sent, self.sent + 5), axis=0, mode="wrap")
                client.sendall(encode_record(rows))
                self.sent += len(rows)

    def stop(self) -> None:
        self.stopped.set()
        self.join(30)
