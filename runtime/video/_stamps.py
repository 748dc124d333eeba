"""The time stamp of each decoded frame: of presentation where the container has it, else the best that there is."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._picture import Picture

_BLOCKED_S = 0.004  # a packet that was waited for that long had not been there yet
_BURST = 64  # pictures that opening may have read ahead
_SEEN = 64  # packets that are remembered: more than any decoder holds back


class Stamper:
    """Stamps of a container that carries some, as FFmpeg's programs read them.

    A frame has a stamp of presentation (pts), and the stamp of the packet that completed it (dts), which only ever
    grows. Where the first kind is absent, or goes backwards more often than the second, the second kind counts: less
    the delay by which the decoder holds frames back to put them in order, so that the first frame keeps its time.
    decoding_only: a container such as AVI that stores frames in the order of decoding, without any stamps; FFmpeg
    guesses a pts for those, which is wrong wherever there are B-frames.
    """

    def __init__(self, base: float, *, decoding_only: bool = False) -> None:
        self._base, self._decoding_only = base, decoding_only
        self._seen: deque[float] = deque(maxlen=_SEEN)  # dts of the packets up to the first frame
        self._delay: float | None = None
        self._last_pts = self._last_dts = float("-inf")
        self._bad_pts = self._bad_dts = 0
        self._step_s = 0.0
        self.swallowed = 0
        """Frames that damage took without a trace, as far as the container tells."""

    def note(self, packet: Any) -> None:
        """A packet of the video, before it is decoded."""
        if packet.dts is not None and packet.time_base:
            self._seen.append(float(packet.dts * packet.time_base))

    def stamp(self, frame: Any, *, lost: int, held: int, queued: int = 0) -> tuple[float | None, float]:
        """Stamp of presentation in seconds, None where there is none, and how long the frame is shown, 0: unknown.

        lost: frames lost before it. held: frames that the decoder holds back to put them in order; queued: further
        ones that its threads hold.
        """
        base = float(frame.time_base) if frame.time_base else self._base  # frames from a flush come without one
        shown_s = (frame.duration or 0) * base
        pts = frame.pts * base if frame.pts is not None and base else None
        dts = frame.dts * base if frame.dts is not None and base else None
        if self._decoding_only and dts is None and self._step_s:  # the last frames come when all packets are through
            dts = self._last_dts + self._step_s
        if dts is not None:
            self._bad_dts += dts <= self._last_dts
            self._step_s = dts - self._last_dts if dts > self._last_dts > float("-inf") else self._step_s
            self._last_dts = dts
            if self._delay is None:
                self._delay = self._measure(dts, held)
            dts -= self._delay
        if self._decoding_only:
            return dts, shown_s
        if pts is not None:
            self._bad_pts += pts <= self._last_pts
            self._last_pts = pts
        if pts is not None and (dts is None or self._bad_pts <= self._bad_dts):
            return pts, shown_s
        return dts, shown_s

    def _measure(self, dts: float, held: int) -> float:
        """By how much the stamps of packets are ahead of the frames that they complete."""
        before = [at for at in self._seen if at < dts]
        return dts - before[-min(held, len(before))] if held and before else 0.0


class AviStamper(Stamper):
    """Frames of AVI, which are counted. Where damage swallowed some, the index at the end of the file tells how many.

    index: the stream's `index_entries`.
    """

    _HEAD = 8  # bytes of a chunk's own header: the index points there, packets behind it

    def __init__(self, base: float, index: Any) -> None:
        super().__init__(base, decoding_only=True)
        self._index, self._places = index, dict[int, int]()
        self._shift = 0  # frames that were swallowed so far

    def note(self, packet: Any) -> None:
        super().note(packet)
        if packet.dts is None or packet.pos is None:
            return
        at = self._index.search_timestamp(packet.dts + self._shift, any_frame=True)
        if at >= 0 and self._index[at].pos + self._HEAD == packet.pos:
            return
        if not self._places:
            self._places = {entry.pos + self._HEAD: entry.timestamp for entry in self._index}
        found = self._places.get(packet.pos)
        if found is not None and self._shift < found - packet.dts <= len(self._places):
            self.swallowed += found - packet.dts - self._shift
            self._shift = found - packet.dts

    def stamp(self, frame: Any, *, lost: int, held: int, queued: int = 0) -> tuple[float | None, float]:
        at, shown_s = super().stamp(frame, lost=lost, held=held, queued=queued)
        return None if at is None else at + self._shift * self._base, shown_s


class CountingStamper(Stamper):
    """For recordings without stamps: frames follow each other at a fixed rate."""

    def __init__(self, base: float, period_s: float) -> None:
        super().__init__(base)
        self._period_s, self._next = period_s, 0
        self._packets, self._whole = 0, True

    def note(self, packet: Any) -> None:
        self._packets += 1
        if self._packets == 1:
            self._whole = bool(packet.is_keyframe)

    def stamp(self, frame: Any, *, lost: int, held: int, queued: int = 0) -> tuple[float | None, float]:
        if not self._next and not self._whole:  # cut in the middle: what came before the first frame took its time
            lost = max(lost, self._packets - 1 - held - queued)
        at = (self._next + lost) * self._period_s
        self._next += lost + 1
        return at, self._period_s


class ArrivalStamper(Stamper):
    """For live sources without stamps, such as MJPEG over HTTP: the time at which a frame arrives."""

    def stamp(self, frame: Any, *, lost: int, held: int, queued: int = 0) -> tuple[float | None, float]:
        return time.monotonic(), 0.0


def spread(
    pictures: Iterator[Picture | None], waited: Callable[[], float], *, since: float
) -> Iterator[Picture | None]:
    """Pictures with times of arrival; those that were read while the source was being opened are spread over that time.

    FFmpeg reads ahead to find out what a stream holds, and then hands all of it over at once. waited: seconds that the
    last packet was waited for. since: when opening began.
    """
    held: list[Picture] = []
    until = since
    for picture in pictures:
        blocked = waited() >= _BLOCKED_S
        if not blocked:
            until = time.monotonic()
        if picture is None:
            yield None
        elif blocked:
            yield from _evenly(held, since, until)
            held = []
            yield picture
            break
        else:
            held.append(picture)
            if len(held) >= _BURST:
                break
    yield from _evenly(held, since, until)
    yield from pictures


def _evenly(pictures: list[Picture], since: float, until: float) -> list[Picture]:
    for k, picture in enumerate(pictures):
        picture.raw_s = since + (until - since) * (k + 1) / len(pictures)
    return pictures
