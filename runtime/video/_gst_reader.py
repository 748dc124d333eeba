"""One run of a GStreamer pipeline as a connection to a source: frames with their time stamps, faults and losses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..credentials.redact import Address
from ..errors import InputError
from . import _gst
from ._decoded import Converter, DecodedFrame, Turn
from ._faults import Fault
from ._frames import POLL_S, VideoInfo, VideoOptions
from ._header import check_frame_size
from ._raw import Layout, RawPicture
from ._time import TimeBase

if TYPE_CHECKING:
    from ._selection import Shows

_SECOND = 1_000_000_000
_CORRUPTED = 1 << 8  # flag of buffers
_UNKNOWN = 2**64 - 1  # a count that an element does not know


class GstReader:
    """See `Connection`. `close` ends the pipeline; elements may take a moment for it.

    Args:
        address: The pipeline.
        options: Options of the source.
        dropped: Counters by reason, shared with the source.
    """

    def __init__(self, address: Address, options: VideoOptions, dropped: dict[str, int]) -> None:
        self._address, self._options, self._dropped = address, options, dropped
        self._gst: Any = None
        self._pipeline: Any = None
        self._sink: Any = None
        self._caps: Any = None
        self._layout: Layout | None = None
        self._late: dict[str, int] = {}  # buffers that elements have dropped, by element
        self._error: Any = None
        self._damaged = False
        self.recording = False
        """Whether the pipeline reads a file or another source that waits."""
        self.lost = 0
        self.ended_by: Fault | None = None

    def open(self) -> None:
        """Raises InputError."""
        if self._options.rate is not None:
            raise InputError(
                "video-rate",
                f"`rate={self._options.rate:g}` cannot be used with {self._address.shown}, whose buffers carry times",
                "streams without time stamps: raw H.264, H.265 or MPEG video, MJPEG",
                "leave out `rate`",
            )
        self._gst = gst = _gst.load_gst()
        self._convert = Converter(semi_planar=True)
        self._pipeline, self._sink = _gst.build(self._address)
        paused = self._pipeline.set_state(gst.State.PAUSED)
        if paused == gst.StateChangeReturn.FAILURE:
            found = self._heard(reading=False)
            self.recording = self._error is not None and _gst.is_file(self._error.src)
            raise (found or self._silent(0.0)).error()
        self.recording = paused != gst.StateChangeReturn.NO_PREROLL
        if self._pipeline.set_state(gst.State.PLAYING) == gst.StateChangeReturn.FAILURE:
            found = self._heard(reading=False)
            raise (found or self._silent(0.0)).error()

    def info(self, first: DecodedFrame) -> VideoInfo:
        if self._layout is None:
            raise RuntimeError("there was no frame yet")
        known, length = self._pipeline.query_duration(self._gst.Format.TIME)
        return VideoInfo(
            width=self._layout.width,
            height=self._layout.height,
            rate=self._layout.rate,
            duration_s=length / _SECOND if self.recording and known and length > 0 else None,
            codec="raw",
            rotation=0,
            live=not self.recording,
            decoder="gstreamer",
            time=TimeBase(start_s=0.0 if self.recording else None, discontinuous=not self.recording),
        )

    def watch(self, shows: Shows) -> None:
        """Do nothing: the pipeline decides what it decodes."""

    def decoded_frames(self) -> Iterator[DecodedFrame | None]:
        heard, limit_s, reading = time.monotonic(), self._options.open_timeout_s, False
        while self.ended_by is None:
            sample = self._sink.emit("try-pull-sample", int(POLL_S * _SECOND))
            if sample is not None:
                frame = self._frame(sample)
                heard = time.monotonic()
                if frame is not None:
                    reading, limit_s = True, self._options.read_timeout_s
                yield frame
                heard = time.monotonic()  # not while the caller waited for room
                continue
            self.ended_by = self._heard(reading=reading)
            if self._sink.get_property("eos"):
                return
            if self.ended_by is None and time.monotonic() - heard >= limit_s:
                self.ended_by = self._silent(limit_s)
            yield None

    def _frame(self, sample: Any) -> DecodedFrame | None:
        """Copy a picture, because pools of hardware decoders are small and frames may wait in a buffer."""
        caps, buffer = sample.get_caps(), sample.get_buffer()
        if self._caps is None or not caps.is_equal(self._caps):
            self._caps, self._layout = caps, _gst.layout(caps)
            check_frame_size(self._address.shown, self._layout.width, self._layout.height)
        layout = self._layout
        if layout is None:
            return None
        flags = int(buffer.get_flags())
        self._listen()
        if flags & _CORRUPTED:
            self._lose("corrupt", 1)
            return None
        there, mapped = buffer.map(self._gst.MapFlags.READ)
        if not there:
            self._lose("corrupt", 1)
            return None
        try:
            data = bytes(mapped.data)
        finally:
            buffer.unmap(mapped)
        raw_s = self._seconds(sample.get_segment(), buffer.pts)
        shown_s = 0.0 if buffer.duration == self._gst.CLOCK_TIME_NONE else buffer.duration / _SECOND
        picture = RawPicture(layout, data)
        frame = DecodedFrame(picture, self._convert, Turn(), self.lost, raw_s, shown_s, layout.aspect, self._damaged)
        self.lost, self._damaged = 0, False
        return frame

    def _seconds(self, segment: Any, pts: int) -> float | None:
        """Return position in a recording, or running time of a live pipeline, both independent of its segments."""
        gst = self._gst
        if pts == gst.CLOCK_TIME_NONE or segment.format != gst.Format.TIME:
            return None
        place = segment.to_stream_time if self.recording else segment.to_running_time
        at = place(gst.Format.TIME, pts)
        return None if at == gst.CLOCK_TIME_NONE else float(at / _SECOND)

    def _heard(self, *, reading: bool) -> Fault | None:
        """Return the fault of the first error message, None without one."""
        self._listen()
        if self._error is None:
            return None
        return _gst.fault(self._gst, self._error, self._address, reading=reading, live=not self.recording)

    def _listen(self) -> None:
        """Read the messages: the first error, and the buffers that elements report to have dropped."""
        bus, kinds = self._pipeline.get_bus(), self._gst.MessageType
        while (message := bus.pop_filtered(kinds.QOS | kinds.ERROR)) is not None:
            if message.type == kinds.ERROR:
                self._error = self._error or message
                continue
            unit, _, dropped = message.parse_qos_stats()
            name, known = message.src.get_name(), self._late.get(message.src.get_name(), 0)
            if unit == self._gst.Format.BUFFERS and known < dropped < _UNKNOWN:
                self._lose("late", dropped - known)
                self._late[name] = dropped

    def _lose(self, reason: str, count: int) -> None:
        self.lost += count
        self._damaged = True
        self._dropped[reason] = self._dropped.get(reason, 0) + count

    def _silent(self, limit_s: float) -> Fault:
        return Fault(
            "video-timeout",
            f"{self._address.shown} delivered no frame for {limit_s:.3g} s",
            next_step="try it with: gst-launch-1.0 PIPELINE ! videoconvert ! fakesink",
            passing=True,
        )

    def close(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.set_state(self._gst.State.NULL)
