"""Sound of videos that are converted for the labeling page: it lies where it is in media time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed")
import av
from punctum.runtime.labeling.proxy import make_proxy
from punctum.runtime.video import Sampled
from punctum.runtime.video.native import NativeFrames

from tests.helpers.video_corpus import number, picture

RATE = 44_100
SIZE = (96, 128)
BURSTS = (0.5, 1.75, 3.2)
pytestmark = pytest.mark.skipif("libx264" not in av.codecs_available, reason="no encoder for H.264")


def record(
    path: Path,
    *,
    picture_s: float = 0.0,
    start_s: float = 0.0,
    codec: str = "mpeg4",
    sound: str = "pcm_s16le",
    mono=True,
) -> Path:
    """Four seconds of numbered frames from `picture_s` on, and noise bursts at BURSTS; all stamps from `start_s` on."""
    layout, channels = ("mono", 1) if mono else ("5.1", 6)
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        tone = out.add_stream(sound, rate=RATE, layout=layout)
        rng = np.random.default_rng(0)
        samples = np.zeros(round((4 + picture_s) * RATE), np.float32)
        for at in BURSTS:
            samples[round(at * RATE) : round((at + 0.1) * RATE)] = rng.uniform(-0.8, 0.8, round(0.1 * RATE))
        frames: list[tuple[float, object]] = []
        for k in range(100):
            image = av.VideoFrame.from_ndarray(picture(k, SIZE), format="rgb24")
            frames.append((picture_s + k / 25, image))
        size = 1024
        pieces = [(n / RATE, samples[n : n + size]) for n in range(0, len(samples) - size, size)]
        shift = round(start_s * 25)
        for at, thing in sorted([*frames, *pieces], key=lambda pair: pair[0]):
            if isinstance(thing, av.VideoFrame):
                thing.pts = round(at * 25) + shift
                thing.time_base = Fraction(1, 25)
                out.mux(video.encode(thing))
            else:
                rows = np.repeat(np.asarray(thing)[None], channels, axis=0)
                if sound == "pcm_s16le":
                    packed = (rows.T * 32767).astype(np.int16).reshape(1, -1)
                    frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
                else:
                    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(rows), format="fltp", layout=layout)
                frame.sample_rate, frame.pts = RATE, round((at + start_s) * RATE)
                out.mux(tone.encode(frame))
        out.mux(video.encode(None))
        out.mux(tone.encode(None))
    return path


def onsets(path: Path) -> list[float]:
    """When the bursts of a file begin."""
    parts: list[tuple[float, np.ndarray]] = []
    with av.open(str(path)) as source:
        for frame in source.decode(source.streams.audio[0]):
            parts.append((float(frame.pts * frame.time_base), np.abs(frame.to_ndarray()).max(axis=0)))
    loud = np.concatenate([at + np.flatnonzero(rows > 0.1) / 48_000 for at, rows in parts])
    return [float(loud[0]), *loud[1:][np.diff(loud) > 0.3].tolist()]


def media(path: Path) -> dict[int, float]:
    frames = NativeFrames(str(path))
    frames.open()
    found = {number(item.image): item.at for item in frames.frames() if isinstance(item, Sampled)}
    frames.close()
    return found


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("plain.avi", {}),
        ("plain.mkv", {}),
        ("late.mkv", {"picture_s": 0.4}),
        ("stream.ts", {"codec": "mpeg2video", "sound": "aac", "start_s": 2.0}),
        ("surround.mkv", {"sound": "aac", "mono": False}),
    ],
)
def test_sound_is_in_step_with_media_time(tmp_path, name, options):
    source = record(tmp_path / name, **options)
    made = tmp_path / "made.mp4"
    make_proxy(source, made, progress=lambda done: None)
    assert media(made) == pytest.approx(media(source), abs=1e-3)
    assert onsets(made) == pytest.approx(BURSTS, abs=0.03)
    with av.open(str(made)) as opened:
        video, sound = opened.streams.video[0], opened.streams.audio[0]
        assert video.start_time == 0
        assert float(sound.duration * sound.time_base) <= float(video.duration * video.time_base) + 0.1


def test_a_video_without_sound_gets_none(tmp_path):
    from tests.helpers.video_corpus import encode

    encode(tmp_path / "silent.avi", 20, size=SIZE, codec="mpeg4")
    make_proxy(tmp_path / "silent.avi", tmp_path / "made.mp4", progress=lambda done: None)
    with av.open(str(tmp_path / "made.mp4")) as opened:
        assert not opened.streams.audio


def test_damaged_sound_leaves_the_picture(tmp_path):
    source = record(tmp_path / "damaged.mkv", sound="aac")
    content = bytearray(source.read_bytes())
    rng = np.random.default_rng(1)
    for at in rng.integers(len(content) // 3, len(content), 200):
        content[at] ^= 0x55
    source.write_bytes(content)
    make_proxy(source, tmp_path / "made.mp4", progress=lambda done: None)
    assert len(media(tmp_path / "made.mp4")) > 20
