"""The time stamp of each decoded frame: its presentation stamp if the container has one, else the best substitute."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._picture import Picture

_BLOCKED_S = 0.004  # a packet that took at least that long was not buffered
_BURST = 64  # pictures that may have been read ahead
_SEEN = 64  # packets that are remembered: more than any decoder holds back
_CALM = 3  # frames in order, at least, after which stamps that ran backwards after damage are forgiven
_PLAUSIBLE = 2  # times the usual reordering delay; a longer one spans a hole in the recording


class Stamper:
    """Stamps of a container that has some, chosen as FFmpeg's own programs choose them.

    A frame has a presentation stamp (pts) and the decoding stamp (dts) of the packet that completed it. If the pts is
    absent, or runs backwards more often than the dts, the dts is used, less the reordering delay of the decoder, so
    that the first frame keeps its time.
    decoding_only: the container stores frames in decoding order and has no stamps (AVI). FFmpeg guesses a pts for
    them, which is wrong if there are B-frames. period_s: nominal time between frames, 0 if unknown.
    """

    def __init__(self, base: float, *, decoding_only: bool = False, period_s: float = 0.0) -> None:
        self._base, self._decoding_only, self._usual_s = base, decoding_only, period_s
        self._seen: deque[float] = deque(maxlen=_SEEN)  # dts of the packets up to the first frame
        self._delay: float | None = None
        self._last_pts = self._last_dts = float("-inf")
        self._bad_pts = self._bad_dts = 0
        self._shaken = 0  # frames whose order says nothing about the container, since data before them were damaged
        self._recent_pts = self._recent_dts = 0  # faults among these, until order returns
        self._calm = 0  # frames in order since
        self._step_s = 0.0
        self.late_s = 0.0
        """Where the first chunk does not tell the start of the video: the reordering delay, which the header's length
        leaves out."""
        self.swallowed = 0
        """Frames that are missing according to the container, and not yet counted as lost."""

    def note(self, packet: Any) -> None:
        """A packet of the video, before it is decoded."""
        if packet.dts is not None and packet.time_base:
            self._seen.append(float(packet.dts * packet.time_base))

    def stamp(
        self, frame: Any, *, lost: int, held: int, queued: int = 0, damaged: bool = False
    ) -> tuple[float | None, float]:
        """Presentation stamp in seconds (None if unknown) and display duration (0 if unknown).

        lost: frames lost before it. held: frames that the decoder keeps for reordering. queued: frames in its threads.
        damaged: data before it were corrupt or missing. Decoders then output a few frames out of order although the
        stamps are right, so that their order does not count against the stamps for long.
        """
        self._shaken = _SEEN if damaged else max(self._shaken - 1, 0)
        base = float(frame.time_base) if frame.time_base else self._base  # frames from a flush come without one
        shown_s = (frame.duration or 0) * base
        pts = frame.pts * base if frame.pts is not None and base else None
        dts = frame.dts * base if frame.dts is not None and base else None
        late_pts = late_dts = False
        if self._decoding_only and dts is None and self._step_s:  # frames flushed at the end have no packet
            dts = self._last_dts + self._step_s
        if dts is not None:
            late_dts = dts <= self._last_dts
            self._step_s = dts - self._last_dts if dts > self._last_dts > float("-inf") else self._step_s
            self._last_dts = dts
            if self._delay is None:
                self._delay = self._measure(dts, held)
            dts -= self._delay
        if self._decoding_only:
            return dts, shown_s
        if pts is not None:
            late_pts, self._last_pts = pts <= self._last_pts, pts
        self._judge(late_pts, late_dts, held)
        doubtful = self._bad_pts > self._bad_dts or self._recent_pts > self._recent_dts
        if pts is not None and (dts is None or not doubtful):
            return pts, shown_s
        return dts, shown_s

    def _judge(self, late_pts: bool, late_dts: bool, held: int) -> None:
        """Count stamps that run backwards: for good, or after damage only until order has returned."""
        self._calm = 0 if late_pts or late_dts else self._calm + 1
        if self._shaken:
            self._recent_pts += late_pts
            self._recent_dts += late_dts
        else:
            self._bad_pts += late_pts
            self._bad_dts += late_dts
        if not self._shaken or self._calm >= max(_CALM, held):
            self._recent_pts = self._recent_dts = 0

    def _measure(self, dts: float, held: int) -> float:
        """The reordering delay in seconds, from the packets before the first frame."""
        before = [at for at in self._seen if at < dts]
        delay = dts - before[-min(held, len(before))] if held and before else 0.0
        # A hole behind the first chunk: the video starts late. Then decoding stamps need no shift to make room for the
        # delay, and muxers do not shift them.
        usual = held * self._usual_s
        if not 0 < _PLAUSIBLE * usual < delay:
            return delay
        self.late_s = usual
        return 0.0


class AviStamper(Stamper):
    """AVI stamps are frame counts. If damage removed frames, the index at the end of the file tells how many.

    index: the stream's `index_entries`. period_s: as in `Stamper`; a recording that starts late begins with one chunk
    at 0, a hole, and the rest.
    """

    _HEAD = 8  # bytes of a chunk header: index entries point to it, packets start after it

    def __init__(self, base: float, index: Any, *, period_s: float = 0.0) -> None:
        super().__init__(base, decoding_only=True, period_s=period_s)
        self._index, self._places = index, dict[int, int]()
        self._shift = 0  # frames missing so far

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

    def stamp(
        self, frame: Any, *, lost: int, held: int, queued: int = 0, damaged: bool = False
    ) -> tuple[float | None, float]:
        at, shown_s = super().stamp(frame, lost=lost, held=held, queued=queued, damaged=damaged)
        return None if at is None else at + self._shift * self._base, shown_s


class CountingStamper(Stamper):
    """Recordings without stamps: frames at a fixed rate."""

    def __init__(self, base: float, period_s: float) -> None:
        super().__init__(base)
        self._period_s, self._next = period_s, 0
        self._packets, self._whole = 0, True

    def note(self, packet: Any) -> None:
        self._packets += 1
        if self._packets == 1:
            self._whole = bool(packet.is_keyframe)

    def stamp(
        self, frame: Any, *, lost: int, held: int, queued: int = 0, damaged: bool = False
    ) -> tuple[float | None, float]:
        if not self._next and not self._whole:  # cut inside a group of pictures: count the undecodable packets
            lost = max(lost, self._packets - 1 - held - queued)
        at = (self._next + lost) * self._period_s
        self._next += lost + 1
        return at, self._period_s


class ArrivalStamper(Stamper):
    """Live sources without stamps, such as MJPEG over HTTP: the time of arrival."""

    def stamp(
        self, frame: Any, *, lost: int, held: int, queued: int = 0, damaged: bool = False
    ) -> tuple[float | None, float]:
        return time.monotonic(), 0.0


def spread(
    pictures: Iterator[Picture | None], waited: Callable[[], float], *, since: float
) -> Iterator[Picture | None]:
    """Spread the arrival times of pictures that were read while the source was being opened.

    FFmpeg reads ahead to identify a stream, and then delivers all of that at once. waited: seconds that the last packet
    took to arrive. since: when opening began.
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
