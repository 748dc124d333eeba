"""Procedural videos: the truth agrees with what moves, near misses are no actions, written sets are whole or absent."""

from __future__ import annotations

import collections
import errno
import filecmp
import functools
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime.cli import main
from punctum.runtime.datasets.check import check_dataset
from punctum.runtime.datasets.dataset import Dataset
from punctum.runtime.errors import InputError, PunctumError
from punctum.runtime.synthetic.video import LABELS, Scene, render, write_videos
from punctum.runtime.synthetic.video.dataset import scene_seed

SHORT = {"seconds": 8.0, "size": (48, 64), "fps": 10.0}
SEEDS = range(40)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    """Plans of forty videos; nothing is drawn."""
    return [render(seed, size=(48, 64)) for seed in SEEDS]


def first_frames(scene: Scene, count: int = 6) -> np.ndarray:
    return np.stack(list(itertools.islice(scene.frames(), count)))


def window(scene: Scene, body: int, start: float, end: float) -> dict[str, np.ndarray]:
    """State of a body in the frames whose middle lies in [start, end)."""
    middle = (np.arange(scene.frame_count) + 0.5) / scene.fps
    inside = (middle >= start) & (middle < end)
    return {name: values[inside] for name, values in scene.tracks(body).items()}


def activity(scene: Scene, body: int) -> np.ndarray:
    """How fast a body changes, per second, in units of what an idle one does in a second."""
    b = scene.tracks(body)
    rates = [
        np.hypot(np.gradient(b["x"]), np.gradient(b["y"])) / 0.06,
        np.abs(np.gradient(b["turn"])) / 0.9,
        np.abs(np.gradient(np.log(b["size"]))) / 0.25,
        np.abs(np.gradient(b["stretch"])) / 0.25,
        np.abs(np.gradient(b["limbs"][:, :2], axis=0)).max(axis=1) / 0.9,
        5.0 * np.abs(np.gradient(b["alpha"])),
    ]
    return np.max(rates, axis=0) * scene.fps


def seen_as(scene: Scene, body: int, start: float, end: float) -> set[str]:
    """Classes that the course of one body in a segment satisfies, by rules that a person would give."""
    b = window(scene, body, start, end)
    found = set()
    x, y = b["x"] - b["x"][0], b["y"] - b["y"][0]
    turned, size = b["turn"] - b["turn"][0], b["size"] / b["size"][0]
    way = np.hypot(x, y)
    if b["alpha"][0] > 0 and b["alpha"][-1] > 0 and b["behind"].any() and not b["behind"].all():
        found.add("hide")
    if b["behind"].all() and way.max() > 0.15 and way[-1] < 0.4 * way.max():
        found.add("hide")
    if abs(turned[-1]) > 0.9 * 2 * np.pi:
        found.add("spin")
    if size.max() > 1.4 and size[-1] < 1.25:
        found.add("pulse")
    if b["alpha"][0] == 0 and b["alpha"][-1] > 0:
        found.add("split")
    if size[-1] < 0.4:
        found.add("merge")
    if 1.1 < np.abs(turned).max() < 2.0 and np.hypot(x[-1], y[-1]) > 0.1 and abs(b["turn"][0]) < 0.4:
        found.add("fall")
    if -y.min() > 0.12 and abs(y[-1]) < 0.06 and not b["behind"].any():
        found.add("jump")
    steps = np.diff(np.stack([x, y], 1), axis=0)
    turns = np.sum(steps[1:] * steps[:-1], axis=1) < 0.8 * np.prod(np.linalg.norm([steps[1:], steps[:-1]], axis=2), 0)
    if turns.sum() >= 2 and np.hypot(x[-1], y[-1]) > 0.2 and np.abs(steps).max() < 0.3:  # not a distractor's return
        found.add("zigzag")
    arm = b["limbs"][:, :2].max(axis=1)
    swings = np.diff(np.sign(np.diff(arm[arm > 1.2])))
    if arm.max() > 1.8 and (swings != 0).sum() >= 3:
        found.add("wave")
    return found


