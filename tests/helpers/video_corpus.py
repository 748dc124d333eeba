"""Small videos, whole, odd and broken. Each frame carries its number as a bar code, so tests know what they see."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
BITS = 8
SIZE = (96, 128)  # height, width
TICKS = 50_000  # what every codec here takes


def picture(number: int, size: tuple[int, int] = SIZE) -> U8:
    """uint8 [H, W, 3]: a ramp with a bar code of `number` in its upper half, most significant bit on the left."""
    height, width = size
    image = np.empty((height, width, 3), np.uint8)
    image[:] = np.linspace(60, 200, width).astype(np.uint8)[None, :, None]
    for bit in range(BITS):
        left, right = bit * width // BITS, (bit + 1) * width // BITS
        image[: height // 2, left:right] = 235 if number >> (BITS - 1 - bit) & 1 else 20
    return image


def number(image: U8) -> int:
    """The number in a picture that went through a codec."""
    height, width, _ = image.shape
    result = 0
    for bit in range(BITS):
        left, right = bit * width // BITS, (bit + 1) * width // BITS
        block = image[height // 8 : height * 3 // 8, left + 2 : right - 2]
        result = result * 2 + int(block.mean() > 127)
    return result


@contextlib.contextmanager
def ordinary_scheduling() -> Iterator[None]:
    """Afterwards, all threads are scheduled as before.

    SVT-AV1 makes the threads of root's process real-time threads, also the one that calls it. Whatever that one starts
    later would be real-time as well, and keep the other processes from the cores.
    """
    try:
        yield
    finally:
        for thread in Path("/proc/self/task").glob("*"):  # Linux alone has it
            with contextlib.suppress(ProcessLookupError):
                if os.sched_getscheduler(int(thread.name)) != os.SCHED_OTHER:
                    os.sched_setscheduler(int(thread.name), os.SCHED_OTHER, os.sched_param(0))


def encode(
    path: Path,
    count: int = 50,
    *,
    rate: int = 25,
    size: tuple[int, int] = SIZE,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    form: str | None = None,
    times: Iterable[float] | None = None,
    first: int = 0,
    rotation: int = 0,
    mirror: bool = False,
    full_range: bool = False,
    paint: Callable[[int], U8] | None = None,
    keyframes: int = 10,
    b_frames: int = 0,
    muxer: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
) -> Path:
    """Write `count` pictures numbered from `first`, or what `paint` makes of the numbers.

    times: their stamps in seconds, where not evenly spaced.
    """
    stamps = [k / rate for k in range(count)] if times is None else list(times)
    paint = paint or (lambda k: picture(k, size))
    with ordinary_scheduling(), av.open(str(path), "w", format=form, options=muxer or {}) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.height, stream.width = size
        stream.pix_fmt = pixels
        stream.color_range = 2 if full_range else 1
        stream.codec_context.time_base = Fraction(1, TICKS)
        stream.codec_context.gop_size = keyframes
        stream.codec_context.max_b_frames = b_frames
        options = {"preset": "ultrafast", "tune": "fastdecode"} if codec == "libx264" else {}
        stream.options = {**options, **(codec_options or {})}
        if rotation or mirror:
            stream.set_display_rotation(rotation, hflip=mirror)
        for k, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(paint(first + k), format="rgb24").reformat(
                format=pixels, dst_color_range=2 if full_range else 1
            )
            frame.pts, frame.time_base = round(stamp * TICKS), Fraction(1, TICKS)
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    return path


def cut(path: Path, source: Path, part: float) -> Path:
    """The first `part` of a file's bytes."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    return path


def audio(path: Path) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16_000, layout="mono")
        for k in range(10):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16_000, k * 1024
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    return path


def png(path: Path) -> Path:
    return encode(path.with_suffix(".png"), 1, codec="png", pixels="rgb24", form="image2").rename(path)


def claim(path: Path, source: Path, hours: float) -> Path:
    """An mp4 whose headers claim another duration: mvhd, tkhd and mdhd patched."""
    data = bytearray(source.read_bytes())
    scales: dict[bytes, int] = {}
    for name in (b"mvhd", b"mdhd"):
        at = data.index(name) + 4
        scales[name] = struct.unpack(">I", data[at + 12 : at + 16])[0]
        struct.pack_into(">I", data, at + 16, int(hours * 3600 * scales[name]) & 0xFFFFFFFF)
    at = data.index(b"tkhd") + 4
    struct.pack_into(">I", data, at + 20, int(hours * 3600 * scales[b"mvhd"]))
    path.write_bytes(data)
    return path


def damage(path: Path, source: Path, begin: float, end: float, seed: int = 0) -> Path:
    """Random bytes between two parts of a file."""
    data = bytearray(source.read_bytes())
    first, last = int(len(data) * begin), int(len(data) * end)
    data[first:last] = np.random.default_rng(seed).bytes(last - first)
    path.write_bytes(data)
    return path


def hollow(folder: Path) -> Path:
    """A header of a video, and no frame."""
    path = folder / "hollow.avi"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        out.start_encoding()
    return path


def claim_mkv(path: Path, source: Path, hours: float) -> Path:
    """A Matroska file whose header claims another duration: element 0x4489, a double of milliseconds."""
    data = bytearray(source.read_bytes())
    at = data.index(b"\x44\x89\x88") + 3
    struct.pack_into(">d", data, at, hours * 3600e3)
    path.write_bytes(data)
    return path


def join(path: Path, sources: Iterable[Path]) -> Path:
    path.write_bytes(b"".join(source.read_bytes() for source in sources))
    return path


def playlist(path: Path, target: str) -> Path:
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n")
    return path


Maker = Callable[[Path], Path]
"""Makes a file in a folder."""


def _broken() -> dict[str, tuple[Maker, str]]:
    def text(folder: Path) -> Path:
        path = folder / "text.mp4"
        path.write_text("the quick brown fox jumps over the lazy dog\n" * 50)
        return path

    def empty(folder: Path) -> Path:
        path = folder / "empty.mp4"
        path.touch()
        return path

    def noise(folder: Path) -> Path:
        path = folder / "noise.mkv"
        path.write_bytes(np.random.default_rng(1).bytes(20_000))
        return path

    def folder_itself(folder: Path) -> Path:
        path = folder / "folder.mp4"
        path.mkdir()
        return path

    return {
        "no index": (lambda d: cut(d / "cut.mp4", encode(d / "whole.mp4"), 0.6), "video-unreadable"),
        "zero bytes": (empty, "video-empty"),
        "zero frames": (hollow, "video-no-frames"),
        "audio only": (lambda d: audio(d / "audio.mp4"), "video-no-stream"),
        "text as mp4": (text, "video-unreadable"),
        "noise": (noise, "video-unreadable"),
        "picture as mp4": (lambda d: png(d / "picture.mp4"), "video-picture"),
        "header only": (lambda d: cut(d / "head.ts", encode(d / "whole.ts"), 0.02), "video-unreadable"),
        "folder": (folder_itself, "video-directory"),
        "missing": (lambda d: d / "missing.mp4", "video-missing"),
        "playlist to the network": (
            lambda d: playlist(d / "list.mp4", "http://127.0.0.1:9/secret.ts"),
            "video-references",
        ),
        "playlist to another file": (lambda d: playlist(d / "list.m3u8", "missing.ts"), "video-references"),
    }


BROKEN = _broken()
"""Name -> how to make the file, and the code of the error it ends in."""
