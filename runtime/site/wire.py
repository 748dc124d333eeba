"""Messages between the processes of a site: a JSON header with a type, and bytes behind it."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

Header = dict[str, Any]
MOST_BYTES = 256 << 20


class Channel:
    """One end of a pair of connected sockets. `send` may be called from several threads, `receive` from one.

    Args:
        descriptor: The open socket; closed with the channel.
    """

    def __init__(self, descriptor: int) -> None:
        self._connection = Connection(descriptor)
        self._sending = threading.Lock()

    @classmethod
    def pair(cls) -> tuple[Channel, int]:
        """A channel, and the descriptor of its other end for a child process; close that after the child started."""
        ours, theirs = socket.socketpair()
        os.set_inheritable(theirs.fileno(), True)
        return cls(ours.detach()), theirs.detach()

    def send(self, header: Header, payload: bytes = b"") -> None:
        """Waits while the other side does not read. Raises OSError where it has gone."""
        text = json.dumps(header, separators=(",", ":")).encode()
        with self._sending:
            self._connection.send_bytes(b"%d\n%b%b" % (len(text), text, payload))

    def receive(self, timeout_s: float | None = None) -> tuple[Header, bytes] | None:
        """The next message; None after the time-out. timeout_s: None waits. Raises EOFError, OSError."""
        if not self._connection.poll(timeout_s):
            return None
        data = self._connection.recv_bytes(MOST_BYTES)
        size, _, rest = data.partition(b"\n")
        length = int(size)
        return json.loads(rest[:length]), rest[length:]

    def close(self) -> None:
        """May be called more than once."""
        if not self._connection.closed:
            self._connection.close()


class _JsonLog(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = {"time": round(time.time(), 3), "level": record.levelname.lower(), "logger": record.name}
        text["message"] = record.getMessage()
        if record.exc_info:
            text["exception"] = self.formatException(record.exc_info)
        return json.dumps(text, ensure_ascii=False)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Log as JSON Lines on standard error: for child processes, whose parent adds the name of the camera."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLog())
    logging.basicConfig(level=level, handlers=[handler], force=True)
