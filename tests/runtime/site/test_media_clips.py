"""Clips cut from the packets of a video show the frames that the source shows at the same media time."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest

pytest.importorskip("av", reason="PyAV is not installed")

import av
from punctum.runtime.site.media.cutting import Cut, cut, store
from punctum.runtime.site.media.pictures import Picture, decode_jpeg, encode, picture_at
from punctum.runtime.site.media.ring import Ring

from tests.helpers import site_media as helper
from tests.helpers import video_corpus as corpus
from tests.helpers import video_times as times

QUIET = {"x265-params": "log-level=none:keyint=10:open-gop=1"}
KINDS: dict[str, tuple[str, dict[str, object]]] = {
    "h264 in mp4": ("a.mp4", {"b_frames": 3}),
    "h264 in mpegts": ("a.ts", {"form": "mpegts", "b_frames": 3}),
    "h264 in matroska": ("a.mkv", {"b_frames": 2}),
    "h264 raw": ("a.h264", {"form": "h264"}),
    "h264 rotated": ("turned.mp4", {"rotation": 90, "size": (128, 96)}),
    "hevc in mp4": ("b.mp4", {"codec": "libx265", "b_frames": 3, "codec_options": QUIET}),
    "hevc in mpegts": ("b.ts", {"codec": "libx265", "form": "mpegts", "b_frames": 3, "codec_options": QUIET}),
    "mjpeg": ("c.avi", {"codec": "mjpeg", "pixels": "yuvj420p"}),
    "vp8": ("d.webm", {"codec": "libvpx"}),
    "vp9": ("e.webm", {"codec": "libvpx-vp9"}),
    "av1 in mp4": ("f.mp4", {"codec": "libsvtav1"}),
    "av1 in matroska": ("f.mkv", {"codec": "libsvtav1"}),
    "mpeg-4 part 2": ("g.avi", {"codec": "mpeg4", "b_frames": 2}),
}


def ring_of(seconds: float = 60.0, megabytes: float = 64.0, **options: bool) -> Ring:
    return Ring(seconds, megabytes, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_shows_the_same_frame_at_the_same_media_time(kind: str, tmp_path: Path) -> None:
    name, options = KINDS[kind]
    codec = str(options.get("codec", "libx264"))
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    path = corpus.encode(tmp_path / name, 75, **options)  # type: ignore[arg-type]
    ring = ring_of()
    seen = helper.read(path, ring, start_s=1000.0)
    part = helper.clip_of(ring, 1001.3, 1002.2, tmp_path / f"clip{Path(name).suffix}")
    assert part.start_s <= 1001.3 + 0.02 and part.end_s >= 1002.2 and not part.why
    helper.check(part, tmp_path / f"clip{Path(name).suffix}", seen)


@pytest.mark.parametrize("kind", ["h264 in mp4", "h264 in mpegts", "hevc in mpegts"])
def test_mp4_begins_at_zero_without_an_edit_list_and_with_its_index_in_front(kind: str, tmp_path: Path) -> None:
    name, options = KINDS[kind]
    ring = ring_of()
    helper.read(corpus.encode(tmp_path / name, 50, **options), ring)  # type: ignore[arg-type]
    helper.clip_of(ring, 0.5, 1.5, tmp_path / "clip.mp4")
    data = (tmp_path / "clip.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert b"elst" not in data or _edits(data) == [0]
    with av.open(str(tmp_path / "clip.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.start_time == 0
        assert container.duration is not None and abs(container.duration / 1e6 - 1.1) < 0.5
    if "hevc" in kind:
        assert b"hvc1" in data


def _edits(data: bytes) -> list[int]:
    at = data.index(b"elst") + 4
    assert data[at] == 0
    count = struct.unpack(">I", data[at + 4 : at + 8])[0]
    return [struct.unpack(">i", data[at + 12 + 12 * k : at + 16 + 12 * k])[0] for k in range(count)]


@pytest.mark.parametrize("name", ["late.ts", "soon.mp4", "negative.mkv", "vfr.mp4", "fragments.mp4", "bframes.avi"])
def test_odd_time_stamps(name: str, tmp_path: Path) -> None:
    """Media time is that of the reader, whatever the time stamps are."""
    times.make_all(tmp_path)
    ring = ring_of()
    from punctum.runtime.video import Sampled, VideoOptions, open_frames

    source = open_frames(str(tmp_path / name), fps=20, options=VideoOptions(packets=ring.tap()))
    seen = {item.at: times.level(item.image) for item in source.frames() if isinstance(item, Sampled)}
    source.close()
    begin = min(seen) + 1.0
    part = helper.clip_of(ring, begin, begin + 1.0, tmp_path / "clip.mp4")
    frames = [(part.start_s + at, times.level(image)) for at, image in helper.frames_of(tmp_path / "clip.mp4")]
    for at, level in seen.items():
        if part.start_s <= at + 0.025 < part.end_s:
            assert [shown for time_s, shown in frames if time_s <= at + 0.026][-1] == level


def test_a_change_of_size_ends_the_clip_and_says_so(tmp_path: Path) -> None:
    small = corpus.encode(tmp_path / "small.ts", 50, form="mpegts")
    large = corpus.encode(tmp_path / "large.ts", 50, form="mpegts", size=(192, 256), first=50)
    (tmp_path / "both.ts").write_bytes(small.read_bytes() + large.read_bytes())
    ring = ring_of()
    helper.read(tmp_path / "both.ts", ring)
    sections = ring.sections()
    assert len(sections) == 2
    change = sections[1][1][0].at_s
    assert change is not None
    before = helper.clip_of(ring, change - 1.5, change + 0.5, tmp_path / "before.mp4")
    assert "the size or the coding of the video changed" in before.why and before.end_s <= change + 0.1
    after = helper.clip_of(ring, change - 0.4, change + 1.0, tmp_path / "after.mp4")
    assert "it begins at" in after.why and after.start_s == change
    assert {image.shape for _, image in helper.frames_of(tmp_path / "before.mp4")} == {(96, 128, 3)}
    assert {image.shape for _, image in helper.frames_of(tmp_path / "after.mp4")} == {(192, 256, 3)}
    with av.open(str(tmp_path / "after.mp4")) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (256, 192)
    assert corpus.number(helper.frames_of(tmp_path / "after.mp4")[0][1]) == 50


def test_sound_stays_with_the_picture(tmp_path: Path) -> None:
    path = times.make(tmp_path / "loud.ts", 100, form="mpegts", audio=(0.0, 5.0))
    for sound in (True, False):
        ring = ring_of(sound=sound)
        helper.read(path, ring, start_s=10.0, fps=20)
        part = helper.clip_of(ring, 12.1, 13.4, tmp_path / "clip.mp4")
        with av.open(str(tmp_path / "clip.mp4")) as container:
            assert len(container.streams.audio) == sound
            if sound:
                heard = list(container.decode(audio=0))
                first, last = float(heard[0].pts * heard[0].time_base), float(heard[-1].pts * heard[-1].time_base)
                assert -0.001 <= first < 0.07 and abs(last - (part.end_s - part.start_s)) < 0.1


def test_keeps_whole_groups_within_the_limits(tmp_path: Path) -> None:
    path = corpus.encode(tmp_path / "long.mp4", 250, keyframes=25)
    ring = ring_of(seconds=3.0)
    helper.read(path, ring)
    kept = ring.sections()[0][1]
    assert kept[0].key and kept[0].at_s is not None and 5.9 <= kept[0].at_s <= 7.1
    missed = cut(ring, 1.0, 2.0)
    assert isinstance(missed, str) and "video is available from" in missed
    late = helper.clip_of(ring, 4.0, 8.0, tmp_path / "clip.mp4")
    assert "earlier video is no longer there" in late.why
    ahead = helper.clip_of(ring, 9.0, 12.0, tmp_path / "clip.mp4")
    assert "no later video has arrived" in ahead.why and ahead.end_s == pytest.approx(10.0, abs=0.05)
    assert ring.bytes == sum(len(p.data) + 250 for p in kept)


def test_a_group_larger_than_the_memory_is_dropped_and_said(tmp_path: Path) -> None:
    path = corpus.encode(tmp_path / "single.mp4", 100, keyframes=1000)
    ring = ring_of(megabytes=0.01)
    helper.read(path, ring)
    assert ring.oversized == 1 and ring.bytes == 0
    reason = cut(ring, 1.0, 2.0)
    assert isinstance(reason, str) and "ring_mb" in reason


def test_one_group_longer_than_the_time_is_kept(tmp_path: Path) -> None:
    path = corpus.encode(tmp_path / "single.mp4", 200, keyframes=1000)
    ring = ring_of(seconds=2.0)
    seen = helper.read(path, ring)
    part = helper.clip_of(ring, 5.0, 6.0, tmp_path / "clip.mp4")
    assert part.start_s == 0.0
    helper.check(part, tmp_path / "clip.mp4", seen)


def test_hold_keeps_the_beginning_of_a_long_event(tmp_path: Path) -> None:
    ring = ring_of(seconds=2.0)
    ring.hold("clip", 1.0)
    helper.read(corpus.encode(tmp_path / "long.mp4", 200, keyframes=10), ring)
    assert helper.clip_of(ring, 1.0, 7.0, tmp_path / "clip.mp4").why == ""
    ring.release("clip")
    helper.read(corpus.encode(tmp_path / "more.mp4", 200, keyframes=10), ring, start_s=8.0)
    assert isinstance(cut(ring, 1.0, 7.0), str)


@pytest.mark.parametrize("kind", ["h264 in mpegts", "hevc in mpegts"])
def test_a_connection_without_parameter_sets_in_its_header(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of RTSP servers whose description has none: they are in the key frames."""
    from punctum.runtime.site.media import ring as module

    whole = module.make_template

    def without(*given: object, **named: bool) -> object:
        template = whole(*given, **named)  # type: ignore[arg-type]
        assert template is not None
        template.stream.codec_context.extradata = None
        template.extradata = b""
        return template

    monkeypatch.setattr(module, "make_template", without)
    name, options = KINDS[kind]
    ring = ring_of()
    seen = helper.read(corpus.encode(tmp_path / name, 50, **options), ring)  # type: ignore[arg-type]
    part = helper.clip_of(ring, 0.5, 1.5, tmp_path / "clip.mp4")
    assert part.section.extradata is not None
    helper.check(part, tmp_path / "clip.mp4", seen)


