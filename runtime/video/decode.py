"""Reading a video with PyAV: from an address to upright RGB frames with time stamps."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..credentials.redact import Address
from ..errors import InputError
from ._decoded import Converter, DecodedFrame
from ._decoding import Decoding
from ._faults import Fault, explain
from ._frames import AUTO, SOFTWARE, VideoInfo
from ._hardware import Accelerator, open_decoder, unsuited
from ._header import Header, choose_stream, too_many_streams
from ._opening import Input, OpenEntry, ffmpeg_name, load_av, open_container
from ._selection import Shows
from ._stamps import ArrivalStamper, Stamper, make_stamper, spread
from ._time import TimeBase
from .packets import PacketTap

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from ._stamps import Packets, VideoPacket

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
        decoder: See `VideoOptions`.
        rate: Frames per second of a stream without time stamps.
        packets: See `VideoOptions`.

    Attributes:
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
        decoder: str = SOFTWARE,
        rate: float | None = None,
        packets: PacketTap | None = None,
    ) -> None:
        self._address, self._dropped, self._live = address, dropped, live
        self._options, self._form, self._limits, self._threads = options or {}, form, limits, threads
        self._declared_rate, self._decoder, self._tap = rate, decoder, packets
        self._accelerator: Accelerator | None = None
        self._container: InputContainer | None = None
        self._packets: Packets | None = None
        self._decoding: Decoding | None = None
        self._opened_at = self._read_s = 0.0  # when opening began; time spent waiting for the last packet
        self.ended_by: Fault | None = None

    _stream: VideoStream  # set by `open`, as the next three
    _header: Header
    _stamper: Stamper
    _convert: Converter
    _io_open: OpenEntry | None = None  # opens the entries of a playlist
    _recorded: bool | None = None  # whether the source has a known end; None: ask FFmpeg

    def open(self) -> None:
        """Raises InputError."""
        av = load_av()
        self._accelerator = open_decoder(self._decoder)
        self._convert = Converter(semi_planar=self._accelerator is not None)
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
                accelerator=None if self._accelerator is None else self._accelerator.context,
            )
        except (av.FFmpegError, OSError, ValueError, RuntimeError) as error:
            fault = explain(error, self._address, waited_s=time.monotonic() - began, limit_s=self._limits[0])
            if getattr(error, "errno", None) == errno.ENOMEM:  # too many streams, in older versions
                fault = Fault.of(too_many_streams(self._address.shown))
        if fault is not None:
            raise fault.error()
        try:
            self._stream = choose_stream(container, self._address.shown, rate=self._declared_rate)
            if self.strict and not self._stream.codec_context.is_hwaccel:
                raise self.unsuited()
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
        if self._tap is not None:
            self._stream.codec_context.copy_opaque = True
            self._tap.begin(container, self._stream)

    @property
    def strict(self) -> bool:
        """Whether a hardware decoder was named, which must then be used."""
        return self._decoder not in (SOFTWARE, AUTO)

    def unsuited(self) -> InputError:
        """The error for a video that the named hardware decoder does not decode."""
        return unsuited(self._decoder, self._address.shown, self._stream.codec_context.codec.canonical_name)

    def _input(self) -> Input:
        """Return what FFmpeg opens: an address or a file object. Subclasses may set options and form here."""
        return ffmpeg_name(self._address)

    @property
    def tags(self) -> tuple[dict[str, str], dict[str, str]]:
        """Metadata of the container and of its video stream."""
        return self._container.metadata if self._container is not None else {}, self._stream.metadata

    def watch(self, shows: Shows) -> None:
        """Decode only what is needed from now on. shows: whether a cell may show a frame."""
        if self._decoding is not None:
            self._decoding.shows = shows

    @property
    def frames(self) -> int:
        """Frames so far."""
        return 0 if self._decoding is None else self._decoding.frames

    @property
    def omitted(self) -> int:
        """Of these, frames that were not decoded, because no cell shows them and no other frame needs them."""
        return 0 if self._decoding is None else self._decoding.omitted

    @property
    def announced(self) -> int:
        """Number of frames in the header beyond those so far; 0 without a frame count."""
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
            rotation=0 if self._decoding is None else self._decoding.turn.degrees,
            live=self._live,
            decoder=SOFTWARE if self._accelerator is None else self._accelerator.at_work(self._stream.codec_context),
            time=self._time_base(first),
        )

    def _time_base(self, first: DecodedFrame) -> TimeBase:
        """How stamps of this container become media time."""
        late_s = self._stamper.late_s
        first_s = None if self._decoding is None or late_s else self._decoding.first_s
        base = self._header.time_base(
            starts=self._address.kind not in ("rtsp", "camera"),
            first_s=first.raw_s if first_s is None else first_s,
            arrival=isinstance(self._stamper, ArrivalStamper),
        )
        if late_s and base.end_s is not None:
            base = replace(base, end_s=base.end_s + late_s)
        return base

    @property
    def lost(self) -> int:
        """Number of frames lost since the last frame."""
        return 0 if self._decoding is None else self._decoding.lost

    def decoded_frames(self) -> Iterator[DecodedFrame | None]:
        """Yield frames in presentation order, and None for each packet without a frame. See `ended_by` afterwards."""
        stamper = self._stamper = make_stamper(self._stream, self._header, self._declared_rate)
        threads = int(self._stream.codec_context.thread_count)
        decoding = self._decoding = Decoding(
            self._stream,
            stamper,
            self._convert,
            self._dropped,
            queued=0 if self._live else max(threads - 1, 0),
            waits=self._header.recorded or self._form == "hls",
            packets=self._tap,
        )
        if isinstance(stamper, ArrivalStamper):
            return spread(self._all(decoding), lambda: self._read_s, since=self._opened_at)
        return self._all(decoding)

    def _all(self, decoding: Decoding) -> Iterator[DecodedFrame | None]:
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
                yield from decoding.take(None)
                decoding.fail()
                if self._live or decoding.faults >= MAX_FAULTS:
                    self.ended_by = fault
                    break
                continue
            if packet is None:
                break
            yield from decoding.take(packet)
        yield from decoding.finish()

    def _read(self) -> VideoPacket | None:
        """Return the next video packet, None at the end. Live: of any stream, so that the caller regains control."""
        if self._packets is None:
            if self._container is None:
                return None
            every = self._live or (self._tap is not None and self._tap.sound)
            self._packets = self._container.demux() if every else self._container.demux(self._stream)
        try:
            for packet in self._packets:
                if packet.size:  # the demuxer ends with empty packets; the decoder is flushed once, at the end
                    return packet
        except IndexError:
            pass  # at the end, PyAV asks for streams that appeared after opening because of damaged data
        return None

    def close(self) -> None:
        container, self._container = self._container, None
        self._packets = None
        if container is not None:
            container.close()
