"""A data set folder: features, points, splits, and ground truth that only evaluation reads.

Layout: `dataset.json` (name, classes, fps, snippet_frames, feature_dim), `gt.json` (ActivityNet form), `points.csv`
(columns class, video_id, point in frames); `features/`, `train.txt`, `test.txt` at the top or in a split folder.
The published layouts of LACP and HR-Pro are read as well, through `_layouts`.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .features import Features, check_features, load_features


@dataclass(frozen=True, slots=True)
class Point:
    """One click: class index and time in seconds on the media clock."""

    label: int
    time_s: float


@dataclass(frozen=True, slots=True)
class Truth:
    """Ground truth of some videos. segments float64 [G, 2] in seconds, video and label indices [G]."""

    videos: tuple[str, ...]
    labels: tuple[str, ...]
    video: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    segments: npt.NDArray[np.float64]


def read_json(path: Path) -> Any:
    """Parsed JSON; InputError where the file is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(
            "file-missing", f"{path} does not exist", "a data set folder with this file", "see `punctum data check`"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(
            "json-unreadable", f"{path} is not JSON ({error})", "one JSON document", "check the file"
        ) from None


def read_list(path: Path) -> list[str]:
    """One video id a line; blank lines are ignored."""
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "list-unreadable",
            f"{path} cannot be read ({error})",
            "a text file, one video a line",
            "check --split and the lists",
        ) from None


