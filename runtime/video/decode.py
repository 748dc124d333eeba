"""Decoding with PyAV: bytes to upright RGB frames with time stamps. Damaged packets are skipped and counted.

Packets that are not needed for any frame on the sampling grid are not decoded, see `_selection`. Their frames take part
in the time line like all others, but without an image.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..credentials.redact import Address
from ..errors import InputError
from ._decoded import Converter, DecodedFrame, OmittedFrame, Turn, pixel_aspect
from ._faults import Fault, explain
from ._frames import VideoInfo
from ._header import MAX_PIXELS, Header, choose_stream, number, too_many_streams
from ._opening import Input, OpenEntry, ffmpeg_name, load_av, open_container
from ._references import references
from ._selection import Selection, Shows
from ._stamps import ArrivalStamper, Stamper, make_stamper, spread
from ._time import TimeBase

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from ._stamps import Packets, VideoPacket

MAX_SIDE = 16384  # pixels; a damaged header may claim any size
MAX_FAULTS = 1000  # unreadable packets in a row after which a file counts as ended


class VideoReader:
    """One opened container and its video stream: `open`, then `decoded_frames`, then `close`, all from one thread.

    Args:
        address: What to open.
        dropped: Counters by reason, shared with the source.
        live: Whether the source is live.
        options: Options for FFmpeg.
        form: FFmpeg's name of the container format. None detects it.
        limits: Time limits in seconds for opening and for each read.
        threads: Number of decoder threads; 0 lets FFmpeg choose.
        rate: Frames per second of a stream without time stamps.

    Attributes:
        shows: Whether a cell may show a frame; set by the owner once it can tell. None decodes every packet.
        frames: Frames so far.
        omitted: Of these, frames that were not decoded.
        ended_by: Why `decoded_frames` stopped, if not at the end of the stream.
    """

    def __init__(
        self,
        address: Address,
        *,
        dropped: dict[str, int],
        live: bool,
        options: dict[str, str] | None = None,
        form: str | None = None,
        limits: tuple[float, float] = (10.0, 5.0),
        threads: int = 0,
        rate: float | None = None,
    ) -> None:
        self._address, self._dropped, self._live = address, dropped, live
        self._options, self._form, self._limits, self._threads = options or {}, form, limits, threads
        self._declared_rate = rate
        self._container: InputContainer | None = None
        self._turn = Turn()
        self._rotation: int | None = None
        self._size, self._aspect = (0, 0), 1.0
        self._packets: Packets | None = None
        self._lost = 0
        self._faults = 0
        self._damaged = False  # data was corrupt or missing since the last frame
        self._first_s: float | None = None  # earliest stamp among the packets up to the first frame
        self._stamper = Stamper(0.0)
        self._opened_at = self._read_s = 0.0  # when opening began; time spent waiting for the last packet
        self._selection: Selection | None = None
        self._latest: DecodedFrame | None = None
        self.shows: Shows | None = None
        self.frames = self.omitted = 0
        self.ended_by: Fault | None = None

    _stream: VideoStream  # set by `open`, as the next two
    _header: Header
    _convert: Converter
    _io_open: OpenEntry | None = None  # opens the entries of a playlist
    _recorded: bool | None = None  # whether the source has a known end; None: ask FFmpeg

    def open(self) -> None:
        """Raises InputError."""
        av = load_av()
        self._convert = Converter()
        if self._address.secret:
            av.logging.set_level(None)  # messages of FFmpeg contain addresses
        fault: Fault | None = None
        began = self._opened_at = time.monotonic()
        try:
            target = self._input()  # may set options, form and limits
            container = self._container = open_container(
                target,
                self._address,
                options=self._options,
                form=self._form,
                limits=self._limits,
                io_open=self._io_open,
            )
        except (av.FFmpegError, OSError, ValueError, RuntimeError) as error:
            fault = explain(error, self._address, waited_s=time.monotonic() - began, limit_s=self._limits[0])
            if getattr(error, "errno", None) == errno.ENOMEM:  # too many streams, in older versions
                fault = Fault.of(too_many_streams(self._address.shown))
        if fault is not None:
            raise fault.error()
        try:
            self._stream = choose_stream(container, self._address.shown, rate=self._declared_rate)
        except InputError:
            self.close()
            raise
        self._header = Header(
            container, self._stream, live=self._live, rate=self._declared_rate, recorded=self._recorded
        )
        # Frame threads delay the output by one frame each, which is too much for a live source.
        kinds = av.codec.context.ThreadType
        self._stream.thread_type = kinds.SLICE if self._live else kinds.AUTO
        self._stream.thread_count = self._threads

    def _input(self) -> Input:
        """Return what FFmpeg opens: an address or a file object. Subclasses may set options and form here."""
        return ffmpeg_name(self._address)

    @property
    def tags(self) -> tuple[dict[str, str], dict[str, str]]:
        """Metadata of the container and of its video stream."""
        return self._container.metadata if self._container is not None else {}, self._stream.metadata

    @property
    def announced(self) -> int:
        """Number of frames in the header beyond those decoded; 0 without a frame count."""
        return max(int(self._stream.frames or 0) - self.frames, 0)

    def info(self, first: DecodedFrame) -> VideoInfo:
        """Describe the video once its first frame has been decoded."""
        height, width, _ = first.image().shape
        return VideoInfo(
            width=width,
            height=height,
            rate=self._header.rate,
            duration_s=self._header.duration_s,
            codec=str(self._stream.codec_context.name),
            rotation=self._turn.degrees,
            live=self._live,
            time=self._time_base(first),
        )

    def _time_base(self, first: DecodedFrame) -> TimeBase:
        """How stamps of this container become media time."""
        late_s = self._stamper.late_s
        base = self._header.time_base(
            starts=self._address.kind not in ("rtsp", "camera"),
            first_s=first.raw_s if self._first_s is None or late_s else self._first_s,
            arrival=isinstance(self._stamper, ArrivalStamper),
        )
        if late_s and base.end_s is not None:
            base = replace(base, end_s=base.end_s + late_s)
        return base

    @property
    def lost(self) -> int:
        """Number of frames lost since the last decoded frame."""
        return self._lost

    def decoded_frames(self) -> Iterator[DecodedFrame | None]:
        """Yield frames in presentation order, and None for each packet without a frame. See `ended_by` afterwards."""
        self._stamper = make_stamper(self._stream, self._header, self._declared_rate)
        self._selection = self._select()
        if isinstance(self._stamper, ArrivalStamper):
            return spread(self._all(), lambda: self._read_s, since=self._opened_at)
        return self._all()

    def _all(self) -> Iterator[DecodedFrame | None]:
        av = load_av()
        while True:
            began = time.monotonic()
            fault: Fault | None = None
            try:
                packet = self._read()
            except (av.FFmpegError, OSError, ValueError, RuntimeError) as error:
                packet, self._packets = None, None
                waited_s = time.monotonic() - began
                fault = explain(error, self._address, waited_s=waited_s, limit_s=self._limits[1], reading=True)
            self._read_s = time.monotonic() - began
            if fault is not None:
                yield from self._next(None)
                self._faults += 1
                self._damaged = True
                self._count("unreadable")
                if self._live or self._faults >= MAX_FAULTS:
                    self.ended_by = fault
                    break
                continue
            if packet is None:
                break
            yield from self._next(packet)
        yield from self._next(None)
        yield from self._decode(None)
        if self._selection is not None:
            yield from self._passed(self._selection.rest())

    def _read(self) -> VideoPacket | None:
        """Return the next video packet, None at the end. Live: of any stream, so that the caller regains control."""
        if self._packets is None:
            if self._container is None:
                return None
            self._packets = self._container.demux() if self._live else self._container.demux(self._stream)
        try:
            for packet in self._packets:
                if packet.size:  # the demuxer ends with empty packets; the decoder is flushed once, at the end
                    return packet
        except IndexError:
            pass  # at the end, PyAV asks for streams that appeared after opening because of damaged data
        return None

    def _next(self, packet: VideoPacket | None) -> Iterator[DecodedFrame | None]:
        """Process a packet once the one after it is known; None processes the last one."""
        if packet is not None and packet.stream.index != self._stream.index:
            yield None
            return
        if self._selection is not None:
            packet = self._selection.take(packet)
        if packet is not None:
            yield from self._decode(packet)

    def _decode(self, packet: VideoPacket | None) -> Iterator[DecodedFrame | None]:
        frames = [] if packet is not None and self._omits(packet) else self._send(packet)
        any_frame, context = False, self._stream.codec_context
        queued = 0 if self._live else max(int(context.thread_count) - 1, 0)
        for frame in frames:
            if self._selection is not None:
                yield from self._passed(self._selection.presented(frame.pts))
            if frame.width * frame.height > MAX_PIXELS:
                self._lose("too-large")
                continue
            if frame.is_corrupt or not (0 < frame.width <= MAX_SIDE and 0 < frame.height <= MAX_SIDE):
                self._lose("corrupt")
                continue
            if frame.rotation != self._rotation:
                self._rotation, self._turn = frame.rotation, Turn.of(frame)
                self._size = (0, 0)
            if (frame.width, frame.height) != self._size:
                self._size = (frame.width, frame.height)
                aspect = pixel_aspect(number(self._stream.sample_aspect_ratio))
                self._aspect = 1 / aspect if self._turn.transpose else aspect
            raw_s, shown_s = self._stamper.stamp(
                frame, lost=self._lost, held=context.reorder_depth, queued=queued, damaged=self._damaged
            )
            decoded = DecodedFrame(
                frame, self._convert, self._turn, self._lost, raw_s, shown_s, self._aspect, self._damaged
            )
            self._latest, any_frame = decoded, True
            yield self._count_frame(decoded)
        if not any_frame:
            yield None

    def _omits(self, packet: VideoPacket) -> bool:
        """Take note of a packet, and return whether it is left out."""
        stamper = self._stamper
        if packet.is_corrupt:  # bytes are missing around it; the rest may still decode
            self._count("corrupt-packets")
            self._damaged = True
        stamper.note(packet)
        if stamper.missing:
            self._lose("missing", stamper.missing)
            stamper.missing = 0
        if not self.frames:
            self._note(packet)
        return self._selection is not None and self._selection.omits(packet)

    def _send(self, packet: VideoPacket | None) -> list[VideoFrame]:
        """Decode a packet, or with None what the decoder still holds."""
        try:
            return self._stream.decode(packet)
        except EOFError:
            pass  # already flushed
        except (load_av().FFmpegError, ValueError, RuntimeError):
            self._faults += 1
            self._lose("not-decodable")
        return []

    def _passed(self, stamps: list[tuple[float, float]]) -> Iterator[DecodedFrame]:
        """Yield frames that were not decoded. Should one be shown after all, it shows the frame before it."""
        for raw_s, shown_s in stamps if self._latest is not None else ():
            self._stamper.omit(raw_s)
            self.omitted += 1
            yield self._count_frame(OmittedFrame(self._latest, self._lost, raw_s, shown_s, self._damaged))

    def _count_frame(self, frame: DecodedFrame) -> DecodedFrame:
        self._lost, self._faults, self._damaged = 0, 0, False
        self.frames += 1
        return frame

    def _select(self) -> Selection | None:
        """Return what selects the packets to decode; None if all are decoded.

        All are where a packet cannot wait for the next one, and where time stamps do not simply come from the packets.
        """
        context, base = self._stream.codec_context, number(self._stream.time_base)
        waits = self._header.recorded or self._form == "hls"
        reader = references(context.codec.canonical_name, context.extradata or b"")
        if reader is None or not base or not waits or type(self._stamper) is not Stamper:
            return None
        return Selection(reader, base, self._shows)

    def _shows(self, before_s: float, at_s: float, next_s: float) -> bool:
        if self.shows is None or not self._stamper.in_order:
            return True
        return self.shows(before_s, at_s, next_s)

    def _note(self, packet: VideoPacket) -> None:
        """Remember the earliest time stamp up to the first frame."""
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is not None and packet.time_base and not packet.is_discard:
            at = float(stamp * packet.time_base)
            self._first_s = at if self._first_s is None else min(self._first_s, at)

    def _lose(self, reason: str, count: int = 1) -> None:
        self._lost += count
        self._damaged = True
        self._count(reason, count)
        if self._selection is not None:
            self._selection.disturb()

    def _count(self, reason: str, count: int = 1) -> None:
        self._dropped[reason] = self._dropped.get(reason, 0) + count

    def close(self) -> None:
        container, self._container = self._container, None
        self._packets = None
        if container is not None:
            container.close()