def test_damaged_video(tmp_path: Path) -> None:
    """What cannot be decoded does not end the clip, and its other frames stay in their places."""
    whole = corpus.encode(tmp_path / "whole.ts", 100, form="mpegts", keyframes=10)
    corpus.damage(tmp_path / "bad.ts", whole, 0.4, 0.45)
    ring = ring_of()
    helper.read(tmp_path / "bad.ts", ring)
    part = helper.clip_of(ring, 0.5, 3.5, tmp_path / "clip.mp4")
    last = [(part.start_s + at, corpus.number(image)) for at, image in helper.frames_of(tmp_path / "clip.mp4")][-5:]
    assert all(abs(at - number / 25) < 0.041 for at, number in last)


@pytest.mark.parametrize("kind", ["h264 in mp4", "h264 in mpegts", "hevc in mpegts", "mjpeg", "vp9", "av1 in mp4"])
def test_picture_is_the_frame_that_is_shown(kind: str, tmp_path: Path) -> None:
    name, options = KINDS[kind]
    ring = ring_of()
    helper.read(corpus.encode(tmp_path / name, 60, **options), ring, start_s=5.0)  # type: ignore[arg-type]
    for frame in (12, 21, 29, 38, 59):
        found = picture_at(ring, 5.0 + (frame + 0.5) / 25)
        assert isinstance(found, Picture), found
        image = decode_jpeg(encode(found, None))
        assert corpus.number(image) == frame and abs(found.at_s - 5.0 - frame / 25) < 2e-3


