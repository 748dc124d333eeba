"""Videos whose time is odd, made with PyAV, and the media time of each of their frames as the reader sees it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 20
TICKS = 90_000


def picture(k: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Frame k: a gray level that tells the number modulo 12, and a moving edge, so that codecs have work."""
    image = np.full((*size, 3), 20 * (k % 12), np.uint8)
    image[:4, : (3 * k) % size[1]] = 255
    return image


def level(image: np.ndarray) -> int:
    """The number modulo 12 of a picture."""
    return round(float(image[8:, :].mean()) / 20) % 12


def make(
    path: Path,
    count: int = 60,
    *,
    times: Iterable[float] | None = None,
    codec: str = "libx264",
    form: str | None = None,
    b_frames: int = 2,
    gop: int = 20,
    video_s: float = 0.0,
    audio: tuple[float, float] | None = None,
    sar: Fraction | None = None,
    size: tuple[int, int] = (48, 64),
    pixels: str = "yuv420p",
    muxer: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    rate: int = RATE,
    extra: Callable[[Any], None] | None = None,
) -> Path:
    """A video of `count` frames from `video_s` on, or of frames at `times`; audio: (start, end) in seconds."""
    stamps = [video_s + k / rate for k in range(count)] if times is None else list(times)
    with av.open(str(path), "w", format=form, options=muxer or {}) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.height, stream.width = size
        stream.pix_fmt = pixels
        stream.codec_context.time_base = Fraction(1, rate if times is None else TICKS)
        if sar is not None:
            stream.codec_context.sample_aspect_ratio = sar
        stream.codec_context.gop_size = gop
        if codec not in ("mjpeg", "ffv1", "gif"):
            stream.codec_context.max_b_frames = b_frames
        defaults = {"preset": "ultrafast", "x264-params": "scenecut=0:b-adapt=0"} if codec == "libx264" else {}
        stream.options = {**defaults, **(options or {})}
        sound = None
        if audio is not None:
            sound = out.add_stream("mp2" if (form or path.suffix) in (".ts", "mpegts") else "aac", rate=48_000)
            sound.layout = "mono"
        if extra is not None:
            extra(out)
        if sound is not None and audio is not None:
            for packet in _sound(sound, *audio):
                out.mux(packet)
        base = stream.codec_context.time_base
        for k, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(picture(k, size), format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = round(stamp / base), base
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    return path


def _sound(stream: Any, start_s: float, end_s: float) -> Iterable[Any]:
    count = 1152 if stream.codec_context.name.startswith("mp2") else 1024
    form = "s16" if count == 1152 else "fltp"
    at = round(start_s * 48_000)
    while at < end_s * 48_000:
        silence = np.zeros((1, count), np.int16 if form == "s16" else np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format=form, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, at, Fraction(1, 48_000)
        yield from stream.encode(frame)
        at += count
    yield from stream.encode(None)


def remux(
    path: Path,
    source: Path,
    *,
    form: str | None = None,
    change: Callable[[int, Any], Any] = lambda k, packet: packet,
    muxer: dict[str, str] | None = None,
) -> Path:
    """The video packets of a file in another container; `change` may alter a packet, or drop it with None."""
    with av.open(str(source)) as given, av.open(str(path), "w", format=form, options=muxer or {}) as out:
        stream = given.streams.video[0]
        target = out.add_stream_from_template(stream)
        number = 0
        for packet in given.demux(stream):
            if packet.dts is None:
                continue
            changed = change(number, packet)
            number += 1
            if changed is not None:
                changed.stream = target
                out.mux(changed)
    return path


def bump(at_s: float, by_s: float) -> Callable[[int, Any], Any]:
    """A change for `remux`: stamps from `at_s` on are later by `by_s` seconds."""

    def change(k: int, packet: Any) -> Any:
        if float(packet.dts * packet.time_base) >= at_s:
            step = round(by_s / packet.time_base)
            packet.dts += step
            packet.pts += step
        return packet

    return change


def cut_in_gop(path: Path, whole: Path, part: float) -> Path:
    """A transport stream without the video packets of its first part; sound and tables stay."""
    data = whole.read_bytes()
    end = int(len(data) * part) // 188 * 188
    tables = b"".join(data[k : k + 188] for k in range(0, 188 * 4, 188) if _pid(data, k) in (0, 17, 4096))
    path.write_bytes(tables + data[end:])
    return path


def _pid(data: bytes, at: int) -> int:
    return (data[at + 1] & 0x1F) << 8 | data[at + 2]


def boxes(*parts: tuple[bytes, bytes]) -> bytes:
    return b"".join(struct.pack(">I", 8 + len(body)) + name + body for name, body in parts)


def outside(path: Path, whole: Path, place: bytes = b"file:///etc/passwd\0") -> Path:
    """An MP4 whose data reference names another file."""
    data = whole.read_bytes()
    old = boxes((b"dref", bytes(4) + struct.pack(">I", 1) + boxes((b"url ", b"\0\0\0\1"))))
    new = boxes((b"dref", bytes(4) + struct.pack(">I", 1) + boxes((b"url ", bytes(4) + place))))
    at, grown = data.index(old), len(new) - len(old)
    changed = bytearray(data[:at] + new + data[at + len(old) :])
    for name in (b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        place_of = changed.rindex(name, 0, at) - 4
        size = struct.unpack_from(">I", changed, place_of)[0]
        struct.pack_into(">I", changed, place_of, size + grown)
    path.write_bytes(changed)
    return path


def media_times(path: Path | str, **options: Any) -> tuple[list[float], Any]:
    """Media time of every decoded frame, and the source."""
    from punctum.runtime.video import VideoOptions, open_frames

    source: Any = open_frames(str(path), fps=float(RATE), options=VideoOptions(**options) if options else None)
    times: list[float] = []
    timeline = source._timeline
    push = timeline.sampler.push

    def spy(shown: Any, at: float, **rest: Any) -> Any:
        times.append(at)
        return push(shown, at, **rest)

    timeline.sampler.push = spy
    try:
        source.items = [item for item in source.frames() if item is not None]
    finally:
        source.close()
    return times, source


def make_all(folder: Path) -> Path:
    """The recordings that the tests of media time share."""
    make(folder / "plain.mp4")
    make(folder / "plain.ts", form="mpegts")
    make(folder / "late.mp4", video_s=5.0, audio=(0.0, 8.0))
    make(folder / "late.mkv", video_s=5.0, audio=(0.0, 8.0))
    make(folder / "late.ts", video_s=5.0, audio=(0.0, 8.0), form="mpegts")
    make(folder / "soon.mp4", video_s=0.4, audio=(0.0, 3.4))
    make(folder / "negative.mkv", video_s=-0.5, audio=(-0.5, 2.5))
    make(
        folder / "fragments.mp4",
        b_frames=0,
        video_s=1.0,
        audio=(1.0, 4.0),
        muxer={"movflags": "frag_keyframe+empty_moov"},
    )
    make(folder / "nolength.webm", codec="libvpx", b_frames=0, muxer={"live": "1"})
    make(folder / "bframes.avi")
    make(folder / "pyramid.avi", b_frames=4, options={"x264-params": "b-pyramid=normal:ref=6:scenecut=0:b-adapt=0"})
    make(folder / "asp.avi", codec="mpeg4")
    remux(folder / "raw.h264", folder / "plain.mp4", form="h264")
    make(folder / "raw.mjpeg", codec="mjpeg", form="mjpeg", pixels="yuvj420p", rate=10)
    vfr = [k / RATE for k in range(90) if not (30 <= k < 36 or 50 <= k < 53 or 70 <= k < 71)]
    make(folder / "vfr.mp4", times=vfr)
    make(folder / "vfr.mkv", times=vfr)
    return folder


def cut(made: Path) -> Path:
    if not (made / "cut.ts").exists():
        make(made / "whole.ts", 160, gop=100, audio=(0.0, 8.0), form="mpegts")
        drop_video(made / "whole.ts", made / "cut.ts", 2.0)
    return made / "cut.ts"


def drop_video(source: Path, target: Path, until_s: float) -> None:
    """A recording that begins in the middle of a group of pictures: sound at once, video data of no use at first."""
    import av

    with av.open(str(source)) as given, av.open(str(target), "w", format="mpegts") as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in given.streams}
        for packet in given.demux():
            if packet.dts is None or float(packet.dts * packet.time_base) < until_s:
                continue
            packet.stream = streams[packet.stream.index]
            out.mux(packet)