def read_points(path: Path) -> list[tuple[int, str, str, float]]:
    """Rows of a points file: (line number, class, video, frame).

    Only the columns class, video_id and point are looked at. Published files carry start and stop frames as well;
    those are ground truth and are dropped here, before anything can learn from them.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            missing = {"class", "video_id", "point"} - set(reader.fieldnames or [])
            if missing:
                raise InputError(
                    "points-columns",
                    f"{path} lacks {', '.join(sorted(missing))}",
                    "columns class, video_id, point",
                    "add a header",
                )
            rows = [(reader.line_num, row["class"], row["video_id"], row["point"]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            "points-unreadable", f"{path} cannot be read ({error})", "a CSV file", "check --points"
        ) from None
    points = []
    for line, label, video, frame in rows:
        try:
            number = float(frame)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number) or label is None or video is None:
            raise InputError(
                "points-row",
                f"{path} line {line}: point {frame!r} of {video!r}",
                "a frame number",
                "see `punctum data check`",
            )
        points.append((line, label, video, number))
    return points


@dataclass(frozen=True, slots=True)
class Dataset:
    """An opened data set. Nothing but small text files is read until asked for."""

    folder: Path
    name: str
    labels: tuple[str, ...]
    fps: float
    stride_s: float
    feature_dim: int
    train: tuple[str, ...]
    test: tuple[str, ...]
    features_dir: Path
    points_file: Path
    truth_file: Path
    fps_of: dict[str, float] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        split: str | None = None,
        points: str = "points.csv",
        train_list: str = "train.txt",
        test_list: str = "test.txt",
    ) -> Dataset:
        """Raises InputError naming the file that is missing or wrong."""
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError("dataset-missing", f"{folder} is not a folder", "a data set folder", "check the path")
        base = folder / split if split else folder
        if not base.is_dir():
            found = sorted(p.name for p in folder.glob("split_*"))
            raise InputError(
                "split-missing", f"{base} is not a folder", ", ".join(found) or "no splits here", "check --split"
            )
        if not (base / "features").is_dir():
            found = sorted(p.parent.name for p in folder.glob("*/features"))
            if found and not split:
                raise InputError(
                    "split-needed", f"{folder} has splits and none was named", ", ".join(found), "give --split"
                )
            if (base / "videos").is_dir():
                raise InputError(
                    "videos-unsupported",
                    f"{base} holds videos",
                    "features/",
                    "extract features; video input comes later",
                )
            raise InputError(
                "features-missing", f"{base} has no features folder", "features/<video>.npy", "check the path"
            )
        info = read_json(folder / "dataset.json")
        try:
            labels = tuple(str(label) for label in info["classes"])
            fps, frames, dim = float(info["fps"]), float(info["snippet_frames"]), int(info["feature_dim"])
            name = str(info.get("name", folder.name))
            if not labels or len(set(labels)) != len(labels) or not (fps > 0 and frames > 0 and dim > 0):
                raise ValueError("classes must be distinct, numbers positive")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                "dataset-json",
                f"{folder / 'dataset.json'}: {error!r}",
                "name, classes, fps, snippet_frames, feature_dim",
                "complete it",
            ) from None
        return cls(
            folder=folder,
            name=name,
            labels=labels,
            fps=fps,
            stride_s=frames / fps,
            feature_dim=dim,
            train=tuple(read_list(base / train_list)) if (base / train_list).exists() else (),
            test=tuple(read_list(base / test_list)) if (base / test_list).exists() else (),
            features_dir=base / "features",
            points_file=folder / points,
            truth_file=folder / "gt.json",
        )

    def features(self, video: str) -> Features:
        """Checked features of one video."""
        loaded = load_features(self.features_dir / f"{video}.npy", stride_s=self.stride_s)
        return Features(check_features(loaded.data, dim=self.feature_dim, name=video), self.stride_s)

    def points(self) -> dict[str, list[Point]]:
        """Clicks of every video, in time order. Raises InputError for a class that the data set does not have."""
        index = {label: i for i, label in enumerate(self.labels)}
        found: dict[str, list[Point]] = {}
        for line, label, video, frame in read_points(self.points_file):
            if label not in index:
                raise InputError(
                    "label-unknown",
                    f"{self.points_file} line {line}: class {label!r}",
                    ", ".join(self.labels),
                    "fix the class name",
                )
            rate = self.fps_of.get(video, self.fps)
            found.setdefault(video, []).append(Point(index[label], frame / rate))
        return {video: sorted(points, key=lambda p: (p.time_s, p.label)) for video, points in found.items()}

    def truth(self, subset: str = "test") -> Truth:
        """Ground truth of the "test" or "train" videos: for evaluation only."""
        videos = self.test if subset == "test" else self.train
        if not videos:
            raise InputError(
                "list-missing", f"{self.folder} lists no {subset} videos", f"a {subset}.txt", "check --split"
            )
        return read_truth(self.truth_file, videos, self.labels)


def read_truth(path: Path, videos: tuple[str, ...], labels: tuple[str, ...]) -> Truth:
    """Ground truth in ActivityNet form: `database.<video>.annotations: [{label, segment: [start_s, end_s]}]`."""
    record = read_json(path)
    index = {label: i for i, label in enumerate(labels)}
    owner, which, segments = [], [], []
    try:
        database = record["database"]
        for v, video in enumerate(videos):
            if video not in database:
                raise InputError(
                    "truth-missing",
                    f"{path} has no video {video!r}",
                    "every listed video",
                    "complete it or shorten the list",
                )
            for row, item in enumerate(database[video]["annotations"]):
                start, end = (float(x) for x in item["segment"])
                if item["label"] not in index:
                    raise InputError(
                        "label-unknown",
                        f"{path}: {video} annotation {row}: {item['label']!r}",
                        ", ".join(labels),
                        "fix the label",
                    )
                if not (math.isfinite(start) and math.isfinite(end) and start < end):
                    raise InputError(
                        "truth-segment",
                        f"{path}: {video} annotation {row}: [{start}, {end}]",
                        "start < end",
                        "see `punctum data check`",
                    )
                owner.append(v)
                which.append(index[item["label"]])
                segments.append((start, end))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            "truth-form",
            f"{path} is not in ActivityNet form ({error!r})",
            "database.<video>.annotations",
            "see the README",
        ) from None
    return Truth(
        videos,
        labels,
        np.array(owner, np.int64),
        np.array(which, np.int64),
        np.array(segments, np.float64).reshape(-1, 2),
    )