def test_picture_upright_narrow_and_masked(tmp_path: Path) -> None:
    from punctum.runtime.site.media.pictures import Cover

    path = corpus.encode(tmp_path / "turned.mp4", 30, rotation=90)
    ring = ring_of()
    helper.read(path, ring)
    found = picture_at(ring, 0.5)
    assert isinstance(found, Picture) and found.image.shape == (128, 96, 3)
    assert decode_jpeg(encode(found, 48)).shape == (64, 48, 3)
    assert decode_jpeg(encode(found, 4000)).shape == (128, 96, 3)

    def right(height: int, width: int):
        import numpy as np

        return np.arange(width)[None, :].repeat(height, 0) >= width // 2

    cover: Cover = right
    image = decode_jpeg(encode(found, None, cover))
    assert image[:, 60:].max() < 12 and image[:, :40].max() > 50


def test_no_file_is_left_where_a_clip_cannot_be_written(tmp_path: Path) -> None:
    ring = ring_of()
    helper.read(corpus.encode(tmp_path / "a.mp4", 30), ring)
    part = cut(ring, 0.2, 0.8)
    assert isinstance(part, Cut)
    with pytest.raises(OSError):
        store(part, tmp_path / "missing" / "clip.mp4")
    folder = tmp_path / "taken"
    (folder / "clip.mp4").mkdir(parents=True)
    with pytest.raises(OSError):
        store(part, folder / "clip.mp4")
    assert [p.name for p in folder.iterdir()] == ["clip.mp4"]
    shutil.rmtree(folder)


def test_uncompressed_video_has_no_clips(tmp_path: Path) -> None:
    path = corpus.encode(tmp_path / "raw.y4m", 20, codec="rawvideo", form="yuv4mpegpipe")
    ring = ring_of()
    assert helper.read(path, ring)
    assert cut(ring, 0.1, 0.4) == "the source delivers no compressed video" and ring.bytes == 0