def test_the_same_seed_gives_the_same_frames_and_another_seed_does_not():
    a, b, c = (render(seed, **SHORT) for seed in (3, 3, 4))
    frames = first_frames(a)
    assert frames.dtype == np.uint8 and frames.shape == (6, 48, 64, 3)
    assert np.array_equal(frames, first_frames(b)) and np.array_equal(frames, first_frames(a))
    assert a.actions == b.actions and a.near_misses == b.near_misses
    assert not np.array_equal(frames, first_frames(c))
    assert len({frame.tobytes() for frame in frames}) == 6  # noise: no two frames are equal
    assert sum(1 for _ in a.frames()) == a.frame_count == 80 and a.duration_s == 8.0


def test_size_changes_the_pixels_and_not_what_happens():
    small, large = render(5, size=(48, 64)), render(5, size=(120, 160))
    assert small.actions == large.actions and small.near_misses == large.near_misses


def test_the_truth_lies_inside_the_video_and_classes_do_not_overlap_themselves(scenes):
    for scene in scenes:
        for part in (scene.actions, scene.near_misses):
            assert list(part) == sorted(part, key=lambda item: item[1])
            assert all(0 <= c < len(LABELS) and 0 <= a < b <= scene.duration_s for c, a, b in part)
            assert all(0.2 <= b - a <= 4.0 for _, a, b in part)
        assert all(b - a >= 0.59 for _, a, b in scene.actions)
        together = sorted((c, a, b) for c, a, b in scene.actions + scene.near_misses)
        for (c, _, end), (d, start, _) in itertools.pairwise(together):
            assert c != d or end <= start
        assert len(scene.actors) == len(scene.actions) and all(scene.actors)


def test_a_third_of_the_time_is_action_and_classes_are_balanced(scenes):
    shares, overlapping = [], 0
    for scene in scenes:
        middle = (np.arange(scene.frame_count) + 0.5) / scene.fps
        running = np.sum([(middle >= a) & (middle < b) for _, a, b in scene.actions], axis=0)
        shares.append(np.mean(running > 0))
        overlapping += bool((running > 1).any())
    assert 0.25 < np.mean(shares) < 0.35
    assert overlapping > len(scenes) / 4
    for part, least in (("actions", 0.6), ("near_misses", 0.3)):
        counts = collections.Counter(c for scene in scenes for c, _, _ in getattr(scene, part))
        assert len(counts) == len(LABELS)
        assert min(counts.values()) > least * np.mean(list(counts.values())), (part, counts)


def test_annotated_starts_and_ends_are_those_of_the_motion(scenes):
    """The acting bodies move inside, and are at rest just before and (where they survive) just after."""
    inside, outside = [], []
    for scene in scenes:
        middle = (np.arange(scene.frame_count) + 0.5) / scene.fps
        for (label, start, end), bodies in zip(scene.actions, scene.actors, strict=True):
            moving = np.max([activity(scene, body) for body in bodies], axis=0)
            edge = 0.2 * (end - start)
            inside.append(moving[(middle >= start) & (middle < start + edge)].max())
            inside.append(moving[(middle >= end - edge) & (middle < end)].max())
            outside.append(moving[(middle >= start - 0.25) & (middle < start - 0.08)].max(initial=0.0))
            if LABELS[label] != "split":  # a new body has not begun to idle yet
                outside.append(moving[(middle >= end + 0.08) & (middle < end + 0.25)].max(initial=0.0))
    assert np.mean(np.array(inside) > 1.2) > 0.97
    assert np.mean(np.array(outside) < 1.2) > 0.97
    assert np.median(inside) > 4 * np.median(outside)


