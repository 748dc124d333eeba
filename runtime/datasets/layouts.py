"""Layouts of data set folders: that of punctum, and those published with LACP and HR-Pro.

punctum: dataset.json, gt.json, points.csv on top; features/, train.txt, test.txt on top or in a split folder.
LACP:    gt.json, split_{train,test}.txt, fps_dict.json, point_gaussian/point_labels.csv,
         features/{train,test}/{rgb,flow}/<video>.npy (RGB first, then flow, 1024 numbers each).
HR-Pro:  gt_full.json, split_{train,test}.txt, point_labels/point_gaussian.csv, features/{train,test}/<video>.npy;
         gt_full.json has the frame rate of each video.
The published folders have no dataset.json. Their features cover 16 frames at 25 frames per second, and their classes
are those of the points file, in the order of the column class_index or alphabetically. A dataset.json takes precedence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..text.delimited import read_table
from ..text.display import as_utf8, some
from ..text.display import is_plain as is_name
from ..text.name_index import NameIndex
from ..text.names import clean_name
from ..text.numbers import parse_rate, shown
from ..video.files import videos_below
from .class_names import check_class_names
from .feature_files import usable_name
from .labeled import is_plain, plain_classes, video_folder
from .tables import read_json, read_text, scan_points

_PUBLISHED_MARKS = ("fps_dict.json", "fps.json", "gt_full.json", "split_train.txt", "split_test.txt")
_FEATURE_FPS = 25.0
_FEATURE_FRAMES = 16.0
_MOST = 1e6  # maximum rate, stride or dimension; larger values are typing errors
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts from dataset.json, or implied by a published layout.

    feature_dim is 0 if only the files define it, and fps is 0 for videos whose clicks are in seconds.
    """

    name: str
    labels: tuple[str, ...]
    fps: float
    stride_s: float
    feature_dim: int
    video_folder: str = "videos"
    feature_key: str = ""


def published(folder: Path) -> bool:
    """Whether the folder has the layout of LACP or HR-Pro."""
    return not (folder / "dataset.json").exists() and any((folder / name).exists() for name in _PUBLISHED_MARKS)


def read_facts(folder: Path, points_file: Path) -> Facts:
    """Read the facts of a data set. Raises InputError that names what is missing."""
    if published(folder):
        name = as_utf8(folder.resolve().name)
        return Facts(name, _labels_of(points_file), _FEATURE_FPS, _FEATURE_FRAMES / _FEATURE_FPS, 0)
    if is_plain(folder):
        name = as_utf8(folder.resolve().name)
        return Facts(name, plain_classes(folder, points_file), 0.0, 0.0, 0, video_folder(folder))
    path = folder / "dataset.json"
    if not path.exists() and not (folder / "features").is_dir() and not any(folder.glob("*/features")):
        raise InputError(
            "file-missing",
            f"{folder} contains neither dataset.json nor videos{videos_below(folder)}",
            required="a folder of videos, or a data set folder",
            next_step="check the path; for features, write dataset.json (docs/reference/file-formats.md)",
        )
    info = read_json(path)
    try:
        if not isinstance(info["classes"], list):
            raise TypeError("classes is not a list")
        labels = tuple(_text("classes", label) for label in info["classes"])
        no_features = "video_folder" in info or ((folder / "videos").is_dir() and not (folder / "features").is_dir())
        fps = parse_rate(info.get("fps", 0) if no_features else info["fps"])
        frames = parse_rate(info.get("snippet_frames", 0) if no_features else info["snippet_frames"])
        dim = _whole("feature_dim", info.get("feature_dim", 0) if no_features else info["feature_dim"])
        name = _text("name", info.get("name", as_utf8(folder.name or folder.resolve().name)))
        videos = _text("video_folder", info.get("video_folder", "videos"))
        key = _text("feature_key", info.get("feature_key", ""))
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise InputError(
            "dataset-json",
            f"{path} is incomplete or invalid: {shown(repr(error))}",
            required="classes (a list) and, with features, fps, snippet_frames, feature_dim",
            next_step="complete it",
        ) from None
    check_class_names(labels, path)
    wrong = ""
    if not labels or not all(labels) or len(set(labels)) < len(labels):
        wrong = "classes: " + some(labels)
    for key_, value in (("fps", fps), ("snippet_frames", frames), ("feature_dim", dim)):
        if not (1 / _MOST <= value <= _MOST) and not (value == 0 and no_features):
            wrong = wrong or f"{key_} is {value:g}"
    if wrong:
        raise InputError(
            "dataset-json",
            f"{path} is invalid: {wrong}",
            required=f"distinct classes and positive numbers up to {_MOST:g}",
            next_step="correct it",
        )
    if videos != "." and not usable_name(videos):
        raise InputError(
            "dataset-json",
            f"{path}: video_folder is {shown(videos)}",
            required="the name of a folder",
            next_step="correct it",
        )
    return Facts(name, labels, fps, frames / fps if fps else 0.0, int(dim), videos, key)


