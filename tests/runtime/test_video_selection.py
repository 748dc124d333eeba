"""Packets that no shown frame needs are not decoded, and nothing else changes: frames, times, losses."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("av", reason="PyAV is not installed")

import av
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime.credentials.redact import Address
from punctum.runtime.video import Gap, Sampled, VideoOptions, open_frames
from punctum.runtime.video._references import references
from punctum.runtime.video.files import FileFrames

from tests.helpers import http_servers, video_corpus

corpus = video_corpus
COUNT, RATE = 120, 25
X264 = {"preset": "medium", "tune": "film"}


def textured(number: int) -> npt.NDArray[np.uint8]:
    """A bar code over noise that moves: predicted pictures then differ wherever a reference does."""
    image = corpus.picture(number)
    noise = np.random.default_rng(5).integers(0, 60, (48, 400, 3), np.uint8)
    image[48:] += noise[:, 2 * number % 256 : 2 * number % 256 + 128] // 2
    return image


def x264(**more: str) -> dict[str, str]:
    return X264 | {"x264-params": ":".join(f"{name.replace('_', '-')}={value}" for name, value in more.items())}


class Kind(NamedTuple):
    suffix: str
    codec: str
    options: dict[str, str]
    omits: bool
    b_frames: int = 3


KINDS = {
    "pyramid": Kind("mp4", "libx264", x264(b_adapt="0"), True),
    "flat": Kind("mp4", "libx264", x264(b_adapt="0", b_pyramid="none"), True, 2),
    "open-gop": Kind("ts", "libx264", x264(open_gop="1", b_adapt="0"), True),
    "strict": Kind("mkv", "libx264", x264(b_pyramid="strict", b_adapt="0", slices="4"), True),
    "intra-refresh": Kind("mp4", "libx264", x264(intra_refresh="1", b_pyramid="none", b_adapt="0"), True),
    "interlaced": Kind("mkv", "libx264", x264(tff="1", b_adapt="0"), True),
    "camera": Kind("mkv", "libx264", {"preset": "veryfast", "tune": "zerolatency"}, False, 0),
    "hevc": Kind("mp4", "libx265", {"x265-params": "log-level=error:b-adapt=0"}, True),
    "hevc-layers": Kind("mkv", "libx265", {"x265-params": "log-level=error:temporal-layers=3:b-adapt=0"}, True),
    "hevc-ts": Kind("ts", "libx265", {"x265-params": "log-level=error:open-gop=1:b-adapt=0"}, True),
    "av1": Kind("mp4", "libsvtav1", {"preset": "10", "svtav1-params": "hierarchical-levels=3:keyint=48"}, True, 0),
    "mpeg2": Kind("ts", "mpeg2video", {"b": "2000000"}, True, 2),
    "mpeg1": Kind("mpg", "mpeg1video", {"b": "2000000"}, True, 2),
    "mpeg4": Kind("mp4", "mpeg4", {"b": "2000000"}, True, 2),
    "mjpeg": Kind("mkv", "mjpeg", {"q:v": "3"}, True, 0),
    "vp9": Kind(
        "webm",
        "libvpx-vp9",
        {"deadline": "good", "cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "16"},
        False,
        0,
    ),
    "avi": Kind("avi", "mpeg4", {"b": "2000000"}, False, 2),
    "raw": Kind("h264", "libx264", x264(b_adapt="0"), False),
}


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("kinds")

    def encode(name: str) -> Path:
        kind = KINDS[name]
        path = folder / f"{name}.{kind.suffix}"
        if not path.exists():
            if kind.codec not in av.codecs_available:
                pytest.skip(f"this FFmpeg has no {kind.codec}")
            pixels = "yuvj420p" if kind.codec == "mjpeg" else "yuv420p"
            if kind.codec.startswith("mpeg1") or kind.codec.startswith("mpeg2"):
                return encode_mpeg(path, kind.codec)
            corpus.encode(
                path,
                COUNT,
                rate=RATE,
                codec=kind.codec,
                pixels=pixels,
                full_range=kind.codec == "mjpeg",
                paint=textured,
                keyframes=30,
                b_frames=kind.b_frames,
                codec_options=kind.options,
            )
        return path

    return encode


def encode_mpeg(path: Path, codec: str) -> Path:
    """Write MPEG-1 or MPEG-2, whose time base is that of the frame rate."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=RATE)
        stream.height, stream.width = corpus.SIZE
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 15, 2
        for k in range(COUNT):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(textured(k), format="rgb24")))
        out.mux(stream.encode())
    return path


class Seen(NamedTuple):
    items: list[tuple[object, ...]]
    dropped: dict[str, int]
    frames: int
    omitted: int
    lost_at_start_s: float


def look(path: Path, fps: float, *, decode_all: bool = False, options: VideoOptions | None = None) -> Seen:
    source = FileFrames(Address.parse(str(path)), fps=fps, options=options, decode_all=decode_all)
    source.open()
    reader = source._reader
    assert reader is not None
    items = [described(item) for item in source.frames() if item is not None]
    seen = Seen(items, dict(source.dropped), reader.frames, reader.omitted, source.lost_at_start_s)
    source.close()
    return seen


def described(item: Sampled | Gap) -> tuple[object, ...]:
    if isinstance(item, Gap):
        return ("gap", item.at, item.lost, item.reason)
    return ("frame", item.index, item.at, item.lost, item.aspect, item.image.tobytes())


def same(one: Seen, other: Seen) -> bool:
    return (one.items, one.dropped, one.frames) == (other.items, other.dropped, other.frames)


