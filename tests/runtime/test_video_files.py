"""Video files: whole ones, odd ones, broken ones. Each has its defined outcome, and none hangs or shows a traceback."""

from __future__ import annotations

import functools
import gc
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from punctum.runtime.errors import InputError, MissingDependencyError
from punctum.runtime.video import Gap, Sampled, VideoOptions, open_frames, video_files
from punctum.runtime.video.files import videos_below

from tests.helpers import video_corpus as corpus

claim, cut, damage, encode, join, number = (
    corpus.claim,
    corpus.cut,
    corpus.damage,
    corpus.encode,
    corpus.join,
    corpus.number,
)

FPS = 10.0
WHOLE = [1, 3, 6, 8, 11, 13, 16, 18, 21, 23, 26, 28, 31, 33, 36, 38, 41, 43, 46, 48]
"""What 50 frames at 25 a second show on a grid of 10 a second."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the whole files that others are made from."""
    folder = tmp_path_factory.mktemp("videos")
    for name in ("whole.mp4", "whole.mkv", "whole.ts"):
        encode(folder / name, muxer={"movflags": "faststart"} if name.endswith("mp4") else None)
    return folder


def read(path: Path, **options: float) -> tuple[list[Sampled | Gap], dict[str, int]]:
    source = open_frames(str(path), fps=FPS, options=VideoOptions(**options) if options else None)
    try:
        items = [item for item in source.frames() if item is not None]
        return items, dict(source.dropped)
    finally:
        source.close()


def numbers(items: list[Sampled | Gap]) -> list[int]:
    return [number(item.image) for item in items if isinstance(item, Sampled)]


def lost(items: list[Sampled | Gap]) -> int:
    return sum(item.lost for item in items)


