"""Who gets in at a socket source: connections are held at the door until they have shown a header that fits.

A port scan, an HTTP probe, a sender of another bundle or a client that says nothing is dropped, counted and reported.
None of them ends the run or keeps the real sender waiting.
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
from .framing import TOKEN_MAGIC, FrameParser, Header, read_token

_log = logging.getLogger(__name__)

READ_BYTES = 1 << 16
HEADER_S = 5.0  # from the connection to the end of its header
MAX_WAITING = 8  # connections at the door, with and without a header
ACCEPT_PAUSE_S = 0.5  # after the process ran out of descriptors
MOST_WARNINGS = 10
# Waits without a descriptor of its own, which epoll needs: there may be none left.
Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)
Reason = Literal["probe", "header", "token", "silent", "busy"]


class Sender:
    """A connection at the door, and what it has sent so far."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self.socket, self.deadline = connection, deadline
        self.parser = FrameParser()
        self.head = bytearray()  # until it is known whether a token comes first
        self.known = False
        """Its token was right, or nobody asks for one."""

    def close(self) -> None:
        self.socket.close()


class Door:
    """Accepts connections on a socket that listens.

    check: raises InputError for a header that does not fit. token: what a sender has to present before its header;
    None: nothing, and what it presents is not looked at.
    """

    def __init__(
        self, listener: socket.socket, *, name: str, check: Callable[[Header], None], token: bytes | None = None
    ) -> None:
        self.refused: dict[str, int] = {}
        """Connections dropped, by reason."""
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
        """The sender whose turn it is, if one is waiting."""
        return self._ready.popleft() if self._ready else None

    @property
    def someone(self) -> bool:
        """Whether a sender with a valid header is waiting."""
        return bool(self._ready)

    def tend(self, wait_s: float, active: socket.socket | None = None) -> bool:
        """Look after the door for at most `wait_s` seconds; whether there is something to read from `active`."""
        now, listener = time.monotonic(), self._listener
        with Selector() as selector:
            if now >= self._paused_until:
                selector.register(listener, selectors.EVENT_READ)
            if active is not None:
                selector.register(active, selectors.EVENT_READ)
            for sender in self._waiting:
                selector.register(sender.socket, selectors.EVENT_READ, sender)
            found = selector.select(wait_s)
        readable = False
        for key, _ in found:
            if key.fileobj is listener:
                self._accept()
            elif key.fileobj is active:
                readable = True
            else:
                self._hear(key.data)
        # Judged after reading: what has arrived while the caller was busy counts as in time.
        now = time.monotonic()
        for sender in [s for s in self._waiting if s.deadline <= now]:
            self.drop(sender, "silent", f"sent no complete header within {HEADER_S:g} s")
        return readable

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:  # no descriptors left: senders wait in the backlog
            self._paused_until = time.monotonic() + ACCEPT_PAUSE_S
            self._warn(f"{self._name}: cannot accept a connection ({error}); trying again")
            return
        connection.setblocking(False)
        if connection.family != socket.AF_UNIX:  # otherwise nobody notices that the sender's machine is gone
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sender = Sender(connection, time.monotonic() + HEADER_S)
        if len(self._waiting) + len(self._ready) >= MAX_WAITING:
            if not self._waiting:
                self.drop(sender, "busy", f"{MAX_WAITING} senders are waiting already")
                return
            oldest = min(self._waiting, key=lambda s: s.deadline)
            self.drop(oldest, "silent", "sent nothing that could be used, and others are waiting")
        self._waiting.append(sender)

    def _hear(self, sender: Sender) -> None:
        """Take what a connection has sent, up to the end of its header."""
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
                sender.deadline = math.inf  # it may take its time over the first record, since it blocks nobody here
                if not sender.parser.empty:
                    self._waiting.remove(sender)
                    self._ready.append(sender)
        except InputError as error:
            self.drop(sender, "token" if error.code == "frame-token" else "header", error.given)

    def _header(self, sender: Sender, data: bytes) -> bool:
        """Whether the header is complete. Raises InputError for one that does not fit."""
        if not sender.known:
            sender.head += data
            found = read_token(sender.head)
            if found is None:
                return False
            token, size = found
            if self._token is not None and not hmac.compare_digest(token, self._token):
                given = "a wrong token" if sender.head.startswith(TOKEN_MAGIC) else "no token"
                raise InputError("frame-token", f"sent {given}", "the token of this source", "set it at the sender")
            sender.known, data = True, bytes(sender.head[size:])
            sender.head.clear()
        sender.parser.feed(data)
        header = sender.parser.read_header()
        if header is not None and math.isfinite(sender.deadline):
            self._check(header)
        return header is not None

    def drop(self, sender: Sender, reason: Reason, why: str) -> None:
        """Close a connection, count it, and say why."""
        if sender in self._waiting:
            self._waiting.remove(sender)
        self.refused[reason] = self.refused.get(reason, 0) + 1
        self._warn(f"{self._name}: dropped a connection from {_peer(sender.socket)}: {why}")
        sender.close()

    def _warn(self, text: str) -> None:
        self._warnings += 1
        if self._warnings <= MOST_WARNINGS:
            more = "; further ones are only counted" if self._warnings == MOST_WARNINGS else ""
            _log.warning("%s%s", printable(text), more)


def _peer(connection: socket.socket) -> str:
    """Who is at the other end, as far as the system says."""
    try:
        if connection.family == socket.AF_UNIX:
            if not hasattr(socket, "SO_PEERCRED"):
                return "this machine"
            found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            return f"process {struct.unpack('3i', found)[0]}"
        return "{}:{}".format(*connection.getpeername()[:2])
    except OSError:
        return "a client that is gone"
