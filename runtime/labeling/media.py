"""What a browser can play of a video file, and whether its clock is media time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..files.regular import special_kind
from ..text.display import as_utf8
from ..video._header import number
from ..video._opening import load_av

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_PIXELS = {"yuv420p", "yuvj420p"}
_CODECS = {
    "mov": {"h264": "avc1", "av1": "av01", "vp9": "vp09"},
    "matroska": {"vp8": "vp8", "vp9": "vp9", "av1": "av01"},
}
_TYPES = {"mov": "video/mp4", "matroska": "video/webm"}
_LATE_S = 1e-3  # start times are rounded to microseconds, and to milliseconds in WebM
_INDEX_ENTRIES = 200_000


@dataclass(frozen=True, slots=True)
class Playback:
    """How a browser gets a video.

    Attributes:
        direct: Whether the file itself is sent.
        kind: Its media type.
        why: If it is not sent: the reason, as the end of a sentence.
        duration_s: Length by the header; 0 if unknown.
        rate: Nominal frames per second; 0 if unknown.
    """

    direct: bool
    kind: str
    why: str = ""
    duration_s: float = 0.0
    rate: float = 0.0


def video_id(path: Path) -> str:
    """Identifies a video in addresses, whatever characters its name has."""
    return hashlib.sha256(as_utf8(path.name).encode()).hexdigest()[:16]


def playback(path: Path) -> Playback:
    """Decide how a browser gets a video. Never raises for the content of a file: what cannot be read is not direct.

    A file is sent as it is only if every browser plays it, and shows each frame at its media time. Browsers differ in
    where they begin to count if the first frame is not at 0, and in how they treat edit lists that hide frames.
    """
    if kind := special_kind(path):  # opening a pipe may wait forever
        return Playback(False, "", f"it is {kind}")
    av = load_av()
    try:
        with av.open(str(path), container_options={"protocol_whitelist": "file,crypto,data"}) as container:
            stream = next((s for s in container.streams.video if s.codec_context is not None), None)
            if stream is None:
                return Playback(False, "", "it has no video that can be decoded")
            why = _obstacle(path, container, stream)
            length = stream.duration * stream.time_base if stream.duration and stream.time_base else 0
            duration_s = float(length) or (container.duration or 0) / 1e6
            rate = number(stream.average_rate) or number(stream.guessed_rate)
            kind = next((kind for form, kind in _TYPES.items() if container.format.name.startswith(form)), "")
            return Playback(not why, kind, why, duration_s, rate if 0.01 <= rate <= 1000 else 0.0)
    except (av.FFmpegError, OSError, ValueError, RuntimeError, IndexError) as error:
        return Playback(False, "", f"it cannot be opened ({type(error).__name__})")


def _obstacle(path: Path, container: InputContainer, stream: VideoStream) -> str:
    """Why the file itself is not sent; empty if it is."""
    form = next((form for form in _TYPES if container.format.name.startswith(form)), "")
    codec = stream.codec_context.name if stream.codec_context.codec is None else stream.codec_context.codec.name
    canonical = stream.codec_context.codec.canonical_name if stream.codec_context.codec is not None else codec
    if not form or (form == "matroska" and path.suffix.lower() != ".webm"):
        return f"browsers do not play {container.format.name.split(',')[0]} files"
    if canonical not in _CODECS[form]:
        return f"browsers do not all play {canonical} in {'MP4' if form == 'mov' else 'WebM'}"
    if stream.codec_context.pix_fmt not in _PIXELS:
        return f"browsers do not all play the pixel format {stream.codec_context.pix_fmt}"
    if any(other.codec_context is not None for other in container.streams.video if other.index != stream.index):
        return "it has several video streams"
    begin = (
        0.0 if stream.start_time is None or stream.time_base is None else float(stream.start_time * stream.time_base)
    )
    if abs((container.start_time or 0) / 1e6) > _LATE_S or abs(begin) > _LATE_S:
        return "its first frame is not at time 0"
    if form == "mov":
        entries = stream.index_entries
        if not len(entries):
            return "it is fragmented"
        if any(entries[k].is_discard for k in range(min(len(entries), _INDEX_ENTRIES))):
            return "it hides frames with an edit list"
    return ""
