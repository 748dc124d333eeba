"""From bytes to upright RGB frames with their stamps, through PyAV. Broken packets are skipped and counted.

PyAV is imported when the first source opens, never before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import InputError, MissingDependencyError
from ._faults import Fault, explain
from ._frames import VideoInfo
from ._picture import Converter, Picture, Turn
from .redact import Address

MAX_SIDE = 16384  # pixels; a damaged header may claim any size
MAX_FAULTS = 1000  # unreadable packets in a row after which a file counts as ended


class VideoReader:
    """One opened container and its video stream. open, then pictures, then close; all from one thread.

    options: FFmpeg's. form: its name of the container, None: find out. limits: seconds for opening and for each read.
    dropped: counters by reason, shared with the source.
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
    ) -> None:
        self._address, self._dropped, self._live = address, dropped, live
        self._options, self._form, self._limits, self._threads = options or {}, form, limits, threads
        self._container: Any = None
        self._stream: Any = None
        self._turn = Turn()
        self._rotation: int | None = None
        self._convert: Any = None
        self._packets: Iterator[Any] | None = None
        self._lost = 0
        self._faults = 0
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
        fault: Fault | None = None
        began = time.monotonic()
        try:
            self._container = av.open(
                self._input(),
                mode="r",
                format=self._form,
                options=self._options,
                timeout=self._limits,
                metadata_errors="replace",
                io_open=self._io_open,
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

    _io_open: Callable[[str, int, dict[str, str]], Any] | None = None  # opens what a playlist names

    def _input(self) -> Any:
        """What FFmpeg opens: an address, or an object to read from. Subclasses may set options and form here."""
        return ffmpeg_name(self._address)

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
        if not streams:
            kinds = " and ".join(sorted({str(stream.type) for stream in container.streams})) or "no stream"
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
        # Threads over frames delay the output by a frame each, which a live source cannot afford.
        self._stream.thread_type = "SLICE" if self._live else "AUTO"
        self._stream.thread_count = self._threads

    @property
    def rate(self) -> float:
        """Nominal frames a second, 0 when unknown or absurd."""
        for rate in (self._stream.average_rate, self._stream.guessed_rate, self._stream.base_rate):
            if rate and 0.01 <= float(rate) <= 1000:
                return float(rate)
        return 0.0

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
        )

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
        if packet is not None:
            if packet.stream.index != self._stream.index:
                yield None
                return
            if packet.is_corrupt:  # bytes are missing around it; what is left may well decode
                self._count("corrupt-packets")
        frames: list[Any] = []
        try:
            frames = self._stream.decode(packet)
        except EOFError:
            pass  # flushed before
        except (av.FFmpegError, ValueError, RuntimeError):
            self._faults += 1
            self._lose("not-decodable")
        given = False
        for frame in frames:
            if frame.is_corrupt or not (0 < frame.width <= MAX_SIDE and 0 < frame.height <= MAX_SIDE):
                self._lose("corrupt")
                continue
            if frame.rotation != self._rotation:
                self._rotation, self._turn = frame.rotation, Turn.of(frame)
            picture = Picture(frame, self._convert, self._turn, self._lost, self._stream.time_base)
            self._lost, self._faults, given = 0, 0, True
            self.frames += 1
            yield picture
        if not given:
            yield None

    def _lose(self, reason: str) -> None:
        self._lost += 1
        self._count(reason)

    def _count(self, reason: str) -> None:
        self._dropped[reason] = self._dropped.get(reason, 0) + 1

    def close(self) -> None:
        container, self._container = self._container, None
        self._packets = None
        if container is not None:
            container.close()


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
