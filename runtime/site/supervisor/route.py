"""The way of one camera's features into one engine: what the engine has not stored yet is kept, and sent again if the
engine has to start again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ...datatypes import compact
from ..wire import Header

IN_FLIGHT = 4  # messages on their way to the engine; all others wait here, where the oldest can be dropped
SLACK = 0.5  # of a stride: times of chunks are equal within that

Send = Callable[[Header, bytes], None]


@compact
@dataclass(slots=True)
class _Waiting:
    header: Header
    payload: bytes
    rows: int = 0
    sent: bool = False

    @property
    def is_chunk(self) -> bool:
        """Whether it has a number that the source waits for. A chunk may be empty: it declares a time."""
        return self.header.get("type") == "chunk"


@dataclass(slots=True)
class Route:
    """Features of one camera on their way to one engine.

    Args:
        camera: Name of the camera.
        feed: Which features the engine takes.
        stride_s: Seconds per snippet.
        bound: Snippets that may wait; beyond that the oldest chunk is dropped. None: the source waits.
        send: Passes a message to the engine.
        credit: Called with the number of each chunk that the engine has stored, or that was dropped.
    """

    camera: str
    feed: str
    stride_s: float
    bound: int | None
    send: Send
    credit: Callable[[int], None]
    is_open: bool = False
    now_s: float | None = None
    """Media time up to which the engine has stored features."""
    position: dict[str, Any] | None = None
    opened_s: float | None = None
    """Media time of the first features of a session that began while the source was running."""
    dropped: int = 0
    cut: bool = False
    """Chunks were dropped before the next one."""
    waiting: deque[_Waiting] = field(default_factory=deque)
    rows: int = 0
    """Snippets that wait."""

    @property
    def end_s(self) -> float | None:
        """Media time up to which it has features, with those that wait; None: it has none."""
        ends = [float(one.header["at"]) + one.rows * self.stride_s for one in self.waiting if self._timed(one)]
        return max([*ends, *([] if self.now_s is None else [self.now_s])], default=None)

    @staticmethod
    def _timed(one: _Waiting) -> bool:
        return bool(one.rows) and one.header.get("at") is not None

    def begin(self, header: Header) -> None:
        """The source began, or was connected again."""
        self._add(_Waiting({**header, "type": "begin", "camera": self.camera}, b""))

    def chunk(self, header: Header, payload: bytes) -> None:
        """The next features."""
        one = _Waiting({**header, "camera": self.camera}, payload, int(header["rows"]))
        if self.cut:
            one.header["reason"], self.cut = "overflow", False
        self._add(one)
        if self.bound is not None:
            self._drop(self.bound)

    def end(self) -> None:
        """The source has ended: the session is closed behind everything that waits."""
        self._add(_Waiting({"type": "close", "camera": self.camera}, b""))

    def close(self) -> None:
        """Close the session now: what waits is passed on at once."""
        if self.is_open:
            for one in self.waiting:
                if not one.sent:
                    self.send(one.header, one.payload)
            self.send({"type": "close", "camera": self.camera}, b"")
        self.clear()

    def opened(self, now_s: float | None, position: dict[str, Any] | None) -> None:
        """The engine has opened the camera's session, with features up to now_s."""
        self.is_open, self.now_s, self.position = True, now_s, position
        waiting, self.waiting, self.rows = self.waiting, deque(), 0
        for one in waiting:
            at = one.header.get("at")
            ends = None if at is None else float(at) + one.rows * self.stride_s
            if one.rows and now_s is not None and ends is not None and ends <= now_s + SLACK * self.stride_s:
                self.credit(int(one.header["seq"]))  # it was stored before the engine ended
                continue
            one.sent = False
            self.waiting.append(one)
            self.rows += one.rows
        self._pass_on()

    def lost_engine(self) -> None:
        """The engine has ended: everything that it did not store is sent again once it has started."""
        self.is_open = False
        for one in self.waiting:
            one.sent = False

    def taken(self, seq: int) -> None:
        """The engine has stored all chunks up to this one."""
        while self.waiting and self.waiting[0].sent:
            one = self.waiting[0]
            if one.is_chunk and int(one.header["seq"]) > seq:
                break
            self.waiting.popleft()
            self.rows -= one.rows
            if one.rows:
                self._stored(one)
            elif one.is_chunk:
                self.credit(int(one.header["seq"]))
        self._pass_on()

    def clear(self) -> int:
        """Forget what waits. Returns the number of snippets."""
        rows = self.rows
        for one in self.waiting:
            if one.is_chunk:
                self.credit(int(one.header["seq"]))
        self.waiting.clear()
        self.rows = 0
        return rows

    def _stored(self, one: _Waiting) -> None:
        at = one.header.get("at")
        begin = self.now_s if at is None else float(at)
        self.opened_s = begin if self.opened_s is None else self.opened_s
        self.now_s = (begin or 0.0) + one.rows * self.stride_s
        self.position = one.header.get("position") or self.position
        self.credit(int(one.header["seq"]))

    def _add(self, one: _Waiting) -> None:
        self.waiting.append(one)
        self.rows += one.rows
        self._pass_on()

    def _pass_on(self) -> None:
        if not self.is_open:
            return
        flying = 0
        for one in self.waiting:
            if not one.sent:
                one.sent = True
                self.send(one.header, one.payload)
            flying += one.is_chunk
            if flying >= IN_FLIGHT:
                break

    def _drop(self, bound: int) -> None:
        """Drop the oldest chunks that were not sent, until the rest is within the bound."""
        while self.rows > bound:
            oldest = next((one for one in self.waiting if one.rows and not one.sent), None)
            if oldest is None:
                return
            place = self.waiting.index(oldest)
            del self.waiting[place]
            after = next((one for one in islice(self.waiting, place, None) if one.is_chunk), None)
            if after is None:
                self.cut = True
            else:
                after.header["reason"] = "overflow"
            self.rows -= oldest.rows
            self.dropped += oldest.rows
            self.credit(int(oldest.header["seq"]))
