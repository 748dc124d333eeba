"""A data set folder of procedural videos: H.264 files, ground truth, simulated clicks and lists."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, MissingDependencyError, PunctumError
from ...files.atomic import atomic_folder
from .scene import LABELS, SCENES_VERSION, Scene, Segments, check_options, render

_MAX_COUNT = 100_000
_CRF = (19, 29)  # range of the x264 quality: from clean to visibly compressed


def write_videos(
    out: str | Path,
    *,
    count: int,
    seed: int,
    seconds: float = 40.0,
    size: tuple[int, int] = (120, 160),
    fps: float = 20.0,
    test_share: float = 0.25,
    progress: Callable[[float], None] | None = None,
) -> list[str]:
    """Write videos with ground truth and one simulated click per action. The folder is written atomically.

    In gt.json, each video also has `near_misses`, in the format of annotations: motions that imitate a class, which
    evaluation ignores.

    Args:
        out: The folder to write.
        count: Number of videos.
        seed: Seed of the generator.
        seconds: Length of each video.
        size: Height and width in pixels.
        fps: Frame rate.
        test_share: Share of the videos for testing.
        progress: Called with the seconds of video rendered since the last call.

    Returns:
        The classes without an action in the training videos. Training refuses a data set that has any.

    Raises:
        InputError: An option is invalid, or the folder exists.
        MissingDependencyError: PyAV is not installed.
        PunctumError: The videos cannot be written.
    """
    check_options(seconds=seconds, size=size, fps=fps)
    if not 2 <= count <= _MAX_COUNT:
        raise InputError("scene-option", f"`count` is {count}", f"2 to {_MAX_COUNT}", "change `count`")
    if seed < 0:
        raise InputError("scene-option", f"`seed` is {seed}", "0 or more", "change `seed`")
    if not 0 < test_share < 1:
        raise InputError("scene-option", f"`test_share` is {test_share}", "between 0 and 1", "change `test_share`")
    try:
        import av  # noqa: F401
    except ModuleNotFoundError:
        raise MissingDependencyError("av", "video", "writing videos") from None
    names = [f"scene_{seed}_{i:03d}" for i in range(count)]
    rng = np.random.default_rng([SCENES_VERSION, seed, count])
    cut = count - min(max(round(test_share * count), 1), count - 1)
    database: dict[str, Any] = {}
    rows = ["class,video_id,time_s"]
    clicked = set[str]()
    with atomic_folder(out) as draft:
        try:
            (draft / "videos").mkdir()
            for i, name in enumerate(names):
                scene = render(scene_seed(name), seconds=seconds, size=size, fps=fps)
                encode(scene, draft / "videos" / f"{name}.mp4", crf=int(rng.integers(*_CRF)), on_progress=progress)
                subset = "train" if i < cut else "test"
                database[name] = _truth(scene, subset)
                clicks = sorted(_clicks(scene, rng), key=lambda click: click[1])
                rows += [f"{LABELS[c]},{name},{time_s:.3f}" for c, time_s in clicks]
                clicked |= {LABELS[c] for c, _ in clicks} if subset == "train" else set()
            info = {
                "name": f"scenes-{seed}",
                "classes": list(LABELS),
                "fps": fps,
                "videos": True,
                "video_folder": "videos",
                "scenes_version": SCENES_VERSION,
            }
            (draft / "dataset.json").write_text(json.dumps(info, indent=1) + "\n")
            (draft / "gt.json").write_text(json.dumps({"database": database}, indent=0) + "\n")
            (draft / "points.csv").write_text("\n".join(rows) + "\n")
            (draft / "train.txt").write_text("\n".join(names[:cut]) + "\n")
            (draft / "test.txt").write_text("\n".join(names[cut:]) + "\n")
        except OSError as error:
            raise PunctumError(
                "write-failed",
                f"{out} cannot be written ({error})",
                required="free space in a writable folder",
                next_step="free space",
            ) from error
    return [label for label in LABELS if label not in clicked]


def scene_seed(name: str) -> int:
    """The seed of a video of `write_videos` by its name. `render` with this seed gives the scene without encoding."""
    _, seed, number = name.rsplit("_", 2)
    return int(seed) * _MAX_COUNT + int(number)


def encode(scene: Scene, path: Path, *, crf: int = 23, on_progress: Callable[[float], None] | None = None) -> None:
    """Write a scene as H.264 (yuv420p) in MP4. on_progress: called with the seconds that were added.

    One thread, because the output of x264 depends on the number of threads. No macroblock tree, because with it the
    output depends on uninitialized memory.
    """
    import av

    rate = Fraction(scene.fps).limit_denominator(1001)
    height, width = scene.size
    try:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=rate)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.options = {"crf": str(crf), "preset": "veryfast", "threads": "1", "mbtree": "0"}
            for frame in scene.frames():
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
                if on_progress is not None:
                    on_progress(1.0 / scene.fps)
            container.mux(stream.encode())
    except av.error.FFmpegError as error:
        raise PunctumError(
            "write-failed", f"{path.name} cannot be encoded ({error})", required="free space", next_step="free space"
        ) from error


def _truth(scene: Scene, subset: str) -> dict[str, Any]:
    """The entry of one video in gt.json."""

    def listed(segments: Segments) -> list[dict[str, Any]]:
        return [{"label": LABELS[c], "segment": [round(a, 4), round(b, 4)]} for c, a, b in segments]

    return {
        "subset": subset,
        "duration": round(scene.duration_s, 4),
        "fps": scene.fps,
        "num_frames": scene.frame_count,
        "annotations": listed(scene.actions),
        "near_misses": listed(scene.near_misses),
    }


def _clicks(scene: Scene, rng: np.random.Generator) -> Iterable[tuple[int, float]]:
    """Label and time in seconds of one click per action: near its middle, with a deviation of 0.2 of its length."""
    for label, start, end in scene.actions:
        place = float(np.clip(rng.normal(0.5, 0.2), 0.02, 0.98))
        yield label, start + place * (end - start)