@pytest.mark.parametrize("name", corpus.BROKEN)
def test_a_file_without_video_ends_in_an_error_that_helps(name: str, tmp_path: Path) -> None:
    make, code = corpus.BROKEN[name]
    path = make(tmp_path)
    with pytest.raises(InputError) as caught:
        open_frames(str(path), fps=FPS)
    assert caught.value.code == code
    assert str(path) in caught.value.given
    assert caught.value.expected or caught.value.next_step
    assert caught.value.next_step
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_regular_file_is_refused_rather_than_waited_for(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "never.mp4"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made_socket:
            made_socket.bind(str(path))
    else:
        path = Path("/dev/zero")
    with pytest.raises(InputError) as caught:
        open_frames(str(path), fps=FPS)
    assert caught.value.code == "video-special"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(made: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(made / "whole.mp4", tmp_path))
    path.chmod(0)
    with pytest.raises(InputError) as caught:
        open_frames(str(path), fps=FPS)
    assert caught.value.code == "video-permission"


def test_a_file_that_may_not_be_read_as_told_by_the_system(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError) as caught:
        open_frames(str(made / "whole.mp4"), fps=FPS)
    assert caught.value.code == "video-permission"


@pytest.mark.parametrize("name", ["whole.mp4", "whole.mkv", "whole.ts"])
def test_the_frame_on_screen_at_the_middle_of_each_cell(name: str, made: Path) -> None:
    items, dropped = read(made / name)
    assert numbers(items) == WHOLE
    assert [item.at for item in items] == [k / FPS for k in range(20)]
    assert [item.index for item in items if isinstance(item, Sampled)] == list(range(20))
    assert lost(items) == 0
    assert dropped == {}


def test_frames_are_what_they_should_be(made: Path) -> None:
    source = open_frames(str(made / "whole.mp4"), fps=FPS)
    assert (source.info.width, source.info.height, source.info.rate, source.info.duration_s) == (128, 96, 25.0, 2.0)
    assert (source.info.codec, source.info.rotation, source.info.live, source.live) == ("h264", 0, False, False)
    first = next(iter(source.frames()))
    source.close()
    assert isinstance(first, Sampled)
    assert first.image.dtype == np.uint8
    assert first.image.shape == (96, 128, 3)
    assert first.image.flags.c_contiguous
    assert np.abs(first.image.astype(int) - corpus.picture(1)).mean() < 12


def test_colors_come_in_the_order_rgb(tmp_path: Path) -> None:
    path = encode(tmp_path / "red.mp4", 5, paint=lambda k: np.full((96, 128, 3), (200, 30, 60), np.uint8))
    items, _ = read(path)
    assert isinstance(items[0], Sampled)
    assert np.abs(items[0].image.mean((0, 1)) - (200, 30, 60)).max() < 8


@pytest.mark.parametrize(
    ("pixels", "full"), [("yuv420p", False), ("yuvj420p", True), ("yuv420p10le", False), ("yuv420p10le", True)]
)
def test_colors_of_every_range(pixels: str, full: bool, tmp_path: Path) -> None:
    color = (220, 40, 10)
    paint = functools.partial(np.full, (96, 128, 3), color, np.uint8)
    path = encode(tmp_path / "red.mkv", 5, pixels=pixels, full_range=full, paint=lambda k: paint())
    items, _ = read(path)
    assert isinstance(items[0], Sampled)
    assert np.abs(items[0].image.mean((0, 1)) - color).max() < 4


@pytest.mark.parametrize(("count", "cells"), [(1, 1), (2, 1), (3, 1), (4, 2), (7, 3)])
def test_very_short_files(count: int, cells: int, tmp_path: Path) -> None:
    items, _ = read(encode(tmp_path / "short.mp4", count))
    assert len(items) == cells
    assert numbers(items)[0] == min(1, count - 1)


def test_a_file_cut_in_its_data_gives_what_it_has_and_tells_what_it_lacks(made: Path, tmp_path: Path) -> None:
    items, dropped = read(cut(tmp_path / "cut.mp4", made / "whole.mp4", 0.6))
    assert numbers(items) == WHOLE[: len(items)]
    assert 5 < len(items) < 15
    assert lost(items) == dropped["missing-at-end"] == 50 - round(25 * (items[-1].at + 0.1)) + 1


@pytest.mark.parametrize(("name", "least"), [("whole.mkv", 5), ("whole.ts", 9)])
def test_other_containers_cut_off(name: str, least: int, made: Path, tmp_path: Path) -> None:
    items, dropped = read(cut(tmp_path / name, made / name, 0.6))
    assert numbers(items) == WHOLE[: len(items)]
    assert least < len(items) < 15
    assert ("missing-at-end" in dropped) == (name == "whole.mkv")  # the length of a ts is estimated from what is there


def test_a_corrupted_middle_is_bridged_and_counted(made: Path, tmp_path: Path) -> None:
    items, dropped = read(damage(tmp_path / "bad.mp4", made / "whole.mp4", 0.5, 0.6))
    assert len(items) == 20
    assert not any(isinstance(item, Gap) for item in items)
    assert numbers(items)[:4] == WHOLE[:4]
    assert numbers(items)[-6:] == WHOLE[-6:]
    assert lost(items) == dropped.get("corrupt", 0) + dropped.get("not-decodable", 0) > 0


def test_bytes_missing_from_a_stream_are_noticed_by_its_rhythm(made: Path, tmp_path: Path) -> None:
    items, dropped = read(damage(tmp_path / "bad.ts", made / "whole.ts", 0.4, 0.6))
    assert len(items) == 20
    assert numbers(items)[-6:] == WHOLE[-6:]
    assert lost(items) == dropped["missing"] > 0


def test_a_corrupted_middle_of_matroska(made: Path, tmp_path: Path) -> None:
    items, dropped = read(damage(tmp_path / "bad.mkv", made / "whole.mkv", 0.4, 0.6))
    assert numbers(items) == WHOLE[: len(items)]
    assert dropped["missing-at-end"] > 0


def test_random_damage_never_raises_anything_but_an_input_error(made: Path, tmp_path: Path) -> None:
    for seed in range(12):
        source = made / ("whole.mp4", "whole.mkv", "whole.ts")[seed % 3]
        begin = (seed * 0.13) % 0.9
        path = damage(tmp_path / f"{seed}{source.suffix}", source, begin, begin + 0.08, seed)
        try:
            items, _ = read(path)
        except InputError as error:
            assert error.code.startswith("video-")
            continue
        times = [item.at for item in items]
        assert times == sorted(times)


@pytest.mark.parametrize("which", [20, 25, 30])
def test_a_stream_that_damage_makes_up_late(which: int, made: Path, tmp_path: Path) -> None:
    data = bytearray((made / "whole.ts").read_bytes())
    starts = [k for k in range(0, len(data), 188) if data[k + 1] & 0x5F == 0x41 and data[k + 2] == 0]
    data[starts[which] + 1], data[starts[which] + 2] = 0x41, 0x23  # a frame of stream 0x100 is now of 0x123
    path = tmp_path / "made-up.ts"
    path.write_bytes(data)
    items, _ = read(path)
    assert len(items) == 20
    assert numbers(items)[:6] == WHOLE[:6]


def test_a_header_that_claims_four_hours(made: Path, tmp_path: Path) -> None:
    assert numbers(read(claim(tmp_path / "long.mp4", made / "whole.mp4", 4))[0]) == WHOLE
    path = corpus.claim_mkv(tmp_path / "long.mkv", made / "whole.mkv", 4)
    source = open_frames(str(path), fps=FPS)
    items = [item for item in source.frames() if item is not None]
    source.close()
    assert source.info.duration_s == 4 * 3600
    assert numbers(items) == WHOLE
    assert lost(items) == 0
    assert source.dropped["missing-at-end"] > 300_000


def test_a_variable_rate(tmp_path: Path) -> None:
    path = encode(tmp_path / "vfr.mp4", times=[0, 0.01, 0.02, 0.3, 0.31, 0.8, 0.85, 0.9, 1.5, 1.51])
    items, dropped = read(path)
    assert numbers(items) == [2, 2, 2, 4, 4, 4, 4, 4, 6, 7, 7, 7, 7, 7, 7, 9]
    assert lost(items) == 0
    assert dropped == {}


def test_negative_stamps_start_at_zero(tmp_path: Path) -> None:
    items, _ = read(encode(tmp_path / "negative.mkv", times=[-0.5 + k / 25 for k in range(50)]))
    assert numbers(items) == WHOLE
    assert items[0].at == 0


def test_stamps_that_begin_again_go_on(made: Path, tmp_path: Path) -> None:
    second = encode(tmp_path / "second.ts", first=100)
    items, dropped = read(join(tmp_path / "joined.ts", [made / "whole.ts", second]))
    assert numbers(items) == [*WHOLE, *(100 + k for k in WHOLE)]
    assert dropped["stamp-backwards"] == 1
    assert lost(items) == 0


def test_a_stream_without_stamps_runs_at_its_nominal_rate(tmp_path: Path) -> None:
    items, dropped = read(encode(tmp_path / "raw.h264", form="h264", b_frames=2))
    assert numbers(items) == WHOLE
    assert dropped == {}


def test_stamps_that_jump_forward_make_a_gap(tmp_path: Path) -> None:
    path = encode(tmp_path / "jump.mkv", times=[k / 25 if k < 25 else 30 + k / 25 for k in range(50)])
    items, _ = read(path)
    (gap,) = [item for item in items if isinstance(item, Gap)]
    assert gap == Gap(31.0, 0, "stamps-jumped")
    assert numbers(items) == WHOLE
    assert read(path, max_hold_s=100.0)[0][-1].at == pytest.approx(31.9)


def test_a_step_that_is_short_enough_repeats_the_frame_on_screen(tmp_path: Path) -> None:
    items, _ = read(encode(tmp_path / "hold.mkv", times=[k / 25 if k < 25 else 0.8 + k / 25 for k in range(50)]))
    assert not any(isinstance(item, Gap) for item in items)
    assert numbers(items)[10:18] == [24] * 8


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_metadata_is_applied(degrees: int, tmp_path: Path) -> None:
    source = open_frames(str(encode(tmp_path / "turned.mp4", 10, rotation=degrees)), fps=FPS)
    first = next(iter(source.frames()))
    source.close()
    assert isinstance(first, Sampled)
    assert source.info.rotation == degrees
    assert (
        (source.info.height, source.info.width) == first.image.shape[:2] == ((96, 128) if degrees == 180 else (128, 96))
    )
    assert number(np.rot90(first.image, -degrees // 90)) == 1
    assert first.image.flags.c_contiguous


def test_a_mirrored_file_is_put_right(tmp_path: Path) -> None:
    items, _ = read(encode(tmp_path / "mirrored.mp4", 10, rotation=90, mirror=True))
    assert isinstance(items[0], Sampled)
    candidates = [number(np.rot90(items[0].image[:, ::-1], k)) for k in range(4)]
    assert 1 in candidates


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({"name": "odd.mp4", "size": (121, 161), "pixels": "yuv444p"}, id="odd size"),
        pytest.param(
            {"name": "odd.mkv", "size": (97, 131), "codec": "ffv1", "pixels": "yuv420p"}, id="odd size, 4:2:0"
        ),
        pytest.param(
            {"name": "tiny.mkv", "size": (16, 16), "codec": "ffv1", "pixels": "bgr0", "readable": False}, id="tiny"
        ),
        pytest.param({"name": "gray.mkv", "codec": "ffv1", "pixels": "gray"}, id="gray"),
        pytest.param({"name": "gray16.mkv", "codec": "ffv1", "pixels": "gray16le"}, id="gray, 16 bits"),
        pytest.param({"name": "ten.mp4", "pixels": "yuv420p10le"}, id="10 bits"),
        pytest.param({"name": "full.avi", "codec": "mjpeg", "pixels": "yuvj420p", "full_range": True}, id="full range"),
        pytest.param({"name": "alpha.mkv", "codec": "ffv1", "pixels": "yuva420p"}, id="alpha"),
        pytest.param({"name": "old.avi", "codec": "mpeg4"}, id="mpeg-4"),
    ],
)
def test_sizes_and_pixel_formats(form: dict[str, object], tmp_path: Path) -> None:
    form = dict(form)
    readable = bool(form.pop("readable", True))
    items, _ = read(encode(tmp_path / str(form.pop("name")), 10, **form))  # type: ignore[arg-type]
    assert len(items) == 4
    assert isinstance(items[0], Sampled)
    assert items[0].image.shape == (*form.get("size", (96, 128)), 3)  # type: ignore[misc]
    assert not readable or numbers(items) == WHOLE[:4]


def test_a_size_that_changes_in_mid_stream(made: Path, tmp_path: Path) -> None:
    second = encode(tmp_path / "second.ts", first=100, size=(48, 64))
    items, _ = read(join(tmp_path / "joined.ts", [made / "whole.ts", second]))
    assert numbers(items) == [*WHOLE, *(100 + k for k in WHOLE)]
    assert {item.image.shape[:2] for item in items if isinstance(item, Sampled)} == {(96, 128), (48, 64)}


@pytest.mark.parametrize(
    "name", ["video.avi", "video", "rtsp:odd name.mp4", "-i.mp4", "100%.mp4", "ünïcode \u2603.mp4"]
)
def test_names_do_not_matter(name: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(made / "whole.mp4", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert numbers(read(Path(name))[0]) == WHOLE


def test_reading_again_after_closing(made: Path) -> None:
    source = open_frames(str(made / "whole.mp4"), fps=FPS)
    stream = source.frames()
    next(stream)
    source.close()
    assert list(stream) == []
    source.open()
    assert len(list(source.frames())) == 20
    source.close()
    source.close()


def test_frames_do_not_wait_for_the_collector_of_cycles(made: Path) -> None:
    gc.collect()
    gc.disable()
    try:
        source = open_frames(str(made / "whole.mp4"), fps=25.0)
        assert sum(1 for _ in source.frames()) == 50
        kept = [thing for thing in gc.get_objects() if type(thing).__name__ == "VideoFrame"]
        source.close()
    finally:
        gc.enable()
    assert len(kept) < 5


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), 1e6])
def test_rates_that_make_no_sense(fps: float, made: Path) -> None:
    with pytest.raises(InputError) as caught:
        open_frames(str(made / "whole.mp4"), fps=fps)
    assert caught.value.code == "video-fps"


