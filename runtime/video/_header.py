"""What the header of a container says: which stream is the video, how fast, how long, and where time starts."""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from ._time import FALLBACK_RATE, TimeBase

_NO_TIMESTAMPS, _DISCONTINUOUS = 0x0080, 0x0200  # AVFMT_NOTIMESTAMPS, AVFMT_TS_DISCONT
MAX_PIXELS = 1 << 26  # of a frame, 8192 x 8192: a few bytes of a hostile file stand for as many as its header claims
MAX_STREAMS = 256


def choose_stream(container: Any, name: str, *, rate: float | None) -> Any:
    """The video stream of an opened container. rate: what the caller says about it. Raises InputError."""
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
        raise too_many_streams(name)
    if not streams:
        kinds = " and ".join(sorted({_kind(other, cover) for other in container.streams})) or "no stream"
        raise InputError(
            "video-no-stream",
            f"{name} holds {kinds} and no video",
            "a file or stream with video",
            "check what was recorded",
        )
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if stream.codec_context is None:
        raise InputError(
            "video-codec",
            f"{name}: FFmpeg of this PyAV cannot decode its video",
            "H.264, H.265, VP9, AV1, MPEG-4, MJPEG, ...",
            "convert it, for example to H.264",
        )
    if rate is not None and is_stamped(container):
        raise InputError(
            "video-rate",
            f"--fps {rate:g} for {name}, whose container ({container.format.name}) carries time stamps",
            "a frame rate only for streams without time stamps: raw H.264, H.265 or MPEG video, MJPEG",
            "leave out --fps",
        )
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MAX_PIXELS:
        raise InputError(
            "video-size",
            f"{name} has frames of {width} x {height} pixels",
            f"up to {MAX_PIXELS} pixels a frame",
            "scale it down",
        )
    return stream


def too_many_streams(name: str) -> InputError:
    """The error for a container that is too expensive to open."""
    return InputError(
        "video-streams",
        f"{name} has more than {MAX_STREAMS} streams, or needs more memory than there is",
        f"up to {MAX_STREAMS} streams",
        "copy the one that is wanted, for example with: ffmpeg -i IN -map 0:v:0 -c copy OUT.mkv",
    )


class Header:
    """The header of an opened container and its video stream. rate: what the caller says about the stream. recorded:
    whether the source has an end that is known; None: FFmpeg knows."""

    def __init__(
        self, container: Any, stream: Any, *, live: bool, rate: float | None, recorded: bool | None = None
    ) -> None:
        self._container, self._stream, self._live, self._given_rate = container, stream, live, rate
        self._recorded = recorded

    @property
    def stamped(self) -> bool:
        """Whether the container carries time stamps, or a rate that takes their place."""
        return is_stamped(self._container)

    @property
    def recorded(self) -> bool:
        """Whether the source has an end that is known: a file, here or behind an address."""
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
        """Nominal frames a second, 0 when unknown or absurd."""
        if not self.stamped:
            guessed = number(self._stream.guessed_rate)
            guessed = guessed if 0.01 <= guessed <= 1000 else FALLBACK_RATE
            return self._given_rate or self._codec_rate or guessed
        rates = [self._stream.average_rate, self._stream.guessed_rate, self._stream.base_rate]
        if self._container.format.name == "avi":
            rates[:2] = rates[1::-1]  # the average counts chunks without data
        for rate in rates:
            if 0.01 <= number(rate) <= 1000:
                return number(rate)
        return 0.0

    @property
    def _codec_rate(self) -> float:
        """What the video itself says about its rate, 0 where it says nothing."""
        rate = number(self._stream.codec_context.framerate)
        return rate if 0.01 <= rate <= 1000 else 0.0

    @property
    def duration_s(self) -> float | None:
        """What the header claims."""
        return self.video_s or self._whole_s

    @property
    def video_s(self) -> float | None:
        """How long the video is by the header, None when only the length of everything together is known."""
        length = 0 if self._first_fragment else self._stream.duration or 0
        if self._container.format.name == "avi":  # FFmpeg halves the length of a file that looks cut, but not the count
            length = max(length, self._stream.frames)
        if length and self._stream.time_base:
            return float(length * self._stream.time_base)
        return self._whole_s if len(self._container.streams) == 1 else None

    @property
    def _whole_s(self) -> float | None:
        """How long everything together is."""
        duration = None if self._first_fragment else self._container.duration
        return duration / 1e6 if duration else None

    @property
    def _first_fragment(self) -> bool:
        """Whether lengths are only those of the first fragment: FFmpeg reads no further in an mp4 of fragments that it
        cannot seek in."""
        return not self.recorded and self._container.format.name.startswith("mov") and not self._stream.frames

    def time_base(self, *, starts: bool, first_s: float | None, arrival: bool) -> TimeBase:
        """How stamps of this container become media time.

        starts: media time 0 is where the container starts. first_s: earliest stamp of the video. arrival: there are no
        stamps but times of arrival.
        """
        if not self.stamped:
            start_s = None if arrival else 0.0
            return TimeBase(start_s=start_s, first_s=start_s, assumed_rate=self._assumed_rate, arrival=arrival)
        start = self._container.start_time
        start_s = None if start is None or not starts else start / 1e6
        whole_s = self._whole_s
        begin_s = self._stream.start_time
        begin_s = start_s if begin_s is None else float(begin_s * self._stream.time_base)
        end_s = most_s = None
        early_s = 0.0
        if whole_s is not None and start_s is not None:
            most_s = start_s + whole_s
            # Some programs write the time of the last frame into the header of a Matroska file, others the length.
            if self._container.format.name.startswith("matroska"):
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
        """The rate of a recorded stream without time stamps where nothing tells it, None where something does."""
        if self._given_rate or self._codec_rate or not self.recorded:
            return None
        return self.rate


def is_stamped(container: Any) -> bool:
    """Whether a container carries time stamps, or a rate that takes their place."""
    return not int(container.format.flags) & _NO_TIMESTAMPS


def number(rational: Any) -> float:
    """A rational of PyAV as a float; 0 where it is absent or undefined."""
    try:
        return float(rational) if rational else 0.0
    except ZeroDivisionError:
        return 0.0


def _kind(stream: Any, cover: Any) -> str:
    return "a cover picture" if stream.disposition & cover else str(stream.type)
