"""The socket source: listens for senders of framed features over TCP or on a Unix socket."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError, SourceLostError
from ..text.display import printable
from ..text.throttle import Throttle
from .acceptor import READ_BYTES, Acceptor, Sender
from .framed import FramedStream, Read
from .framing import encode_token
from .items import POLL_S, Begin, Chunk, Item, Position

_log = logging.getLogger(__name__)

TAKEOVER_S = 10.0  # seconds without data from a sender, after which another one may replace it


class Listener(FramedStream):
    """Listens on `tcp://host:port` or `unix:///path` and takes one sender at a time.

    Connections without a suitable header (see `Acceptor`) or without features, and those that start before features
    that were already read, are dropped and counted.

    Args:
        address: (host, port), or the path of a Unix socket.
        dim: Dimension of the features.
        stride_s: Seconds per snippet.
        idle_s: The stream ends after this many seconds without a sender or data. None: never.
        reconnect_s: A sender that breaks off without an end record, or sends invalid data, may reconnect within this
            many seconds; its new header states the media time at which it continues. 0: the interruption is an error.
        token: Token that senders must present, see `framing`.
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
            encode_token(token)  # checks the length
        self.trouble = ""
        """Why the sender is currently lost; empty while it is connected and before the first one."""
        self._address, self._reconnect_s, self._token = address, reconnect_s, token
        self._socket: socket.socket | None = None
        self._acceptor: Acceptor | None = None
        self._identity: tuple[int, int] | None = None
        self._throttle = Throttle()  # a sender that breaks off may do so again and again
        self._until_s: float | None = None  # media time up to which features were received

    def open(self) -> None:
        try:
            self._socket = self._bind()
        except (OSError, UnicodeError) as error:
            raise InputError(
                "source-address", f"Cannot listen on {self.name} ({error})", next_step="choose another address"
            ) from None
        if not isinstance(self._address, Path):
            host, port = self._socket.getsockname()[:2]
            self.name = f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
            if self._token is None and not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
                _log.warning(
                    "%s accepts features from any host that can connect. Set PUNCTUM_SOCKET_TOKEN, or use 127.0.0.1",
                    printable(self.name),
                )
        self._acceptor = Acceptor(self._socket, name=self.name, check=self._check, token=self._token)

    @property
    def refused(self) -> dict[str, int]:
        """Number of dropped connections by reason."""
        return {} if self._acceptor is None else self._acceptor.refused

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
            status = self._address.stat()
            self._identity = (status.st_dev, status.st_ino)
        return listener

    @staticmethod
    def _clear_stale(path: Path) -> None:
        """Remove the socket of a dead process. Raises OSError if it is in use or not a socket."""
        if not path.exists():
            return
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise OSError(f"{path} exists and is not a socket")
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
        if self._acceptor is not None:
            self._acceptor.close()
        self._socket.close()
        self._socket = None
        if isinstance(self._address, Path):
            with contextlib.suppress(FileNotFoundError):
                status = self._address.stat()
                if (status.st_dev, status.st_ino) == self._identity:
                    self._address.unlink()

    def items(self, position: Position | None = None) -> Iterator[Item]:
        if self._acceptor is None:
            self.open()
        acceptor = self._acceptor
        if acceptor is None:
            return
        fault: InputError | None = None
        waited_from = time.monotonic()
        while True:
            while (sender := acceptor.admit()) is None:
                waited = time.monotonic() - waited_from
                if fault is not None and waited >= self._reconnect_s:
                    raise self._lost(fault)
                if fault is None and self._idle_s is not None and waited >= self._idle_s:
                    return
                yield None
                acceptor.poll(POLL_S)
            behind = self._behind(sender)
            if behind is not None:
                acceptor.drop(sender, "header", f"{behind.given}. {behind.expected}".rstrip(". "))
                fault = behind
                continue
            try:
                yield from self._features(sender, acceptor)
                return
            except InputError as error:
                if sender.parser.number == 0:
                    self._drop(sender, acceptor, error)
                    continue
                waited_from = time.monotonic()
                if not error.code.startswith("frame-"):
                    raise
                if self._reconnect_s <= 0:
                    raise self._lost(error) from None
                fault, self.trouble = error, error.given
                if (more := self._throttle.take()) is not None:
                    text = f"{error} Waiting {self._reconnect_s:g} s for the sender{more}."
                    _log.warning("%s", printable(text))
            finally:
                sender.close()

    def _behind(self, sender: Sender) -> InputError | None:
        """Return the error for a sender that starts before features that were already read; None for others."""
        header = sender.parser.header
        if header is None or self._until_s is None or header.start_s >= self._until_s - 0.5 * self._stride_s:
            return None
        return InputError(
            "time-backwards",
            f"The sender reconnected at {header.start_s:.3f} s, but features up to {self._until_s:.3f} s were received",
            required="increasing media time",
            next_step="let the sender continue its clock, or start a new run for a new recording",
        )

    def _features(self, sender: Sender, acceptor: Acceptor) -> Iterator[Item]:
        """Yield the items of a sender. The stream begins with the first record; a header alone has no effect."""
        begin: Begin | None = None
        for item in self._items(self._reader(sender, acceptor), sender.parser, begun=False):
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
        if begin is not None:  # an empty stream with an end record
            yield begin

    @staticmethod
    def _drop(sender: Sender, acceptor: Acceptor, error: InputError) -> None:
        """Drop a connection that sent a header but no features."""
        if acceptor.has_sender:
            acceptor.drop(sender, "silent", "sent no complete record, and others are waiting")
        elif error.code in ("frame-cut", "frame-no-end"):
            acceptor.drop(sender, "probe", "closed before it had sent any features")
        else:
            acceptor.drop(sender, "header", error.given)

    @staticmethod
    def _lost(fault: InputError) -> InputError:
        """Return the error for a sender that does not reconnect. A new run may succeed if it broke off or restarted."""
        kind = SourceLostError if fault.code in ("frame-cut", "frame-no-end", "time-backwards") else InputError
        return kind(fault.code, fault.given, fault.allowed, fault.next_step, required=fault.required)

    def _reader(self, sender: Sender, acceptor: Acceptor) -> Read:
        waited_s, number = 0.0, sender.parser.number

        def read() -> bytes | None:
            nonlocal waited_s, number
            if sender.parser.number != number:
                waited_s, number = 0.0, sender.parser.number
            began = time.monotonic()
            readable = acceptor.poll(POLL_S, sender.socket)
            waited_s += time.monotonic() - began  # for the sender: not what the caller needed for its last record
            # If the machine or link of a sender dies, its old connection stays open. Its new connection takes over, as
            # it does from one that never completes a record.
            if acceptor.has_sender and waited_s >= TAKEOVER_S and (self._reconnect_s > 0 or number == 0):
                return b""
            if not readable:
                return None
            try:
                return sender.socket.recv(READ_BYTES)
            except BlockingIOError:
                return None
            except OSError:
                return b""  # reset by the sender: treated like an end without an end record

        return read