@pytest.mark.parametrize("name", KINDS)
def test_what_is_shown_does_not_depend_on_what_is_left_out(make: Callable[[str], Path], name: str) -> None:
    path = make(name)
    for fps in (10.0, 2.0, 7.3, 25.0, 40.0):
        whole, selected = look(path, fps, decode_all=True), look(path, fps)
        assert same(whole, selected), fps
        assert not whole.omitted
        if fps == 2.0:
            assert bool(selected.omitted) == KINDS[name].omits
        if fps >= 25.0:
            assert not selected.omitted  # every frame is shown


@settings(max_examples=12, deadline=None)
@given(
    fps=st.floats(0.5, 60.0), name=st.sampled_from(["pyramid", "open-gop", "hevc", "mpeg2"]), threads=st.integers(1, 3)
)
def test_any_rate(make: Callable[[str], Path], fps: float, name: str, threads: int) -> None:
    path, options = make(name), VideoOptions(threads=threads)
    assert same(look(path, fps, decode_all=True, options=options), look(path, fps, options=options))


def test_how_much_is_left_out(make: Callable[[str], Path]) -> None:
    """At 10 of 25 frames per second: of the frames that are not shown, those to which no other refers."""
    share = {name: look(make(name), 10.0).omitted / COUNT for name in ("flat", "pyramid", "mjpeg", "camera")}
    assert share["mjpeg"] > 0.45
    assert share["flat"] > 0.30
    assert share["pyramid"] > 0.20
    assert not share["camera"]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["open-gop", "mpeg2", "hevc-ts"])
def test_damaged_transport_streams(make: Callable[[str], Path], tmp_path: Path, name: str, seed: int) -> None:
    """Packets of the stream are missing: the losses are counted, and frames left out are not among them."""
    rng = random.Random(seed)
    data = make(name).read_bytes()
    packets = [data[k : k + 188] for k in range(0, len(data), 188)]
    at = rng.randrange(len(packets) // 3, len(packets) // 2)
    del packets[at : at + rng.randint(1, 8)]
    path = tmp_path / "damaged.ts"
    path.write_bytes(b"".join(packets))
    whole, selected = look(path, 10.0, decode_all=True), look(path, 10.0)
    assert whole.dropped
    assert [item[:3] for item in whole.items] == [item[:3] for item in selected.items]
    assert sum(item[3] for item in whole.items if isinstance(item[3], int)) >= sum(
        item[3] for item in selected.items if isinstance(item[3], int)
    )
    for one, other in zip(whole.items, selected.items, strict=True):
        # What the decoder makes up for lost pictures may differ, until a key frame ends it.
        assert one[-1] == other[-1] or 1.2 < float(str(one[2])) < 3.6


def test_the_end_of_a_truncated_file(make: Callable[[str], Path], tmp_path: Path) -> None:
    for name in ("pyramid", "strict"):
        path = corpus.cut(tmp_path / f"cut{make(name).suffix}", make("strict"), 0.6)
        assert same(look(path, 10.0, decode_all=True), look(path, 10.0))


def test_uneven_times_and_pauses(tmp_path: Path) -> None:
    steps = [0.04, 0.04, 0.04, 0.09, 0.02, 0.04, 0.3, 0.04]
    times, at = [], 3.0
    for k in range(260):
        times.append(at)
        at += steps[k % 8] if k % 100 else 2.5
    path = corpus.encode(
        tmp_path / "vfr.mkv",
        260,
        times=times,
        paint=textured,
        keyframes=20,
        b_frames=3,
        codec_options=x264(b_adapt="0"),
    )
    for fps in (1.0, 5.0, 10.0):
        whole, selected = look(path, fps, decode_all=True), look(path, fps)
        assert same(whole, selected)
        assert any(item[0] == "gap" for item in whole.items)
        assert selected.omitted


def test_two_recordings_in_one_file(make: Callable[[str], Path], tmp_path: Path) -> None:
    """Time stamps start again, and so do references."""
    path = tmp_path / "two.ts"
    path.write_bytes(make("open-gop").read_bytes() * 2)
    assert same(look(path, 10.0, decode_all=True), look(path, 10.0))


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg command")
def test_an_edit_list_and_a_cut_inside_a_group(make: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    command = ["ffmpeg", "-v", "error", "-ss", "1.7", "-i", str(make("pyramid")), "-c", "copy", str(path)]
    subprocess.run(command, check=True)
    assert same(look(path, 10.0, decode_all=True), look(path, 10.0))


def test_over_http_as_from_the_file(make: Callable[[str], Path]) -> None:
    path = make("pyramid")
    wanted = look(path, 10.0)
    server = http_servers.Server(path.parent)
    try:
        source = open_frames(server.url(f"length/{path.name}"), fps=10.0)
        items = [described(item) for item in source.frames() if item is not None]
        source.close()
    finally:
        server.stop()
    assert items == wanted.items


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "mpeg2video", "mpeg4", "mjpeg"])
def test_headers_of_any_bytes(codec: str) -> None:
    """Damaged headers end in the errors that stand for "decode it", and in no endless loop."""
    rng = random.Random(codec)
    for _ in range(400):
        extradata = bytes([1, *rng.randbytes(rng.randint(0, 60))])[rng.randint(0, 1) :]
        reader = references(codec, extradata)
        if reader is None:
            continue
        data = rng.choice([b"", b"\0\0\1", b"\0\0\0\1", b"\xff\xd8"]) + rng.randbytes(rng.randint(0, 80))
        with contextlib.suppress(IndexError, ValueError):
            reader.unreferenced(data)
    assert references("vp9", b"") is None