def test_a_perfect_eye_tells_the_classes_apart_and_refuses_near_misses(scenes):
    right, total, fooled, imitations = 0, 0, collections.Counter(), 0
    for scene in scenes:
        for (label, start, end), bodies in zip(scene.actions, scene.actors, strict=True):
            found = set().union(*(seen_as(scene, body, start, end) for body in bodies))
            if LABELS[label] == "bounce":
                distance = [window(scene, body, start, end) for body in bodies]
                away = np.hypot(distance[0]["x"] - distance[1]["x"], distance[0]["y"] - distance[1]["y"])
                found |= {"bounce"} if 2 <= np.argmin(away) < len(away) - 2 else set()
            total += 1
            right += LABELS[label] in found
        for label, start, end in scene.near_misses:
            imitations += 1
            busy = {
                b
                for (_, a, z), who in zip(scene.actions, scene.actors, strict=True)
                if a < end and z > start
                for b in who
            }
            others = set(range(scene.body_count)) - busy
            if any(LABELS[label] in seen_as(scene, body, start, end) for body in others):
                fooled[LABELS[label]] += 1
    assert right / total > 0.97
    assert sum(fooled.values()) / imitations < 0.03, fooled


def test_brightness_says_little_about_the_class(scenes):
    """Mean color during the actions of a class, less the video's own: no class stands out."""
    change = collections.defaultdict(list)
    for seed in range(12):
        scene = render(seed, size=(48, 64), fps=10.0)
        means = np.stack([frame.mean(axis=(0, 1)) for frame in scene.frames()])
        for label, start, end in scene.actions:
            inside = means[int(start * 10) : int(np.ceil(end * 10))]
            change[label].append(inside.mean(axis=0) - means.mean(axis=0))
    spread = np.std(np.concatenate(list(change.values())), axis=0)
    for label, values in change.items():
        strength = np.abs(np.mean(values, axis=0)) / (spread / np.sqrt(len(values)))
        assert strength.max() < 4.0, LABELS[label]


def test_bodies_stay_in_the_picture(scenes):
    for scene in scenes[:20]:
        for bodies in scene.actors:
            for body in bodies:
                b = scene.tracks(body)
                assert b["x"].min() > -0.05 and b["x"].max() < 4 / 3 + 0.05
                assert b["y"].min() > -0.05 and b["y"].max() < 1.05


@pytest.mark.parametrize(
    "options",
    [
        {"seconds": 1.0},
        {"seconds": float("nan")},
        {"fps": 0.0},
        {"fps": 200.0},
        {"size": (47, 64)},
        {"size": (49, 65)},
        {"size": (120, 60)},
        {"size": (4000, 6000)},
        {"seed": -1},
        {"count": 1},
        {"count": 0},
        {"test_share": 0.0},
        {"test_share": 1.5},
    ],
)
def test_bad_options_are_named(options, tmp_path):
    with pytest.raises(InputError) as error:
        write_videos(tmp_path / "v", **{"count": 4, "seed": 1, **options})
    assert error.value.expected and error.value.next_step
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    pytest.importorskip("av", reason="PyAV is not installed")
    folder = tmp_path_factory.mktemp("scenes") / "set"
    write_videos(folder, count=6, seed=7, seconds=40.0, size=(48, 64), fps=10.0)
    return folder


def test_a_written_set_passes_the_reading_functions(written):
    report = check_dataset(written)
    assert not report.findings, report.to_record()
    data = Dataset.open(written, need_features=False)
    assert data.labels == LABELS and data.fps == 10.0 and data.only_videos
    assert len(data.train) == 4 and len(data.test) == 2 and not set(data.train) & set(data.test)
    truth, points = data.truth("train"), data.points()
    for v, video in enumerate(truth.videos):
        assert data.video_file(video).is_file()
        mine = truth.video == v
        assert len(points[video]) == mine.sum()
        scene = render(scene_seed(video), seconds=40.0, size=(48, 64), fps=10.0)
        assert np.allclose(truth.segments[mine], [item[1:] for item in scene.actions], atol=1e-3)
        for point in points[video]:
            spans = truth.segments[mine & (truth.label == point.label)]
            assert ((spans[:, 0] < point.time_s) & (point.time_s < spans[:, 1])).any()


def test_near_misses_are_in_the_truth_file_and_evaluation_does_not_see_them(written):
    database = json.loads((written / "gt.json").read_text())["database"]
    near = [item for entry in database.values() for item in entry["near_misses"]]
    assert near and all(item["label"] in LABELS and len(item["segment"]) == 2 for item in near)
    data = Dataset.open(written, need_features=False)
    marked = sum(len(database[video]["annotations"]) for video in data.test)
    assert len(data.truth().segments) == marked


