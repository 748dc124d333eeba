"""Where a data set folder keeps its things: our layout, and those that LACP and HR-Pro published.

Ours:    dataset.json, gt.json, points.csv on top; features/, train.txt, test.txt on top or in a split folder.
LACP:    gt.json, split_{train,test}.txt, fps_dict.json, point_gaussian/point_labels.csv,
         features/{train,test}/{rgb,flow}/<video>.npy (RGB first, then flow, 1024 numbers each).
HR-Pro:  gt_full.json, split_{train,test}.txt, point_labels/point_gaussian.csv, features/{train,test}/<video>.npy;
         the frame rate of each video stands in gt_full.json.
The published folders have no dataset.json. Their features are 16 frames at 25 a second, and their classes are the
ones the points name, in the order of the column class_index or of the alphabet. A dataset.json put beside them wins.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ._tables import read_json, read_text, scan_points
from .errors import InputError

_PUBLISHED_MARKS = ("fps_dict.json", "fps.json", "gt_full.json", "split_train.txt", "split_test.txt")
_FEATURE_FPS = 25.0
_FEATURE_FRAMES = 16.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What dataset.json says, or what a published folder implies. feature_dim 0: not stated, ask the files."""

    name: str
    labels: tuple[str, ...]
    fps: float
    stride_s: float
    feature_dim: int
    video_folder: str = "videos"


def published(folder: Path) -> bool:
    """Whether the folder follows LACP or HR-Pro instead of our layout."""
    return not (folder / "dataset.json").exists() and any((folder / name).exists() for name in _PUBLISHED_MARKS)


def read_facts(folder: Path, points_file: Path) -> Facts:
    """Raises InputError naming what dataset.json lacks, or what a published folder would need."""
    if published(folder):
        return Facts(folder.resolve().name, _labels_of(points_file), _FEATURE_FPS, _FEATURE_FRAMES / _FEATURE_FPS, 0)
    path = folder / "dataset.json"
    info = read_json(path)
    try:
        if not isinstance(info["classes"], list):
            raise TypeError("classes is not a list")
        labels = tuple(str(label) for label in info["classes"])
        fps = float(info["fps"])
        unmade = "video_folder" in info or ((folder / "videos").is_dir() and not (folder / "features").is_dir())
        frames = float(info.get("snippet_frames", 0) if unmade else info["snippet_frames"])
        dim = int(info.get("feature_dim", 0) if unmade else info["feature_dim"])
        name = str(info.get("name", folder.name))
        videos = str(info.get("video_folder", "videos"))
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise InputError(
            "dataset-json",
            f"{path}: {error!r}",
            "name, classes (a list), fps, snippet_frames, feature_dim",
            "complete it",
        ) from None
    wrong = "classes: " + ", ".join(labels) if not labels or len(set(labels)) != len(labels) else ""
    for key, value in (("fps", fps), ("snippet_frames", frames), ("feature_dim", dim)):
        if not (0 < value < float("inf")) and not (value == 0 and unmade and key != "fps"):
            wrong = wrong or f"{key} is {value}"
    if wrong:
        raise InputError("dataset-json", f"{path}: {wrong}", "distinct classes and positive numbers", "correct it")
    if Path(videos).name != videos or videos in ("", ".", ".."):
        raise InputError("dataset-json", f"{path}: video_folder is {videos!r}", "the name of a folder", "correct it")
    return Facts(name, labels, fps, frames / fps, dim, videos)


def _labels_of(points_file: Path) -> tuple[str, ...]:
    """Classes that the points name: by class_index where the file has it, else by the alphabet."""
    names = sorted({row.label for row in scan_points(points_file) if row.label})
    reader = csv.DictReader(io.StringIO(read_text(points_file)))
    if "class_index" in (reader.fieldnames or []):
        place: dict[str, float] = {}
        for row in reader:
            text = str(row.get("class_index") or "").strip()
            if text.isdigit():
                place.setdefault(str(row.get("class") or "").strip(), float(text))
        names.sort(key=lambda name: place.get(name, float("inf")))
    if not names:
        raise InputError(
            "points-empty", f"{points_file} names no class", "one point a line", "add points, or a dataset.json"
        )
    return tuple(names)


