"""Video as a source of features: gaps, lost frames, threads, faults, going on after a restart. No video library."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import InputError
from punctum.runtime.sources.framing import encode_header
from punctum.runtime.sources.items import Begin, Chunk
from punctum.runtime.sources.media import find_videos, stream_name
from punctum.runtime.sources.open import is_video_input, open_source

pytest.importorskip("onnxruntime", reason="running a backbone needs onnxruntime")
pytest.importorskip("onnx", reason="making the backbone of these tests needs onnx")
from punctum.runtime.backbone.extractor import Extractor
from punctum.runtime.sources.video import VideoSource, coalesce

from tests.helpers import backbones

FPS = 10.0


@dataclass(frozen=True)
class Frame:
    image: np.ndarray
    index: int
    at: float
    lost: int = 0


@dataclass(frozen=True)
class Gap:
    at: float
    lost: int = 0
    reason: str = "stall"


@dataclass
class Frames:
    """Plays a list; an exception in it is raised."""

    script: list
    live: bool = False
    name: str = "clips/cam.mp4"
    pause_s: float = 0.0
    dropped: dict = field(default_factory=dict)
    closed: int = 0

    @property
    def policy(self):
        return "drop_oldest" if self.live else "wait"

    def close(self):
        self.closed += 1

    def frames(self):
        for item in self.script:
            if self.pause_s:
                time.sleep(self.pause_s)
            if isinstance(item, Exception):
                raise item
            yield item


def stretch(count: int, *, start: float = 0.0, seed: int = 0, lost: dict[int, int] | None = None) -> list[Frame]:
    pictures = backbones.images(count, seed)
    return [Frame(pictures[k], k, start + k / FPS, (lost or {}).get(k, 0)) for k in range(count)]


def run(script, *, made=None, position=None, **options) -> tuple[list[Chunk], VideoSource]:
    source = VideoSource(script if isinstance(script, Frames) else Frames(script), made or MADE, **options)
    items = [item for item in source.items(position) if item is not None]
    assert isinstance(items[0], Begin)
    return items[1:], source


def rows(chunks: list[Chunk]) -> np.ndarray:
    return np.concatenate([np.zeros((0, backbones.DIM), np.float32), *(c.rows for c in chunks)])


def alone(frames: list[Frame], *, batch: int, made=None, partial: bool = True) -> np.ndarray:
    extractor = Extractor(made or MADE, batch=batch)
    return np.concatenate([*(extractor.push(f.image) for f in frames), extractor.flush(partial=partial)])


MADE = backbones.backbone()  # two frames a snippet, five a clip


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("live", [False, True])
def test_the_rows_of_a_recording(batch, live):
    frames = stretch(23)
    chunks, source = run(Frames(frames, live=live), batch=batch, start_s=5.0)
    np.testing.assert_array_equal(rows(chunks), alone(frames, batch=batch))
    assert chunks[0].at == 5.0
    assert all(chunk.at is None for chunk in chunks[1:])
    assert source.stats.snippets == 12
    assert source.stats.frames == 23
    assert source.frames.closed
    assert source.stream == "cam"


def test_an_empty_video_gives_no_chunk():
    assert run([])[0] == []
    assert run([Gap(3.0)])[0] == []
    made = backbones.backbone(snippet_frames=5)
    assert run(stretch(2), made=made)[0] == []  # less than half a snippet
    assert len(rows(run(stretch(3), made=made)[0])) == 1


def test_a_gap_begins_a_new_stretch():
    before, after = stretch(11, lost={0: 2, 4: 1}), stretch(6, start=4.0, seed=1, lost={3: 5})
    chunks, source = run([*before, Gap(4.0, 7), *after], batch=2)
    second = next(k for k, chunk in enumerate(chunks) if chunk.at == 4.0)
    np.testing.assert_array_equal(rows(chunks[:second]), alone(before, batch=2))
    np.testing.assert_array_equal(rows(chunks[second:]), alone(after, batch=2))
    assert sum(c.dropped for c in chunks) == 15
    assert chunks[0].dropped == 2  # frames 0 to 3
    assert chunks[1].dropped == 1
    assert chunks[second].lost == ((0, 7), (1, 5))  # those of the gap lie before its first row
    assert chunks[0].lost == ((0, 2),)
    assert source.stats.gaps == 1
    assert source.stats.lost == 15


def test_a_part_of_a_snippet_does_not_reach_into_what_follows():
    made = backbones.backbone(snippet_frames=4, clip_frames=4)
    before = stretch(7)  # three of four frames of the second snippet
    for gap, partial in ((0.7, False), (0.79, False), (0.8, True), (3.0, True)):
        chunks, _ = run([*before, Gap(gap), *stretch(8, start=gap)], made=made, batch=1)
        at = [c.at for c in chunks]
        assert at == [0.0] + [None] * partial + [gap, None]


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), min_size=1, max_size=5),
    st.integers(1, 4),
    st.integers(1, 3),
)
def test_a_session_accepts_whatever_gaps_there_are(parts, size, batch):
    """Media time never goes back, and no row is further from its frames than a session allows."""
    made = backbones.backbone(snippet_frames=size, clip_frames=3)
    script, clock = [], 0.0
    for count, pause in parts:
        script += stretch(count, start=clock)
        clock += count / FPS + pause / 40
        script.append(Gap(clock))
    chunks, _ = run(script, made=made, batch=batch)
    now, stride = None, made.spec.stride_s
    for chunk in chunks:
        if chunk.at is not None and now is not None:
            assert chunk.at >= now - 0.5 * stride  # what `Session.push` refuses
        if chunk.at is not None and (now is None or chunk.at > now + 0.5 * stride):
            now = chunk.at
        now += len(chunk.rows) * stride


def test_a_jump_that_nobody_declared_is_a_gap():
    frames = stretch(20)
    chunks, source = run(frames[:6] + frames[12:], batch=1)
    assert [c.at for c in chunks if c.at is not None] == [0.0, frames[12].at]
    assert source.stats.gaps == 1


def test_none_while_nothing_comes_and_the_end_of_a_quiet_camera():
    began = time.monotonic()
    source = VideoSource(Frames([*stretch(4), *[None] * 1000], live=True, pause_s=0.02), MADE, idle_s=0.5)
    items = list(source.items())
    assert items.count(None) >= 2
    assert 0.5 < time.monotonic() - began < 10.0  # all frames would take 20 s
    assert len(rows([i for i in items if isinstance(i, Chunk)])) == 2


def test_what_came_before_a_fault_is_handed_out():
    fault = InputError("video-damaged", "a damaged file", "a whole one", "copy it again")
    source, chunks = VideoSource(Frames([*stretch(9), fault]), MADE), []
    with pytest.raises(InputError, match="damaged"):
        for item in source.items():
            chunks += [item] if isinstance(item, Chunk) else []
    assert len(rows(chunks)) == 5
    with pytest.raises(InputError, match="A frame has dtype"):
        run([Frame(np.zeros((3, 3)), 0, 0.0)])


def test_closing_early_ends_the_thread():
    before = threading.active_count()
    source = VideoSource(Frames(stretch(10) * 200), MADE, queue_s=0.1)
    iterator = source.items()
    for _ in range(3):
        next(iterator)
    iterator.close()
    assert threading.active_count() == before
    unused = VideoSource(Frames([]), MADE)
    unused.close()
    assert unused.frames.closed


@pytest.mark.parametrize("taken", [0, 1, 4, 7, 11])
def test_going_on_after_a_restart(taken):
    """Rows that were handed out are not handed out again; the others are the same bits."""
    script = [*stretch(9), Gap(3.0), *stretch(14, start=3.0, seed=1)]
    whole, _ = run(script, batch=2)
    ends = [0, *np.cumsum([len(chunk.rows) for chunk in whole]).tolist()]
    k = next(k for k, end in enumerate(ends) if end >= taken)
    done = ends[k]
    position = {"snippet": done} if done == 0 else whole[k - 1].position
    rest, _ = run(script, batch=2, position=position)
    np.testing.assert_array_equal(rows(rest), rows(whole)[done:])
    assert [c.at for c in rest if c.at is not None] == [c.at for c in whole[k:] if c.at is not None]


class Slow:
    """A backbone that takes its time, without the interpreter lock, as a real one does."""

    def __init__(self, made, seconds: float) -> None:
        self._made, self._seconds = made, seconds
        self.spec, self.dim, self.name = made.spec, made.dim, made.name

    def preprocessor(self):
        return self._made.preprocessor()

    def embed(self, clips):
        time.sleep(self._seconds)
        return self._made.embed(clips)


def test_decoding_and_inference_overlap():
    frames, pause = stretch(60), 0.01
    began = time.perf_counter()
    chunks, source = run(Frames(frames, pause_s=pause), made=Slow(MADE, 2 * pause), batch=1)
    wall = time.perf_counter() - began
    stats = source.stats
    assert len(rows(chunks)) == 30
    assert stats.decode_s > 0.5
    assert stats.backbone_s > 0.5
    assert wall < 0.8 * (stats.decode_s + stats.backbone_s)


def test_a_camera_that_is_too_fast_loses_frames_and_says_so():
    frames = stretch(400)
    chunks, source = run(Frames(frames, live=True, pause_s=0.001), made=Slow(MADE, 0.02), queue_s=1.0)
    assert source.stats.gaps > 0
    kept = len(rows(chunks))
    assert source.stats.lost + 2 * kept == pytest.approx(400, abs=2 * source.stats.gaps + 2)
    assert sum(c.dropped for c in chunks) == source.stats.lost
    for chunk in chunks:
        assert chunk.at is None or chunk.at == pytest.approx(round(chunk.at * FPS) / FPS)
    slow, source = run(Frames(frames[:60], live=True), made=Slow(MADE, 0.002), queue_s=1.0, overflow="wait")
    assert source.stats.lost == 0
    assert len(rows(slow)) == 30


def test_degrade_says_that_it_is_behind_before_it_drops():
    source = VideoSource(
        Frames(stretch(300), live=True, pause_s=0.001), Slow(MADE, 0.02), queue_s=1.0, overflow="degrade"
    )
    behind = []
    for item in source.items():
        if isinstance(item, Chunk):
            behind.append((source.behind, source.stats.lost))
    assert any(late and lost == 0 for late, lost in behind)
    assert source.stats.lost > 0
    assert not source.behind  # all was worked off
    eager = VideoSource(Frames(stretch(60), live=True), Slow(MADE, 0.002), queue_s=1.0, overflow="drop_oldest")
    assert not any(eager.behind for _ in eager.items())


def test_chunks_of_a_recording_are_joined():
    script = [*stretch(10, lost={5: 3}), Gap(3.0), *stretch(40, start=3.0)]
    source = VideoSource(Frames(script), MADE, batch=2)
    joined = list(coalesce(source.items(), 8))
    apart, _ = run(script, batch=2)
    np.testing.assert_array_equal(rows(joined), rows(apart))
    assert [c.at for c in joined] == [0.0, 3.0, None, None]
    assert [c.lost for c in joined] == [((2, 3),), (), (), ()]


@pytest.mark.parametrize(
    ("name", "head", "video"),
    [
        ("a.mp4", b"", True),
        ("a.MKV", b"not a video", True),
        ("a.npy", b"\x93NUMPY\x01\x00", False),
        ("a.npy", b"\0\0\0\x20ftypisom", True),
        ("a.dat", b"\0\0\0\x20ftypisom", True),
        ("a.dat", b"RIFF....AVI LIST", True),
        ("a.dat", b"RIFF....WAVEfmt ", False),
        ("a.dat", (b"\x47" + bytes(187)) * 3, True),
        ("a.dat", b"\x1a\x45\xdf\xa3", True),
        ("a.f32", b"\x1a\x45\xdf\xa3", False),
        ("a.dat", b"\0\0\0\1\x67", True),
        ("a.f32", b"\0\0\0\1\x67", False),
        ("a.dat", b"GIF89a", True),
        ("a.mjpeg", b"\xff\xd8\xff", True),
        ("a.mp4", None, True),
        ("a.feat", None, False),
    ],
)
def test_what_counts_as_video(tmp_path, name, head, video):
    if head is not None:
        (tmp_path / name).write_bytes(head)
    assert is_video_input(str(tmp_path / name)) is video


def test_addresses_and_folders(tmp_path):
    framed = tmp_path / "framed.mp4"
    framed.write_bytes(encode_header(dim=4, stride_s=0.2, name="x"))
    assert not is_video_input(str(framed))
    for address in ("rtsp://cam/1", "https://host/live.m3u8", "camera:/dev/video0", "RTSP://cam"):
        assert is_video_input(address)
    for address in ("-", "tcp://:5000", "unix:///run/x.mp4", str(tmp_path)):
        assert not is_video_input(address)
    assert stream_name("rtsp://user:secret@cam:554/one?token=secret") == "cam:554/one"
    assert stream_name("camera:/dev/video0") == "/dev/video0"
    assert find_videos(tmp_path) == [framed]
    (tmp_path / "set" / "videos").mkdir(parents=True)
    (tmp_path / "set" / "videos" / "b.avi").touch()
    assert [p.name for p in find_videos(tmp_path / "set")] == ["b.avi"]


def test_a_video_without_a_backbone_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match="--backbone") as error:
        open_source("rtsp://user:secret@cam/1", dim=4, stride_s=0.2)
    assert error.value.code == "bundle-without-backbone"
    assert "pass `bundle=`" in str(error.value)
    assert "secret" not in str(error.value)