def _text(field: str, value: Any) -> str:
    """A name. Numbers are accepted as names. Raises TypeError and ValueError."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"{field} contains {shown(repr(value))}, which is not text")
    text = clean_name(str(value))
    if field != "classes" and not is_name(text):
        raise ValueError(f"{field} has control characters, line separators or surrogates: {shown(text)}")
    return text


def _whole(field: str, value: Any) -> float:
    number = parse_rate(value)
    if math.isfinite(number) and number != int(number):
        raise ValueError(f"{field} is {value!r}, which is not a whole number")
    return number


def _labels_of(points_file: Path) -> tuple[str, ...]:
    """Classes of a points file, ordered by class_index if the file has it, otherwise alphabetically."""
    rows = scan_points(points_file)
    names = sorted({clean_name(row.label) for row in rows if row.label})
    table = read_table(read_text(points_file))
    place, number = table.column("class", "class_name", "label"), table.column("class_index")
    if place is not None and number is not None:
        order: dict[str, float] = {}
        for row in table.rows:
            text = row.cell(number)
            if text.isdecimal() and len(text) < _DIGITS:
                order.setdefault(clean_name(row.cell(place)), float(text))
        names.sort(key=lambda name: order.get(name, math.inf))
    if not names:
        raise InputError(
            "points-empty",
            f"{points_file} contains no class",
            required="one point per line",
            next_step="add points, or a dataset.json",
        )
    check_class_names(names, points_file)
    if pair := NameIndex(names).twice(fold=True):
        raise InputError(
            "label-alike",
            f"{points_file} contains the classes {pair[0]!r} and {pair[1]!r}",
            required="one spelling for each class",
            next_step="correct the names, or add a dataset.json that lists the classes",
        )
    return tuple(names)


def first_of(*candidates: Path) -> Path:
    """The first path that exists; if none does, the first one."""
    return next((path for path in candidates if path.exists()), candidates[0])


def find_points(folder: Path, points: str) -> Path:
    """The points file of this name; "points.csv" also finds those of the published layouts."""
    candidates = [folder / points, folder / "point_labels" / points, folder / "point_gaussian" / points]
    if points == "points.csv":
        candidates += [
            folder / "point_gaussian" / "point_labels.csv",
            folder / "point_labels" / "point_gaussian.csv",
        ]
    return first_of(*candidates)


def read_rates(folder: Path, truth_file: Path) -> dict[str, float]:
    """Frame rates of single videos: from fps.json, fps_dict.json or, with HR-Pro, gt_full.json.

    Only frame rates are read from the ground truth file, and only if a published layout has them nowhere else.
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
            rates[str(video)] = parse_rate(value)
        except (TypeError, ValueError, OverflowError):
            rates[str(video)] = -1.0
        if not 1 / _MOST <= rates[str(video)] <= _MOST:
            raise InputError(
                "fps",
                f"{path}: the frame rate of {video} is {shown(repr(value))}",
                'a positive number, or a fraction such as "30000/1001"',
                "correct it",
            )
    return rates
