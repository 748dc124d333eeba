"""One feed of a camera: the features of one backbone, with their media time and position, sent as messages."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...sources.items import Bad, Begin, Chunk, Position
from ...text.display import printable
from ..gap_reasons import GapReason, reason_of_video
from ..wire import Channel

MOST_OUTSTANDING = 8  # chunks of a source that can wait, before the engine has taken one
MOST_ROWS = 1024  # of a message, for sources whose senders may be anybody
WAIT_S = 0.1


@dataclass(frozen=True, slots=True)
class Place:
    """A position of a feed.

    Attributes:
        lap_s: Media time at which the present pass over the source began.
        until_s: Media time up to which its chunks were sent.
        inner: Where to go on in that pass, as the source stated it; None: at its beginning.
    """

    lap_s: float
    until_s: float
    inner: Position | None

    @classmethod
    def parse(cls, position: Any) -> Place | None:
        """From a message; None for one that cannot be used, so that the source is read from its beginning."""
        try:
            inner = position["inner"]
            place = cls(float(position["lap_s"]), float(position["until_s"]), None if inner is None else dict(inner))
        except (TypeError, ValueError, KeyError):
            return None
        return place if math.isfinite(place.lap_s) and math.isfinite(place.until_s) else None

    def record(self) -> dict[str, Any]:
        """For a message."""
        return {"lap_s": self.lap_s, "until_s": self.until_s, "inner": self.inner}


@dataclass(slots=True)
class Feed:
    """Sends the items of one feed. `begin`, `chunk` and `bad` are called from its thread, `taken` from the main thread.

    Args:
        name: The digest of the backbone, or "features".
        channel: To the supervisor.
        stride_s: Seconds per snippet.
        replayable: The source can wait and be read again: chunks have positions, and need credits.
        timed: Chunks carry the time of their arrival.
        until_s: Chunks that end before are not sent: they were, by an earlier process.
        real_time: Send chunks no faster than their media time passes.
        stop: Set when the process ends.
    """

    name: str
    channel: Channel
    stride_s: float
    replayable: bool
    timed: bool
    stop: threading.Event
    until_s: float | None = None
    real_time: bool = False
    next_s: float = 0.0
    seq: int = 0
    sent: int = 0
    _took: int = 0
    _begun: bool = False
    _pace: tuple[float, float] | None = None
    waits: bool = False
    """The sender waits until its chunks are taken, so that chunks need credits, although it cannot send them again."""
    _gap: GapReason | None = None
    """Why something is missing before the next chunk, if that is known."""
    _credits: threading.Condition = field(default_factory=threading.Condition)

    def taken(self, seq: int) -> None:
        """The engines have stored the chunk with this number, and all before it."""
        with self._credits:
            self._took = max(self._took, seq + 1)
            self._credits.notify_all()

    def begin(self, item: Begin, start_s: float) -> None:
        """The source began at media time start_s, or was connected again."""
        self.next_s = start_s if self.until_s is None else max(start_s, self.until_s)
        message = {"type": "begin", "feed": self.name, "stream": item.stream, "start_s": self.next_s}
        self.channel.send(message | {"restart": self._begun, "replayable": self.replayable})
        self._begun = True

    def chunk(self, item: Chunk, at: float | None, place: Callable[[float], Place] | None) -> None:
        """Send a chunk in parts that are not longer than the pace allows.

        Args:
            item: The chunk.
            at: Media time of its first row in seconds; None: right after the last.
            place: The position after media time t, for sources that can be read again.
        """
        if self.waits and not len(item.rows) and not item.lost and (at is None or at <= self.next_s):
            return  # an empty record, of which a sender may send any number
        if at is not None:
            self.next_s = at
        if self.until_s is not None:
            if self.next_s + len(item.rows) * self.stride_s <= self.until_s + 0.5 * self.stride_s and len(item.rows):
                self.next_s += len(item.rows) * self.stride_s
                return
            self.until_s = None
        self._gap = reason_of_video(item.gap) or self._gap
        begin, end = self.next_s, self.next_s + len(item.rows) * self.stride_s
        part = max(round(1.0 / self.stride_s), 1) if self.real_time else max(len(item.rows), 1)
        if self.waits:  # a sender decides on the length of its chunks, and engines serve other cameras in between
            part = min(part, MOST_ROWS)
        for first in range(0, max(len(item.rows), 1), part):
            rows = item.rows[first : first + part]
            last = first + len(rows) >= len(item.rows)
            self.next_s = end if last else begin + (first + len(rows)) * self.stride_s
            lost = [[row - first, n] for row, n in item.lost if first <= row < first + max(len(rows), 1)]
            # Only the end of the chunk has a position of the source: its parts are sent again after a restart.
            position = place(self.next_s).record() if place is not None and last else None
            self._send(rows, begin + first * self.stride_s, lost, position, item.read_s if first == 0 else 0.0)
            if self.stop.is_set():
                return

    def _send(
        self, rows: Any, at: float, lost: list[list[int]], position: dict[str, Any] | None, read_s: float
    ) -> None:
        if self.real_time:
            self._wait_for(at)
        if self.replayable or self.waits:
            with self._credits:
                while self.seq - self._took >= MOST_OUTSTANDING and not self.stop.is_set():
                    self._credits.wait(WAIT_S)
        if self.stop.is_set():
            return
        header = {
            "type": "chunk",
            "feed": self.name,
            "seq": self.seq,
            "at": at,
            "rows": len(rows),
            "dim": rows.shape[1],
            "position": position,
            "arrival_unix": time.time() if self.timed else None,
            "arrival_steady": time.monotonic() if self.timed else None,
            "lost": lost,
            "read_s": round(read_s, 6),
            "reason": self._gap,
        }
        self._gap = None
        self.seq += 1
        self.sent += len(rows)
        self.channel.send(header, np.ascontiguousarray(rows, "<f4").tobytes())

    def _wait_for(self, at: float) -> None:
        now = time.monotonic()
        if self._pace is None:
            self._pace = (now, at)
        ahead = (at - self._pace[1]) - (now - self._pace[0])
        if ahead > 0:
            self.stop.wait(ahead)

    def bad(self, item: Bad, place: Callable[[float], Place] | None) -> None:
        """Report a chunk that could not be read. One that is missing counts as one snippet, so that there is a gap."""
        if item.reason != "late":
            self.next_s += self.stride_s
            self._gap = "unreadable"
        message = {
            "type": "bad",
            "feed": self.name,
            "where": printable(item.where),
            "reason": item.reason,
            "given": printable(item.error.given),
            "code": item.error.code,
            "position": place(self.next_s).record() if place is not None else None,
        }
        self.channel.send(message)