def first_of(*candidates: Path) -> Path:
    """The first path that exists, else the first one, for the message that it is missing."""
    return next((path for path in candidates if path.exists()), candidates[0])


def find_points(folder: Path, points: str) -> Path:
    """The points file by its name; "points.csv" also finds the published ones."""
    candidates = [folder / points, folder / "point_labels" / points, folder / "point_gaussian" / points]
    if points == "points.csv":
        candidates += [
            folder / "point_gaussian" / "point_labels.csv",
            folder / "point_labels" / "point_gaussian.csv",
        ]
    return first_of(*candidates)


def read_rates(folder: Path, truth_file: Path) -> dict[str, float]:
    """Frames per second of single videos: fps.json, fps_dict.json, or the fps that HR-Pro keeps in gt_full.json.

    Of the truth file only the frame rates are looked at, and only where a published folder has them nowhere else.
    """
    path = first_of(folder / "fps.json", folder / "fps_dict.json")
    if path.exists():
        record: Any = read_json(path)
        items = record.items() if isinstance(record, dict) else [("the file", record)]
    elif published(folder) and truth_file.exists():
        path, record = truth_file, read_json(truth_file)
        database = record.get("database", {}) if isinstance(record, dict) else {}
        items = [(v, d["fps"]) for v, d in database.items() if isinstance(d, dict) and "fps" in d]
    else:
        return {}
    rates = {}
    for video, value in items:
        try:
            rates[str(video)] = float(value)
        except (TypeError, ValueError, OverflowError):
            rates[str(video)] = -1.0
        if not 0 < rates[str(video)] < float("inf"):
            raise InputError("fps", f"{path}: {video} has {value!r} frames a second", "a positive number", "correct it")
    return rates


def feature_files(features_dir: Path, video: str) -> tuple[Path, ...]:
    """The file of a video, or its RGB and flow files. Where there is none: where it would be expected."""
    if Path(video).name != video or video in ("", ".", ".."):
        raise InputError("video-id", f"the video id {video!r}", "a plain file name", "rename the video in the lists")
    for base in (features_dir, features_dir / "train", features_dir / "test"):
        if (base / f"{video}.npy").is_file():
            return (base / f"{video}.npy",)
        pair = (base / "rgb" / f"{video}.npy", base / "flow" / f"{video}.npy")
        if any(path.is_file() for path in pair):
            return pair
    return (features_dir / f"{video}.npy",)


def find_video(videos_dir: Path, video: str) -> Path:
    """The file of a video, by its id and any of the usual endings. Raises InputError."""
    if Path(video).name != video or video in ("", ".", ".."):
        raise InputError("video-id", f"the video id {video!r}", "a plain file name", "rename the video in the lists")
    from .video.files import SUFFIXES

    endings = [".mp4", *sorted(SUFFIXES - {".mp4"})]
    for ending in endings:
        for path in (videos_dir / f"{video}{ending}", videos_dir / f"{video}{ending.upper()}"):
            if path.is_file():
                return path
    if (videos_dir / video).is_file():
        return videos_dir / video
    raise InputError(
        "video-missing",
        f"{videos_dir} has no video {video!r}",
        f"a file {video} with one of the endings {', '.join(endings)}",
        "add the file, or take the video off the lists",
    )


def header_dim(paths: tuple[Path, ...]) -> int:
    """Feature dimension by the headers alone; 0 where a file cannot tell."""
    try:
        shapes = [np.load(path, mmap_mode="r", allow_pickle=False).shape for path in paths]
        return sum(int(shape[1]) for shape in shapes)
    except Exception:  # noqa: BLE001 - whatever NumPy's parser meets in a damaged header gets through it
        return 0
