"""From bytes to upright RGB frames with their stamps, through PyAV. Broken packets are skipped and counted.

PyAV is imported when the first source opens, never before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ..errors import InputError, MissingDependencyError
from ._containers import SELF_CONTAINED
from ._faults import Fault, explain
from ._frames import VideoInfo
from ._picture import Converter, Picture, Turn, pixel_aspect
from ._stamps import ArrivalStamper, CountingStamper, Stamper
from ._time import FALLBACK_RATE, TimeBase
from .redact import Address

_NO_TIMESTAMPS, _DISCONTINUOUS = 0x0080, 0x0200  # AVFMT_NOTIMESTAMPS, AVFMT_TS_DISCONT
MAX_SIDE = 16384  # pixels; a damaged header may claim any size
MAX_PIXELS = 1 << 26  # of a frame, 8192 x 8192: a few bytes of a hostile file stand for as many as its header claims
MAX_STREAMS = 256
MAX_FAULTS = 1000  # unreadable packets in a row after which a file counts as ended


class VideoReader:
    """One opened container and its video stream. open, then pictures, then close; all from one thread.

    options: FFmpeg's. form: its name of the container, None: find out. limits: seconds for opening and for each read.
    dropped: counters by reason, shared with the source. rate: frames a second of a stream that carries no time stamps.
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
        self._given_rate = rate
        self._container: Any = None
        self._stream: Any = None
        self._turn = Turn()
        self._rotation: int | None = None
        self._size, self._aspect = (0, 0), 1.0
        self._convert: Any = None
        self._packets: Iterator[Any] | None = None
        self._lost = 0
        self._faults = 0
        self._damaged = False  # something was corrupt or missing since the last picture
        self._first_s: float | None = None  # earliest stamp of the packets up to the first picture
        self._stamper: Stamper | None = None
        self.frames = 0
        """Frames decoded so far."""
        self.ended_by: Fault | None = None
        """What ended `pictures`, when it was not the end of the stream."""

    def open(self) -> None:
        """Raises InputError."""
        av = load_av()
        self._convert = Converter()
        if self._address.secret:
            av.logging.set_level(None)  # FFmpeg's messages name addresses
        options = {**self._options, "max_streams": str(MAX_STREAMS + 1)}
        if self._address.kind == "file":
            options["format_whitelist"] = SELF_CONTAINED
        named: dict[str, Any] = {}
        if int(av.__version__.partition(".")[0]) < 19:
            named["metadata_errors"] = "replace"  # later versions keep any bytes by themselves
        fault: Fault | None = None
        began = time.monotonic()
        try:
            self._container = av.open(
                ffmpeg_name(self._address),
                mode="r",
                format=self._form,
                options=options,
                timeout=self._limits,
                **named,
            )
        except (av.FFmpegError, OSError, ValueError, RuntimeError) as error:
            fault = explain(error, self._address, waited_s=time.monotonic() - began, limit_s=self._limits[0])
        if fault is not None:
            raise fault.error()
        try:
            self._choose()
        except InputError:
            self.close()
            raise

    def _choose(self) -> None:
        name, container = self._address.shown, self._container
        if container.format.name.endswith("_pipe") or container.format.name in ("image2", "tty"):
            raise InputError(
                "video-picture",
                f"{name} is a picture or text ({container.format.name})",
                "a video",
                "give a video file",
            )
        # Cover pictures of audio files are streams of type video as well.
        import av.stream

        cover = av.stream.Disposition.attached_pic
        streams = [stream for stream in container.streams.video if not stream.disposition & cover]
        if len(container.streams) > MAX_STREAMS:
            raise InputError(
                "video-streams",
                f"{name} has more than {MAX_STREAMS} streams",
                f"up to {MAX_STREAMS} streams",
                "copy the one that is wanted, for example with: ffmpeg -i IN -map 0:v:0 -c copy OUT.mkv",
            )
        if not streams:
            kinds = " and ".join(sorted({_kind(stream, cover) for stream in container.streams})) or "no stream"
            raise InputError(
                "video-no-stream",
                f"{name} holds {kinds} and no video",
                "a file or stream with video",
                "check what was recorded",
            )
        best = container.streams.best("video")
        self._stream = best if best in streams else streams[0]
        if self._stream.codec_context is None:
            raise InputError(
                "video-codec",
                f"{name}: FFmpeg of this PyAV cannot decode its video",
                "H.264, H.265, VP9, AV1, MPEG-4, MJPEG, ...",
                "convert it, for example to H.264",
            )
        if self._given_rate is not None and self._stamped:
            raise InputError(
                "video-rate",
                f"a rate of {self._given_rate:g} frames a second for {name}, whose container carries time stamps"
                f" ({container.format.name})",
                "a rate for streams without time stamps: raw H.264, H.265 or MPEG video, MJPEG",
                "leave the rate out (--fps)",
            )
        self._stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        width, height = self._stream.codec_context.width, self._stream.codec_context.height
        if width * height > MAX_PIXELS:
            raise InputError(
                "video-size",
                f"{name} has frames of {width} x {height} pixels",
                f"up to {MAX_PIXELS} pixels a frame",
                "scale it down",
            )
        # Threads over frames delay the output by a frame each, which a live source cannot afford.
        self._stream.thread_type = "SLICE" if self._live else "AUTO"
        self._stream.thread_count = self._threads

    @property
    def _stamped(self) -> bool:
        """Whether the container carries time stamps, or a rate that takes their place."""
        return not bool(int(self._container.format.flags) & _NO_TIMESTAMPS)

    @property
    def _recorded(self) -> bool:
        """Whether the source has an end that is known: a file, here or behind an address."""
        if not self._live:
            return True
        try:
            return int(self._container.size or 0) > 0
        except (OSError, ValueError, RuntimeError):
            return False

    @property
    def rate(self) -> float:
        """Nominal frames a second, 0 when unknown or absurd."""
        if not self._stamped:
            return self._given_rate or self._codec_rate or _number(self._stream.guessed_rate) or FALLBACK_RATE
        for rate in (self._stream.average_rate, self._stream.guessed_rate, self._stream.base_rate):
            if 0.01 <= _number(rate) <= 1000:
                return _number(rate)
        return 0.0

    @property
    def _codec_rate(self) -> float:
        """What the video itself says about its rate, 0 where it says nothing."""
        rate = _number(self._stream.codec_context.framerate)
        return rate if 0.01 <= rate <= 1000 else 0.0

    @property
    def duration_s(self) -> float | None:
        """What the header claims."""
        return self.video_s or (self._container.duration / 1e6 if self._container.duration else None)

    @property
    def video_s(self) -> float | None:
        """How long the video is by the header, None when only the length of everything together is known."""
        if self._stream.duration and self._stream.time_base:
            return float(self._stream.duration * self._stream.time_base)
        alone = len(self._container.streams) == 1 and self._container.duration
        return self._container.duration / 1e6 if alone else None

    @property
    def announced(self) -> int:
        """Frames that the header announces beyond those decoded, 0 when it announces none."""
        return max(int(self._stream.frames or 0) - self.frames, 0)

    def info(self, first: Picture) -> VideoInfo:
        """What is known with the first picture."""
        height, width, _ = first.image().shape
        return VideoInfo(
            width=width,
            height=height,
            rate=self.rate,
            duration_s=self.duration_s,
            codec=str(self._stream.codec_context.name),
            rotation=self._turn.degrees,
            live=self._live,
            time=self._time(first),
        )

    def _time(self, first: Picture) -> TimeBase:
        """How stamps of this container become media time."""
        if not self._stamped:
            start_s = None if isinstance(self._stamper, ArrivalStamper) else 0.0
            arrival = start_s is None
            return TimeBase(start_s=start_s, first_s=start_s, assumed_rate=self._assumed_rate, arrival=arrival)
        start = self._container.start_time
        start_s = None if start is None or self._address.kind in ("rtsp", "camera") else start / 1e6
        duration = self._container.duration
        begin_s = self._stream.start_time
        begin_s = start_s if begin_s is None else float(begin_s * self._stream.time_base)
        end_s = most_s = None
        if duration is not None and start_s is not None:
            most_s = start_s + duration / 1e6
        if self.video_s is not None and begin_s is not None:
            end_s = begin_s + self.video_s
        return TimeBase(
            start_s=start_s,
            first_s=first.raw_s if self._first_s is None else self._first_s,
            end_s=end_s,
            most_s=most_s,
            discontinuous=bool(int(self._container.format.flags) & _DISCONTINUOUS),
        )

    @property
    def _assumed_rate(self) -> float | None:
        """The rate of a recorded stream without time stamps where nothing tells it, None where something does."""
        if self._given_rate or self._codec_rate or not self._recorded:
            return None
        return self.rate

    @property
    def lost(self) -> int:
        """Frames lost since the last picture."""
        return self._lost

    def pictures(self) -> Iterator[Picture | None]:
        """Pictures in the order of presentation; None for each packet that gave none. See `ended_by` afterwards."""
        av = load_av()
        while True:
            began = time.monotonic()
            fault: Fault | None = None
            try:
                packet = self._read()
            except (av.FFmpegError, OSError, ValueError, RuntimeError) as error:
                self._packets = None
                waited_s = time.monotonic() - began
                fault = explain(error, self._address, waited_s=waited_s, limit_s=self._limits[1], reading=True)
            if fault is not None:
                self._faults += 1
                self._damaged = True
                self._count("unreadable")
                if self._live or self._faults >= MAX_FAULTS:
                    self.ended_by = fault
                    break
                continue
            if packet is None:
                break
            yield from self._decode(packet)
        yield from self._decode(None)

    def _read(self) -> Any:
        """The next packet of the video, None at the end. Live: of any stream, so that the caller can look around."""
        if self._packets is None:
            self._packets = self._container.demux() if self._live else self._container.demux(self._stream)
        try:
            for packet in self._packets:
                if packet.size:  # the demuxer ends with empty packets; we flush once, after everything
                    return packet
        except IndexError:
            pass  # PyAV asks, at the very end, for streams that damaged data made up after opening
        return None

    def _decode(self, packet: Any) -> Iterator[Picture | None]:
        av = load_av()
        stamper = self._stamper
        if stamper is None:
            stamper = self._stamper = self._make_stamper()
        if packet is not None:
            if packet.stream.index != self._stream.index:
                yield None
                return
            if packet.is_corrupt:  # bytes are missing around it; what is left may well decode
                self._count("corrupt-packets")
                self._damaged = True
            if not self.frames:
                self._note(packet, stamper)
        frames: list[Any] = []
        try:
            frames = self._stream.decode(packet)
        except EOFError:
            pass  # flushed before
        except (av.FFmpegError, ValueError, RuntimeError):
            self._faults += 1
            self._lose("not-decodable")
        given, context = False, self._stream.codec_context
        queued = 0 if self._live else max(int(context.thread_count) - 1, 0)
        for frame in frames:
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
                aspect = pixel_aspect(_number(self._stream.sample_aspect_ratio))
                self._aspect = 1 / aspect if self._turn.transpose else aspect
            raw_s, shown_s = stamper.stamp(frame, lost=self._lost, held=context.reorder_depth, queued=queued)
            picture = Picture(frame, self._convert, self._turn, self._lost, raw_s, shown_s, self._aspect, self._damaged)
            self._lost, self._faults, self._damaged, given = 0, 0, False, True
            self.frames += 1
            yield picture
        if not given:
            yield None

    def _make_stamper(self) -> Stamper:
        base = _number(self._stream.time_base)
        if self._stamped:
            return Stamper(base, decoding_only=self._container.format.name == "avi")
        if self._recorded or self._given_rate:
            return CountingStamper(base, 1 / self.rate)
        return ArrivalStamper(base)

    def _note(self, packet: Any, stamper: Stamper) -> None:
        """Remember the earliest stamp of what came before the first picture."""
        stamper.note(packet)
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is not None and packet.time_base and not packet.is_discard:
            at = float(stamp * packet.time_base)
            self._first_s = at if self._first_s is None else min(self._first_s, at)

    def _lose(self, reason: str) -> None:
        self._lost += 1
        self._damaged = True
        self._count(reason)

    def _count(self, reason: str) -> None:
        self._dropped[reason] = self._dropped.get(reason, 0) + 1

    def close(self) -> None:
        container, self._container = self._container, None
        self._packets = None
        if container is not None:
            container.close()


def _kind(stream: Any, cover: Any) -> str:
    return "a cover picture" if stream.disposition & cover else str(stream.type)


def _number(rational: Any) -> float:
    """A rational of PyAV as a float; 0 where it is absent or undefined."""
    try:
        return float(rational) if rational else 0.0
    except ZeroDivisionError:
        return 0.0


def ffmpeg_name(address: Address) -> str:
    """The address as FFmpeg wants it; a file's name never selects a protocol."""
    return f"file:{address.target}" if address.kind == "file" else address.target


def load_av() -> Any:
    """PyAV, or MissingDependencyError."""
    try:
        import av
    except ImportError:
        raise MissingDependencyError("av", "video", "video input") from None
    return av