def test_videos_are_h264_and_show_the_scene(written):
    import av

    video = sorted((written / "videos").iterdir())[0]
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
        assert float(stream.average_rate) == 10.0 and stream.width == 64 and stream.height == 48
        frames = [(float(f.pts * stream.time_base), f.to_ndarray(format="rgb24")) for f in container.decode(stream)]
    scene = render(scene_seed(video.stem), seconds=40.0, size=(48, 64), fps=10.0)
    assert len(frames) == scene.frame_count == 400
    assert np.allclose([stamp for stamp, _ in frames], np.arange(400) / 10.0, atol=1e-3)
    for (_, shown), drawn in zip(frames, scene.frames(), strict=True):
        assert np.abs(shown.astype(float) - drawn).mean() < 16.0


def test_the_same_seed_writes_the_same_bytes(written, tmp_path):
    write_videos(tmp_path / "again", count=6, seed=7, seconds=40.0, size=(48, 64), fps=10.0)
    for file in (f for f in written.rglob("*") if f.is_file()):
        assert filecmp.cmp(file, tmp_path / "again" / file.relative_to(written), shallow=False), file.name


def test_bytes_do_not_depend_on_what_memory_held(tmp_path):
    """The C library fills memory with something else in each process (glibc)."""
    pytest.importorskip("av", reason="PyAV is not installed")
    script = """
import sys, pathlib
from punctum.runtime.synthetic.video import render
from punctum.runtime.synthetic.video.dataset import encode
encode(render(7, seconds=20.0, fps=10.0), pathlib.Path(sys.argv[1]))"""
    files = [tmp_path / "0.mp4", tmp_path / "85.mp4"]
    for file in files:
        environment = {**os.environ, "MALLOC_PERTURB_": file.stem}
        subprocess.run([sys.executable, "-c", script, file], check=True, env=environment)
    assert filecmp.cmp(*files, shallow=False)


def test_an_existing_folder_is_left_alone(written):
    before = sorted(file.stat().st_mtime_ns for file in written.rglob("*"))
    with pytest.raises(InputError, match="exists"):
        write_videos(written, count=4, seed=7, **SHORT)
    assert sorted(file.stat().st_mtime_ns for file in written.rglob("*")) == before


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path, monkeypatch):
    av = pytest.importorskip("av", reason="PyAV is not installed")
    calls = itertools.count()
    opened = av.open

    def fails(*arguments, **options):
        if next(calls) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(*arguments, **options)

    monkeypatch.setattr(av, "open", fails)
    with pytest.raises(PunctumError, match="No space left"):
        write_videos(tmp_path / "set", count=3, seed=1, **SHORT)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_control_c_leaves_nothing(tmp_path):
    pytest.importorskip("av", reason="PyAV is not installed")
    command = [sys.executable, "-c", "from punctum.runtime.cli import main; main()"]
    command += ["data", "make-videos", "--out", str(tmp_path / "set"), "--count", "2000", "--size", "64x48"]
    # A runner in the background may have its children ignore the signal.
    listen = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=listen)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".set.*/videos/*.mp4")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode not in (0, None) and b"Traceback" not in output
    assert not list(tmp_path.iterdir())


def test_the_command(tmp_path, monkeypatch, capsys):
    pytest.importorskip("av", reason="PyAV is not installed")

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["punctum", "data", "make-videos", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0)

    out = tmp_path / "videos"
    options = ("--count", "2", "--seed", "3", "--seconds", "8", "--size", "64x48", "--fps", "10")
    assert run("--out", str(out), *options) == 0
    assert len(list((out / "videos").glob("*.mp4"))) == 2
    assert run("--out", str(tmp_path / "other"), "--size", "160") == 2
    assert "160x120" in capsys.readouterr().err
    assert run("--out", str(tmp_path / "other"), "--count", "1") == 2
