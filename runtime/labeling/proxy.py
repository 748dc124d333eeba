"""Videos that browsers do not play, or not on media time, converted to H.264 in MP4 with media time as their clock."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ..errors import InputError, PunctumError
from ..video import Sampled
from ..video._opening import load_av
from ..video.native import NativeFrames
from .lock import make_work
from .proxy_sound import ProxySound

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

TICKS = 90_000  # per second, of the time stamps
MAX_SIDE = 1280  # pixels: what a labeler sees in a window
_KEY_S = 0.5  # between key frames: seeking decodes from the last one
_ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox")
_BLACK_S = 1.0  # a picture that starts later than this is preceded by black, an earlier one by itself
_REPORT_S = 0.5


class Stopped(Exception):
    """The conversion was stopped."""


def make_proxy(
    source: Path, target: Path, *, progress: Callable[[float], None], stopped: Callable[[], bool] = lambda: False
) -> None:
    """Convert a video. The time stamps of the result are the media times of its frames.

    Args:
        source: The video.
        target: The MP4 file, which appears when it is complete.
        progress: Called with the media time in seconds that is done.
        stopped: Asked for every frame whether to stop.

    Raises:
        Stopped: The conversion was stopped; nothing is left.
        InputError: The video cannot be read.
        PunctumError: The result cannot be written, or this PyAV has no encoder for H.264.
    """
    av = load_av()
    frames = NativeFrames(str(source))
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        make_work(target.parent)
        frames.open()
        with av.open(str(draft), "w", format="mp4", options={"movflags": "+faststart"}) as out:
            _convert(source, frames, out, progress, stopped)
        with draft.open("rb") as made:
            os.fsync(made.fileno())
        draft.replace(target)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise PunctumError(
            "label-convert",
            f"{source.name} cannot be converted for the browser ({type(error).__name__}: {error})",
            required="a video that can be decoded, and free space",
            next_step="convert it to H.264 in MP4 yourself, or leave it out",
        ) from error
    finally:
        frames.close()
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _convert(
    source: Path,
    frames: NativeFrames,
    out: OutputContainer,
    progress: Callable[[float], None],
    stopped: Callable[[], bool],
) -> None:
    stream: VideoStream | None = None
    last = -1
    reported = 0.0
    with contextlib.ExitStack() as closing:
        sound: ProxySound | None = None
        for item in frames.frames():
            if stopped():
                raise Stopped
            if not isinstance(item, Sampled):
                continue
            if stream is None or sound is None:
                stream = _stream(out, item, frames.info.rate or 25.0)
                sound = ProxySound(source, out, frames.shift_s)
                closing.callback(sound.close)
                if round(item.at * TICKS) > 0:
                    first = item.image if item.at < _BLACK_S else np.zeros_like(item.image)
                    last = _encode(out, stream, first, 0)
            stamp = max(round(item.at * TICKS), last + 1)
            last = _encode(out, stream, item.image, stamp)
            sound.until(item.at)
            if item.at >= reported + _REPORT_S:
                reported = item.at
                progress(item.at)
        if stream is None or sound is None:
            name = frames.name
            raise InputError("video-no-frames", f"{name} contains no decodable frame", next_step="record it again")
        for packet in stream.encode(None):
            out.mux(packet)
        sound.finish(frames.end_s)


def _stream(out: OutputContainer, first: Sampled, rate: float) -> VideoStream:
    av = load_av()
    name = next((name for name in _ENCODERS if name in av.codecs_available), None)
    if name is None:
        raise PunctumError(
            "label-convert",
            "This PyAV has no encoder for H.264",
            required="PyAV from the package index",
            next_step="install it, or convert the video to H.264 in MP4 yourself",
        )
    height, width = first.image.shape[:2]
    wide = width * first.aspect
    scale = min(1.0, MAX_SIDE / max(wide, height))
    stream = cast("VideoStream", out.add_stream(name, rate=Fraction(rate).limit_denominator(1001)))
    stream.width, stream.height = max(round(wide * scale / 2) * 2, 16), max(round(height * scale / 2) * 2, 16)
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = Fraction(1, TICKS)
    stream.time_base = Fraction(1, TICKS)
    stream.codec_context.max_b_frames = 0  # so that no edit list is needed
    stream.codec_context.gop_size = max(round(rate * _KEY_S), 1)
    if name == "libx264":
        stream.options = {"preset": "veryfast", "crf": "23"}
    return stream


def _encode(out: OutputContainer, stream: VideoStream, image: np.ndarray, stamp: int) -> int:
    av = load_av()
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    frame = frame.reformat(width=stream.width, height=stream.height, format="yuv420p", interpolation="BILINEAR")
    frame.pts, frame.time_base = stamp, Fraction(1, TICKS)
    for packet in stream.encode(frame):
        out.mux(packet)
    return stamp
