"""The header of a container: its video stream, frame rate, length and start time."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsFloat

from ..errors import InputError
from ._containers import not_a_video
from ._time import FALLBACK_RATE, TimeBase

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Disposition, Stream
    from av.video.stream import VideoStream

_NO_TIMESTAMPS, _DISCONTINUOUS = 0x0080, 0x0200  # AVFMT_NOTIMESTAMPS, AVFMT_TS_DISCONT
MAX_PIXELS = 1 << 26  # per frame, 8192 x 8192: a few bytes of a malicious file can declare a frame of any size
MAX_STREAMS = 256


def choose_stream(container: InputContainer, name: str, *, rate: float | None) -> VideoStream:
    """Return the video stream of an opened container.

    Args:
        container: The container.
        name: Name of the source for messages.
        rate: Frames per second that the caller has set; None if not set.

    Raises:
        InputError: There is no usable video stream.
    """
    if container.format.name.endswith("_pipe") or container.format.name in ("image2", "tty"):
        raise not_a_video(name, container.format.name)
    # Cover images of audio files are streams of type video as well.
    import av.stream

    cover = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & cover]
    if len(container.streams) > MAX_STREAMS:
        raise too_many_streams(name)
    if not streams:
        kinds = " and ".join(sorted({_kind(other, cover) for other in container.streams})) or "no stream"
        raise InputError(
            "video-no-stream",
            f"{name} contains {kinds} but no video",
            required="a file or stream with video",
            next_step="check how it was recorded",
        )
    best = container.streams.best("video")
    stream = next((one for one in streams if one == best), streams[0])
    if stream.codec_context is None:
        raise InputError(
            "video-codec",
            f"{name} has a video codec that the FFmpeg libraries of this PyAV cannot decode",
            "H.264, H.265, VP9, AV1, MPEG-4, MJPEG, ...",
            "convert it, for example to H.264",
        )
    if rate is not None and is_stamped(container):
        raise InputError(
            "video-rate",
            f"`rate={rate:g}` cannot be used with {name}: its container ({container.format.name}) carries time stamps",
            "streams without time stamps: raw H.264, H.265 or MPEG video, MJPEG",
            "leave out `rate`",
        )
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    width, height = stream.codec_context.width, stream.codec_context.height
    check_frame_size(name, width, height)
    return stream


def check_frame_size(name: str, width: int, height: int) -> None:
    """Raise InputError for frames that are too large to be decoded or converted."""
    if width * height > MAX_PIXELS:
        raise InputError(
            "video-size",
            f"{name} has frames of {width} x {height} pixels",
            f"up to {MAX_PIXELS} pixels per frame",
            "scale the video down",
        )


def too_many_streams(name: str) -> InputError:
    """The error for a container with too many streams."""
    return InputError(
        "video-streams",
        f"{name} has more than {MAX_STREAMS} streams, or needs more memory than is available",
        f"up to {MAX_STREAMS} streams",
        "copy the stream that you need, for example with: ffmpeg -i IN -map 0:v:0 -c copy OUT.mkv",
    )


class Header:
    """The header of an opened container and its video stream.

    Args:
        container: The container of PyAV.
        stream: Its video stream.
        live: Whether the source is live.
        rate: Frames per second that the caller has set; None if not set.
        recorded: Whether the source has a known end. None: ask FFmpeg.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        *,
        live: bool,
        rate: float | None,
        recorded: bool | None = None,
    ) -> None:
        self._container, self._stream, self._live, self._declared_rate = container, stream, live, rate
        self._recorded = recorded

    @property
    def form(self) -> str:
        """FFmpeg's name of the container format."""
        return self._container.format.name

    @property
    def stamped(self) -> bool:
        """Whether the container carries time stamps, or a rate that replaces them."""
        return is_stamped(self._container)

    @property
    def recorded(self) -> bool:
        """Whether the source has a known end: a file, local or behind an address."""
        if self._recorded is not None:
            return self._recorded
        if not self._live:
            return True
        try:
            return int(self._container.size or 0) > 0
        except (OSError, ValueError, RuntimeError):
            return False

    @property
    def rate(self) -> float:
        """Nominal frames per second; 0 if unknown or implausible."""
        if not self.stamped:
            estimate = number(self._stream.guessed_rate)
            estimate = estimate if 0.01 <= estimate <= 1000 else FALLBACK_RATE
            return self._declared_rate or self._codec_rate or estimate
        rates = [self._stream.average_rate, self._stream.guessed_rate, self._stream.base_rate]
        if self.form == "avi":
            rates[:2] = rates[1::-1]  # the average counts chunks without data
        for rate in rates:
            if 0.01 <= number(rate) <= 1000:
                return number(rate)
        return 0.0

    @property
    def _codec_rate(self) -> float:
        """Frames per second declared in the video data; 0 if absent."""
        rate = number(self._stream.codec_context.framerate)
        return rate if 0.01 <= rate <= 1000 else 0.0

    @property
    def duration_s(self) -> float | None:
        """Length in seconds according to the header."""
        return self.video_s or self._whole_s

    @property
    def video_s(self) -> float | None:
        """Length of the video in seconds according to the header; None if only that of the container is declared."""
        length = 0 if self._first_fragment else self._stream.duration or 0
        if self.form == "avi":  # FFmpeg halves the length of a truncated file, not the count
            length = max(length, self._stream.frames)
        if length and self._stream.time_base:
            return float(length * self._stream.time_base)
        return self._whole_s if len(self._container.streams) == 1 else None

    @property
    def _whole_s(self) -> float | None:
        """Length of the container in seconds."""
        duration = None if self._first_fragment else self._container.duration
        return duration / 1e6 if duration else None

    @property
    def _first_fragment(self) -> bool:
        """Whether lengths are those of the first fragment only: FFmpeg reads no further in a fragmented MP4 without
        seeking."""
        return not self.recorded and self.form.startswith("mov") and not self._stream.frames

    def time_base(self, *, starts: bool, first_s: float | None, arrival: bool) -> TimeBase:
        """Return how time stamps of this container become media time.

        Args:
            starts: Whether media time 0 is the start of the container.
            first_s: Earliest time stamp of the video in seconds.
            arrival: Whether times of arrival replace time stamps.
        """
        if not self.stamped:
            start_s = None if arrival else 0.0
            return TimeBase(start_s=start_s, first_s=start_s, assumed_rate=self._assumed_rate, arrival=arrival)
        start = self._container.start_time
        start_s = None if start is None or not starts else start / 1e6
        whole_s = self._whole_s
        begin, base = self._stream.start_time, self._stream.time_base
        begin_s = start_s if begin is None or base is None else float(begin * base)
        end_s = most_s = None
        early_s = 0.0
        if whole_s is not None and start_s is not None:
            most_s = start_s + whole_s
            # Some programs write the time of the last frame into a Matroska header, others the length.
            if self.form.startswith("matroska"):
                early_s = max(start_s, 0.0)
        if self.video_s is not None and begin_s is not None:
            end_s = begin_s + self.video_s
        return TimeBase(
            start_s=start_s,
            first_s=first_s,
            end_s=end_s,
            most_s=most_s,
            early_s=early_s,
            discontinuous=bool(int(self._container.format.flags) & _DISCONTINUOUS),
        )

    @property
    def _assumed_rate(self) -> float | None:
        """Assumed rate of a recorded stream without time stamps; None if the rate is declared."""
        if self._declared_rate or self._codec_rate or not self.recorded:
            return None
        return self.rate


def is_stamped(container: InputContainer) -> bool:
    """Return whether a container carries time stamps, or a rate that replaces them."""
    return not int(container.format.flags) & _NO_TIMESTAMPS


def number(rational: SupportsFloat | None) -> float:
    """Convert a rational of PyAV to a float; 0 if it is absent or undefined."""
    try:
        return float(rational) if rational else 0.0
    except ZeroDivisionError:
        return 0.0


def _kind(stream: Stream, cover: Disposition) -> str:
    return "a cover image" if stream.disposition & cover else str(stream.type)
