"""The socket source: listens for senders of framed features, over TCP or on a Unix socket."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import InputError, SourceLostError
from ..text.display import printable
from .acceptor import READ_BYTES, Door, Sender
from .framed import FramedStream, Read
from .framing import encode_token
from .items import POLL_S, Begin, Chunk, Item

_log = logging.getLogger(__name__)

TAKEOVER_S = 10.0  # without a byte from a sender, after which another one may take its place


class Listener(FramedStream):
    """Listens on `tcp://host:port` or `unix:///path` and takes one sender at a time.

    reconnect_s: a sender that breaks off without an end record, or sends what cannot be read, may come back within
    that many seconds; its new header says from which media time it goes on. 0: the break is an error at once. A
    connection that has shown no header that fits (see `Door`) and no features, or that begins before what has been
    read already, is no sender: it is dropped and counted.
    token: what senders have to present, see `framing`.
    """

    def __init__(
        self,
        address: tuple[str, int] | Path,
        *,
        dim: int,
        stride_s: float,
        idle_s: float | None = None,
        reconnect_s: float = 0.0,
        token: bytes | None = None,
    ) -> None:
        text = f"unix://{address}" if isinstance(address, Path) else f"tcp://{address[0]}:{address[1]}"
        super().__init__(text, dim=dim, stride_s=stride_s, idle_s=idle_s)
        if token is not None:
            encode_token(token)  # checks its length
        self.trouble = ""
        """Why the sender is lost for now; empty while there is one, or before the first has come."""
        self._address, self._reconnect_s, self._token = address, reconnect_s, token
        self._socket: socket.socket | None = None
        self._door: Door | None = None
        self._identity: tuple[int, int] | None = None
        self._until_s: float | None = None  # media time up to which features came

    def open(self) -> None:
        try:
            self._socket = self._bind()
        except (OSError, UnicodeError) as error:
            raise InputError(
                "source-address", f"cannot listen on {self.name} ({error})", "a free address", "choose another one"
            ) from None
        if not isinstance(self._address, Path):
            host, port = self._socket.getsockname()[:2]
            self.name = f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
            if self._token is None and not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
                _log.warning(
                    "%s accepts features from any host that can connect. Set PUNCTUM_SOCKET_TOKEN, or use 127.0.0.1",
                    printable(self.name),
                )
        self._door = Door(self._socket, name=self.name, check=self._check, token=self._token)

    @property
    def refused(self) -> dict[str, int]:
        """Connections that were dropped, by reason."""
        return {} if self._door is None else self._door.refused

    def _bind(self) -> socket.socket:
        if not isinstance(self._address, Path):
            family, kind, _, _, target = socket.getaddrinfo(*self._address, type=socket.SOCK_STREAM)[0]
            listener = socket.socket(family, kind)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            self._clear_stale(self._address)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(self._address) if isinstance(self._address, Path) else target)
            listener.listen(16)
        except OSError:
            listener.close()
            raise
        if isinstance(self._address, Path):
            found = self._address.stat()
            self._identity = (found.st_dev, found.st_ino)
        return listener

    @staticmethod
    def _clear_stale(path: Path) -> None:
        """Remove a socket that a dead process left; refuse what is alive or no socket."""
        if not path.exists():
            return
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise OSError(f"{path} exists and is no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(5.0)
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
                return
        raise OSError(f"another process listens on {path}")

    def close(self) -> None:
        if self._socket is None:
            return
        if self._door is not None:
            self._door.close()
        self._socket.close()
        self._socket = None
        if isinstance(self._address, Path):
            with contextlib.suppress(FileNotFoundError):
                found = self._address.stat()
                if (found.st_dev, found.st_ino) == self._identity:
                    self._address.unlink()

    def items(self, position: dict[str, Any] | None = None) -> Iterator[Item]:
        if self._door is None:
            self.open()
        door = self._door
        if door is None:
            return
        fault: InputError | None = None
        waited_from = time.monotonic()
        while True:
            while (sender := door.admit()) is None:
                waited = time.monotonic() - waited_from
                if fault is not None and waited >= self._reconnect_s:
                    raise self._lost(fault)
                if fault is None and self._idle_s is not None and waited >= self._idle_s:
                    return
                yield None
                door.tend(POLL_S)
            behind = self._behind(sender)
            if behind is not None:
                door.drop(sender, "header", f"{behind.given}. {behind.expected}".rstrip(". "))
                fault = behind
                continue
            try:
                yield from self._features(sender, door)
                return
            except InputError as error:
                if sender.parser.number == 0:
                    self._drop(sender, door, error)
                    continue
                waited_from = time.monotonic()
                if not error.code.startswith("frame-"):
                    raise
                if self._reconnect_s <= 0:
                    raise self._lost(error) from None
                fault, self.trouble = error, error.given
                _log.warning("%s Waiting %g s for the sender.", printable(str(error)), self._reconnect_s)
            finally:
                sender.close()

    def _behind(self, sender: Sender) -> InputError | None:
        """Why a sender cannot take the place of the last one: its features have been read already."""
        header = sender.parser.header
        if header is None or self._until_s is None or header.start_s >= self._until_s - 0.5 * self._stride_s:
            return None
        return InputError(
            "time-backwards",
            f"the sender came back at {header.start_s:.3f} s after features up to {self._until_s:.3f} s",
            "media time that goes forward",
            "let the sender go on with its clock, or start a new run for a new recording",
        )

    def _features(self, sender: Sender, door: Door) -> Iterator[Item]:
        """What a sender sends. The stream begins with its first record: a header alone changes nothing."""
        begin: Begin | None = None
        for item in self._items(self._reader(sender, door), sender.parser, begun=False):
            if isinstance(item, Begin):
                begin = item
                continue
            if isinstance(item, Chunk):
                if begin is not None:
                    yield begin
                    begin, self.trouble = None, ""
                at = self._until_s if item.at is None else item.at
                end = (at or 0.0) + len(item.rows) * self._stride_s
                self._until_s = end if self._until_s is None else max(end, self._until_s)
            yield item
        if begin is not None:  # a stream of no features, which its sender has ended
            yield begin

    @staticmethod
    def _drop(sender: Sender, door: Door, error: InputError) -> None:
        """A connection that came in by its header, and then sent no features."""
        if door.someone:
            door.drop(sender, "silent", "sent no complete record, and others are waiting")
        elif error.code in ("frame-cut", "frame-no-end"):
            door.drop(sender, "probe", "closed before it had sent any features")
        else:
            door.drop(sender, "header", error.given)

    @staticmethod
    def _lost(fault: InputError) -> InputError:
        """What to raise when a sender does not come back. A new run may take one that broke off or began again."""
        kind = SourceLostError if fault.code in ("frame-cut", "frame-no-end", "time-backwards") else InputError
        return kind(fault.code, fault.given, fault.allowed, fault.next_step, required=fault.required)

    def _reader(self, sender: Sender, door: Door) -> Read:
        heard = time.monotonic()

        def read() -> bytes | None:
            nonlocal heard
            if door.tend(POLL_S, sender.socket):
                heard = time.monotonic()
                try:
                    return sender.socket.recv(READ_BYTES)
                except BlockingIOError:
                    return None
                except OSError:
                    return b""  # reset by the sender: the same as an end without an end record
            # A sender whose machine or link died cannot say so. When it is back, its new connection takes over.
            if door.someone and time.monotonic() - heard >= TAKEOVER_S:
                return b"" if self._reconnect_s > 0 or sender.parser.number == 0 else None
            return None

        return read
