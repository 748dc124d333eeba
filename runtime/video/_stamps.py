"""Time stamps of decoded frames: the presentation time stamp if the container has one, else the best substitute."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.index import IndexEntries
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from ._decoded import DecodedFrame
    from ._header import Header

    VideoPacket = Packet[VideoStream] | Packet[Stream]  # of the video stream, or in a live source of any
    Packets = Iterator[Packet[VideoStream]] | Iterator[Packet[Stream]]

_BLOCKED_S = 0.004  # a packet that took at least this long was not buffered
_BURST = 64  # frames that may have been read ahead
_HISTORY = 64  # packets to remember: more than any decoder holds back
_CALM = 3  # minimum number of frames in order after which time stamps that ran backwards after damage are ignored
_PLAUSIBLE = 2  # times the usual reordering delay; a longer delay spans a pause in the recording


class Stamper:
    """Time stamps of a container that has some, chosen by the rules of FFmpeg's own programs.

    A frame has a presentation time stamp (pts) and the decoding time stamp (dts) of the packet that completed it. If
    the pts is absent, or runs backwards more often than the dts, the dts minus the reordering delay of the decoder is
    used, so that the first frame keeps its time.

    Args:
        base: Time base of the stream in seconds.
        decoding_only: Whether the container stores frames in decoding order without time stamps (AVI). FFmpeg then
            estimates the pts, which is wrong with B-frames.
        period_s: Nominal time between frames in seconds; 0 if unknown.
    """

    def __init__(self, base: float, *, decoding_only: bool = False, period_s: float = 0.0) -> None:
        self._base, self._decoding_only, self._usual_s = base, decoding_only, period_s
        self._seen: deque[float] = deque(maxlen=_HISTORY)  # dts of the packets up to the first frame
        self._delay: float | None = None
        self._last_pts = self._last_dts = float("-inf")
        self._bad_pts = self._bad_dts = 0
        self._damage_window = 0  # frames after damaged data, whose order does not count against the container
        self._recent_pts = self._recent_dts = 0  # frames out of order among these, until order returns
        self._calm = 0  # consecutive frames in order
        self._step_s = 0.0
        self.late_s = 0.0
        """Reordering delay in seconds that the length in the header omits, if the first chunk is not the start of the
        video; otherwise 0."""
        self.missing = 0
        """Number of frames that are missing according to the container but not yet counted as lost."""

    def note(self, packet: VideoPacket) -> None:
        """Record a video packet before it is decoded."""
        if packet.dts is not None and packet.time_base:
            self._seen.append(float(packet.dts * packet.time_base))

    def stamp(
        self, frame: VideoFrame, *, lost: int, held: int, queued: int = 0, damaged: bool = False
    ) -> tuple[float | None, float]:
        """Return the presentation time of a frame in seconds (None if unknown) and its duration (0 if unknown).

        Args:
            frame: The frame of PyAV.
            lost: Number of frames lost before it.
            held: Number of frames that the decoder keeps for reordering.
            queued: Number of frames in the threads of the decoder.
            damaged: Whether data before it was corrupt or missing. Decoders then output a few frames out of order
                although the time stamps are right, so their order counts against the time stamps only briefly.
        """
        self._damage_window = _HISTORY if damaged else max(self._damage_window - 1, 0)
        base = float(frame.time_base) if frame.time_base else self._base  # flushed frames have none
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
        self._count_reversals(late_pts, late_dts, held)
        doubtful = self._bad_pts > self._bad_dts or self._recent_pts > self._recent_dts
        if pts is not None and (dts is None or not doubtful):
            return pts, shown_s
        return dts, shown_s

    @property
    def in_order(self) -> bool:
        """Whether no presentation time stamp ran backwards so far, so that every frame has its own."""
        return not (self._bad_pts or self._recent_pts)

    def omit(self, pts_s: float) -> None:
        """Note the presentation time in seconds of a frame that was not decoded."""
        self._last_pts = pts_s

    def _count_reversals(self, late_pts: bool, late_dts: bool, held: int) -> None:
        """Count time stamps that run backwards: permanently, or after damage only until order returns."""
        self._calm = 0 if late_pts or late_dts else self._calm + 1
        if self._damage_window:
            self._recent_pts += late_pts
            self._recent_dts += late_dts
        else:
            self._bad_pts += late_pts
            self._bad_dts += late_dts
        if not self._damage_window or self._calm >= max(_CALM, held):
            self._recent_pts = self._recent_dts = 0

    def _measure(self, dts: float, held: int) -> float:
        """Return the reordering delay in seconds, from the packets before the first frame."""
        before = [at for at in self._seen if at < dts]
        delay = dts - before[-min(held, len(before))] if held and before else 0.0
        # A pause after the first chunk: the video starts late. Decoding time stamps then already leave room for the
        # delay, and muxers do not shift them.
        usual = held * self._usual_s
        if not 0 < _PLAUSIBLE * usual < delay:
            return delay
        self.late_s = usual
        return 0.0


class AviStamper(Stamper):
    """AVI time stamps are frame counts. If damage removed frames, the index at the end of the file shows how many.

    Args:
        base: Time base of the stream in seconds.
        index: `index_entries` of the stream.
        period_s: See `Stamper`. A recording that starts late begins with one chunk at 0 and continues after a pause.
    """

    _HEAD = 8  # bytes of a chunk header; index entries point to it, packets start after it

    def __init__(self, base: float, index: IndexEntries, *, period_s: float = 0.0) -> None:
        super().__init__(base, decoding_only=True, period_s=period_s)
        self._index, self._places = index, dict[int, int]()
        self._shift = 0  # frames missing so far

    def note(self, packet: VideoPacket) -> None:
        super().note(packet)
        if packet.dts is None or packet.pos is None:
            return
        at = self._index.search_timestamp(packet.dts + self._shift, any_frame=True)
        if at >= 0 and self._index[at].pos + self._HEAD == packet.pos:
            return
        if not self._places:
            self._places = {entry.pos + self._HEAD: entry.timestamp for entry in self._index}
        stamp = self._places.get(packet.pos)
        if stamp is not None and self._shift < stamp - packet.dts <= len(self._places):
            self.missing += stamp - packet.dts - self._shift
            self._shift = stamp - packet.dts

    def stamp(
        self, frame: VideoFrame, *, lost: int, held: int, queued: int = 0, damaged: bool = False
    ) -> tuple[float | None, float]:
        at, shown_s = super().stamp(frame, lost=lost, held=held, queued=queued, damaged=damaged)
        return None if at is None else at + self._shift * self._base, shown_s


class CountingStamper(Stamper):
    """Recordings without time stamps: frames at a fixed rate."""

    def __init__(self, base: float, period_s: float) -> None:
        super().__init__(base)
        self._period_s, self._next = period_s, 0
        self._packets, self._whole = 0, True

    def note(self, packet: VideoPacket) -> None:
        self._packets += 1
        if self._packets == 1:
            self._whole = bool(packet.is_keyframe)

    def stamp(
        self, frame: VideoFrame, *, lost: int, held: int, queued: int = 0, damaged: bool = False
    ) -> tuple[float | None, float]:
        if not self._next and not self._whole:  # starts inside a group of pictures (GOP): count the undecodable packets
            lost = max(lost, self._packets - 1 - held - queued)
        at = (self._next + lost) * self._period_s
        self._next += lost + 1
        return at, self._period_s


class ArrivalStamper(Stamper):
    """Live sources without time stamps, such as MJPEG over HTTP: the time of arrival."""

    def stamp(
        self, frame: VideoFrame, *, lost: int, held: int, queued: int = 0, damaged: bool = False
    ) -> tuple[float | None, float]:
        return time.monotonic(), 0.0


def make_stamper(stream: VideoStream, header: Header, rate: float | None) -> Stamper:
    """Return what gives the frames of an opened stream their time stamps.

    Args:
        stream: The stream.
        header: Its header.
        rate: Frames per second that the caller has set; None if not set.
    """
    base = float(stream.time_base or 0)
    if header.stamped:
        if header.form != "avi":
            return Stamper(base)
        usual = stream.guessed_rate  # the average counts the empty chunks of a late start
        usual_rate = float(usual) if usual else 0.0
        return AviStamper(base, stream.index_entries, period_s=1 / usual_rate if 0.01 <= usual_rate <= 1000 else 0.0)
    if header.recorded or rate:
        return CountingStamper(base, 1 / header.rate)
    return ArrivalStamper(base)


def spread(
    frames: Iterator[DecodedFrame | None], waited: Callable[[], float], *, since: float
) -> Iterator[DecodedFrame | None]:
    """Spread the arrival times of frames that were read while the source was being opened.

    FFmpeg reads ahead to identify a stream and then delivers these frames all at once.

    Args:
        frames: The frames.
        waited: Returns the seconds that the last packet took to arrive.
        since: When opening began, on the monotonic clock.
    """
    held: list[DecodedFrame] = []
    until = since
    for frame in frames:
        blocked = waited() >= _BLOCKED_S
        if not blocked:
            until = time.monotonic()
        if frame is None:
            yield None
        elif blocked:
            yield from _evenly(held, since, until)
            held = []
            yield frame
            break
        else:
            held.append(frame)
            if len(held) >= _BURST:
                break
    yield from _evenly(held, since, until)
    yield from frames


def _evenly(frames: list[DecodedFrame], since: float, until: float) -> list[DecodedFrame]:
    for k, frame in enumerate(frames):
        frame.raw_s = since + (until - since) * (k + 1) / len(frames)
    return frames
