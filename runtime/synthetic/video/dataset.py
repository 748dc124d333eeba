"""A data set folder of procedural videos: H.264 files, truth, simulated clicks, lists."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, MissingDependencyError, PunctumError
from ...files.atomic import atomic_folder
from ...text.display import counted
from .scene import LABELS, SCENES_VERSION, Scene, Segments, check_options, render

_MAX_COUNT = 100_000
_CRF = (19, 29)  # the range of x264 quality over the videos: from clean to visibly compressed


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
) -> None:
    """Write `count` videos with truth and one simulated click an action. size: height and width in pixels.

    The folder appears when it is whole. In gt.json each video has `near_misses` besides its annotations, in the same
    form: motions that imitate a class, which evaluation ignores. progress: receives the seconds of video that were
    rendered since its last call.
    Raises InputError for bad options or an existing folder, MissingDependencyError without PyAV, PunctumError where
    the videos cannot be written.
    """
    check_options(seconds=seconds, size=size, fps=fps)
    if not 2 <= count <= _MAX_COUNT:
        raise InputError("scene-option", counted(count, "video"), f"2 to {_MAX_COUNT}", "change --count")
    if seed < 0:
        raise InputError("scene-option", f"seed {seed}", "0 or more", "choose another seed")
    if not 0 < test_share < 1:
        raise InputError("scene-option", f"a test share of {test_share}", "more than 0, less than 1", "change it")
    try:
        import av  # noqa: F401
    except ModuleNotFoundError:
        raise MissingDependencyError("av", "video", "writing videos") from None
    names = [f"scene_{seed}_{i:03d}" for i in range(count)]
    rng = np.random.default_rng([SCENES_VERSION, seed, count])
    cut = count - min(max(round(test_share * count), 1), count - 1)
    database: dict[str, Any] = {}
    rows = ["class,video_id,point"]
    with atomic_folder(out) as draft:
        try:
            (draft / "videos").mkdir()
            for i, name in enumerate(names):
                scene = render(scene_seed(name), seconds=seconds, size=size, fps=fps)
                encode(scene, draft / "videos" / f"{name}.mp4", crf=int(rng.integers(*_CRF)), told=progress)
                subset = "train" if i < cut else "test"
                database[name] = _truth(scene, subset)
                rows += [
                    f"{LABELS[c]},{name},{point:.2f}"
                    for c, point in sorted(_clicks(scene, rng), key=lambda click: click[1])
                ]
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
                "write-failed", f"cannot write {out} ({error})", "free space in a writable folder", "make room"
            ) from error


def scene_seed(name: str) -> int:
    """The seed of a video that write_videos made, by its name: `render` with it gives the scene again, unencoded."""
    _, seed, number = name.rsplit("_", 2)
    return int(seed) * _MAX_COUNT + int(number)


def encode(scene: Scene, path: Path, *, crf: int = 23, told: Callable[[float], None] | None = None) -> None:
    """Write a scene as H.264 (yuv420p) in MP4. told: called with the seconds that were added.

    One thread: with several, x264's output depends on their number. No macroblock tree: with it, on what the memory
    held before.
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
                if told is not None:
                    told(1.0 / scene.fps)
            container.mux(stream.encode())
    except av.error.FFmpegError as error:
        raise PunctumError("write-failed", f"cannot encode {path.name} ({error})", "free space", "make room") from error


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
    """(label, frame) of one click an action: around its middle, standard deviation 0.2 of its length, inside."""
    for label, start, end in scene.actions:
        place = float(np.clip(rng.normal(0.5, 0.2), 0.02, 0.98))
        yield label, (start + place * (end - start)) * scene.fps
