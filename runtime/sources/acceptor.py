"""Admission to a socket source: a connection becomes a sender once it has sent a suitable header.

Port scans, HTTP probes, senders of other features and silent clients are dropped, counted and logged. None of them ends
the run or delays the real sender.
"""

from __future__ import annotations

import hmac
import logging
import math
import selectors
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from ..errors import InputError
from ..text.display import printable
from .frame_parser import FrameParser
from .framing import TOKEN_MAGIC, Header, read_token

_log = logging.getLogger(__name__)

READ_BYTES = 1 << 16
HEADER_S = 5.0  # seconds from the connection to the end of its header
MAX_WAITING = 8  # connections that wait, with and without a header
ACCEPT_PAUSE_S = 0.5  # seconds, after the process ran out of file descriptors
MAX_WARNINGS = 10
# Unlike epoll, these need no file descriptor of their own: there may be none left.
Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)
Reason = Literal["probe", "header", "token", "silent", "busy"]


class Sender:
    """A connection and the data that it has sent so far."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self.socket, self.deadline = connection, deadline
        self.parser = FrameParser()
        self.head = bytearray()  # its first bytes, until the token is checked
        self.token_checked = False
        """Whether its token was correct, or none is required."""

    def close(self) -> None:
        self.socket.close()


class Acceptor:
    """Accepts connections on a listening socket.

    Args:
        listener: The socket.
        name: Name of the source for messages.
        check: Raises InputError for an unsuitable header.
        token: Token that a sender must present before its header. None: a token is ignored.
    """

    def __init__(
        self, listener: socket.socket, *, name: str, check: Callable[[Header], None], token: bytes | None = None
    ) -> None:
        self.refused: dict[str, int] = {}
        """Number of dropped connections by reason."""
        self._listener, self._name, self._check, self._token = listener, name, check, token
        self._waiting: list[Sender] = []
        self._ready: deque[Sender] = deque()
        self._paused_until = 0.0
        self._warnings = 0
        listener.setblocking(False)

    def close(self) -> None:
        for sender in (*self._waiting, *self._ready):
            sender.close()
        self._waiting.clear()
        self._ready.clear()

    def admit(self) -> Sender | None:
        """Return the next sender, None if none is waiting."""
        return self._ready.popleft() if self._ready else None

    @property
    def has_sender(self) -> bool:
        """Whether a sender with a valid header is waiting."""
        return bool(self._ready)

    def poll(self, wait_s: float, active: socket.socket | None = None) -> bool:
        """Process new connections for at most `wait_s` seconds. Returns whether `active` is readable."""
        now, listener = time.monotonic(), self._listener
        with Selector() as selector:
            if now >= self._paused_until:
                selector.register(listener, selectors.EVENT_READ)
            if active is not None:
                selector.register(active, selectors.EVENT_READ)
            for sender in self._waiting:
                selector.register(sender.socket, selectors.EVENT_READ, sender)
            events = selector.select(wait_s)
        readable = False
        for key, _ in events:
            if key.fileobj is listener:
                self._accept()
            elif key.fileobj is active:
                readable = True
            else:
                self._receive(key.data)
        # Checked after reading: data that arrived while the caller was busy is in time.
        now = time.monotonic()
        for sender in [s for s in self._waiting if s.deadline <= now]:
            self.drop(sender, "silent", f"sent no complete header within {HEADER_S:g} s")
        return readable

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:  # no file descriptors left: senders wait in the backlog
            self._paused_until = time.monotonic() + ACCEPT_PAUSE_S
            self._warn(f"{self._name}: cannot accept a connection ({error}); retrying")
            return
        connection.setblocking(False)
        if connection.family != socket.AF_UNIX:  # otherwise the loss of the sender's machine goes unnoticed
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sender = Sender(connection, time.monotonic() + HEADER_S)
        if len(self._waiting) + len(self._ready) >= MAX_WAITING:
            if not self._waiting:
                self.drop(sender, "busy", f"{MAX_WAITING} senders are waiting already")
                return
            oldest = min(self._waiting, key=lambda s: s.deadline)
            self.drop(oldest, "silent", "sent no complete header, and others are waiting")
        self._waiting.append(sender)

    def _receive(self, sender: Sender) -> None:
        """Read from a connection up to the end of its header."""
        try:
            data = sender.socket.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop(sender, "probe", "closed before it had sent any features")
            return
        try:
            if self._header(sender, data):
                sender.deadline = math.inf  # no limit for the first record: it blocks no other sender
                if not sender.parser.empty:
                    self._waiting.remove(sender)
                    self._ready.append(sender)
        except InputError as error:
            self.drop(sender, "token" if error.code == "frame-token" else "header", error.given)

    def _header(self, sender: Sender, data: bytes) -> bool:
        """Return whether the header is complete. Raises InputError for an unsuitable one."""
        if not sender.token_checked:
            sender.head += data
            parsed = read_token(sender.head)
            if parsed is None:
                return False
            token, size = parsed
            if self._token is not None and not hmac.compare_digest(token, self._token):
                sent = "a wrong token" if sender.head.startswith(TOKEN_MAGIC) else "no token"
                raise InputError(
                    "frame-token",
                    f"sent {sent}",
                    required="the token of this source",
                    next_step="set it in the sender",
                )
            sender.token_checked, data = True, bytes(sender.head[size:])
            sender.head.clear()
        sender.parser.feed(data)
        header = sender.parser.read_header()
        if header is not None and math.isfinite(sender.deadline):
            self._check(header)
        return header is not None

    def drop(self, sender: Sender, reason: Reason, why: str) -> None:
        """Close a connection, count it, and log the reason."""
        if sender in self._waiting:
            self._waiting.remove(sender)
        self.refused[reason] = self.refused.get(reason, 0) + 1
        self._warn(f"{self._name}: dropped a connection from {_peer(sender.socket)}: {why}")
        sender.close()

    def _warn(self, text: str) -> None:
        self._warnings += 1
        if self._warnings <= MAX_WARNINGS:
            more = "; further ones are counted but not logged" if self._warnings == MAX_WARNINGS else ""
            _log.warning("%s%s", printable(text), more)


def _peer(connection: socket.socket) -> str:
    """Describe the other end of a connection."""
    try:
        if connection.family == socket.AF_UNIX:
            if not hasattr(socket, "SO_PEERCRED"):
                return "this machine"
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            return f"process {struct.unpack('3i', credentials)[0]}"
        return "{}:{}".format(*connection.getpeername()[:2])
    except OSError:
        return "a client that has disconnected"