@pytest.mark.parametrize(
    "options",
    [
        {"max_hold_s": 0},
        {"threads": -1},
        {"policy": "keep"},
        {"transport": "pigeon"},
        {"reconnect_s": -1},
        {"backoff_s": 60},
    ],
)
def test_options_that_make_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        VideoOptions(**options)  # type: ignore[arg-type]
    assert caught.value.code == "video-option"


def test_videos_in_subfolders_are_named(tmp_path: Path) -> None:
    (tmp_path / "monday" / ".hidden").mkdir(parents=True)
    for name in ("a.mp4", "b.MKV", ".c.mp4", "notes.txt", ".hidden/d.mp4"):
        (tmp_path / "monday" / name).touch()
    with pytest.raises(InputError, match=r"no video \(2 videos in its subfolders, which are not read\)"):
        video_files(tmp_path)
    assert videos_below(tmp_path / "monday", most=1).startswith(" (at least 2 videos")
    assert videos_below(tmp_path / "monday" / ".hidden" / "none") == ""


def test_the_videos_of_a_folder(made: Path, tmp_path: Path) -> None:
    for name in ("b.MP4", "a.mkv", ".hidden.mp4", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.mp4").mkdir()
    assert [path.name for path in video_files(tmp_path)] == ["a.mkv", "b.MP4"]
    assert video_files(made / "whole.mp4") == [made / "whole.mp4"]
    for folder, code in ((tmp_path / "folder.mp4", "video-folder-empty"), (tmp_path / "none", "video-missing")):
        with pytest.raises(InputError) as caught:
            video_files(folder)
        assert caught.value.code == code


def test_a_missing_library_is_named(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingDependencyError, match=r"punctum\[video\]"):
        open_frames(str(made / "whole.mp4"), fps=FPS)


def test_importing_imports_no_video_library() -> None:
    code = "import sys, punctum.runtime.video, punctum.runtime.video.live; print('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
