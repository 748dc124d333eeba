"""A data set folder: features, points, splits, and ground truth that only evaluation reads.

Layout: `dataset.json` (name, classes, fps, snippet_frames, feature_dim), `gt.json` (ActivityNet form), `points.csv`
(columns class, video_id, point in frames); `features/`, `train.txt`, `test.txt` at the top or in a split folder;
`fps.json` where videos have their own frame rates. The published layouts of LACP and HR-Pro are read as well
(`_layouts`). A video data set has `videos/` instead of `features/` (snippet_frames and feature_dim are then up to the
backbone), and its points may carry seconds in a column time_s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ._layouts import feature_files, find_points, find_video, first_of, header_dim, published, read_facts, read_rates
from ._tables import read_json, read_list, read_points, scan_points
from ._text import short
from ._values import by_value
from .errors import InputError
from .features import Features, check_features, load_features

__all__ = ["Dataset", "Point", "Truth", "read_json", "read_list", "read_points", "read_truth", "scan_points"]

LATE_CLICK_S = 1.0  # a click so far behind the last snippet still belongs to it: features often end before their video


@dataclass(frozen=True, slots=True)
class Point:
    """One click: class index and time in seconds on the media clock."""

    label: int
    time_s: float


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Truth:
    """Ground truth of some videos. segments float64 [G, 2] in seconds, video and label indices [G]."""

    videos: tuple[str, ...]
    labels: tuple[str, ...]
    video: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    segments: npt.NDArray[np.float64]


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
    videos_dir: Path | None = None
    """Where the videos are; None where the data set has none."""

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        split: str | None = None,
        points: str = "points.csv",
        train_list: str = "train.txt",
        test_list: str = "test.txt",
        need_features: bool = True,
    ) -> Dataset:
        """Open `folder`, or one split of it. Raises InputError naming the file that is missing or wrong.

        need_features: False where only points and truth matter, as when detections made elsewhere are judged, and
        for a video data set, whose features are still to be made.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError("dataset-missing", f"{folder} is not a folder", "a data set folder", "check the path")
        base = _split_folder(folder, split, need_features)
        points_file = find_points(folder, points)
        facts = read_facts(folder, points_file)
        truth_file = first_of(folder / "gt.json", folder / "gt_full.json")
        videos = first_of(base / facts.video_folder, folder / facts.video_folder)
        train = tuple(_listed(base, train_list, "train"))
        test = tuple(_listed(base, test_list, "test"))
        dim = facts.feature_dim
        if need_features and dim == 0:
            dim = next((d for v in train + test if (d := header_dim(feature_files(base / "features", v)))), 0)
        return cls(
            folder=folder,
            name=facts.name,
            labels=facts.labels,
            fps=facts.fps,
            stride_s=facts.stride_s,
            feature_dim=dim,
            train=train,
            test=test,
            features_dir=base / "features",
            points_file=points_file,
            truth_file=truth_file,
            fps_of=read_rates(folder, truth_file),
            videos_dir=videos if videos.is_dir() else None,
        )

    @property
    def only_videos(self) -> bool:
        """Whether this is a video data set whose features are still to be made."""
        return self.videos_dir is not None and not self.features_dir.is_dir()

    def video_file(self, video: str) -> Path:
        """The file of one video. Raises InputError where there is none."""
        if self.videos_dir is None:
            raise InputError(
                "videos-missing", f"{self.folder} holds no videos", "a folder videos with one file a video", "add it"
            )
        return find_video(self.videos_dir, video)

    def feature_files(self, video: str) -> tuple[Path, ...]:
        """The file that holds a video's features, or its RGB and flow files."""
        return feature_files(self.features_dir, video)

    def features(self, video: str) -> Features:
        """Checked features of one video; RGB and flow side by side where they come apart."""
        parts = [load_features(path, stride_s=self.stride_s).data for path in self.feature_files(video)]
        if len({len(part) for part in parts}) > 1:
            raise InputError(
                "features-length",
                f"RGB and flow of {video} have {' and '.join(str(len(p)) for p in parts)} snippets",
                "the same number",
                "extract both again",
            )
        data = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        if self.feature_dim and data.shape[1] != self.feature_dim:
            raise InputError(
                "features-dimension",
                f"{self.feature_files(video)[0]} has dimension {data.shape[1]}",
                f"{self.feature_dim}, as the data set states",
                "correct feature_dim in dataset.json, or extract the file again",
            )
        return Features(check_features(data, name=video), self.stride_s)

    def rate(self, video: str) -> float:
        """Frames per second of a video. Raises InputError where a published folder does not tell."""
        if video not in self.fps_of and published(self.folder):
            raise InputError(
                "fps-missing",
                f"{self.folder} gives no frame rate for {video}",
                "fps.json or fps_dict.json with every video",
                "add it, or a dataset.json with fps",
            )
        return self.fps_of.get(video, self.fps)

    def points(self) -> dict[str, list[Point]]:
        """Clicks of every video, in time order. Raises InputError for a class that the data set does not have."""
        index = {label: i for i, label in enumerate(self.labels)}
        found: dict[str, list[Point]] = {}
        for row in read_points(self.points_file):
            if row.label not in index:
                raise InputError(
                    "label-unknown",
                    f"{self.points_file} line {row.line}: class {row.label!r}",
                    ", ".join(self.labels),
                    "fix the class name",
                )
            time_s = row.frame if row.seconds else row.time_s(self.rate(row.video))
            found.setdefault(row.video, []).append(Point(index[row.label], time_s))
        return {video: sorted(points, key=lambda p: (p.time_s, p.label)) for video, points in found.items()}

    def truth(self, subset: str = "test") -> Truth:
        """Ground truth of the "test" or "train" videos: for evaluation only.

        Without a list, the videos that the truth file itself marks with this subset.
        """
        videos = self.test if subset == "test" else self.train
        if not videos:
            videos = _marked(read_json(self.truth_file), subset)
        if not videos:
            raise InputError(
                "list-missing",
                f"{self.folder} lists no {subset} videos",
                f"a {subset}.txt with one video a line",
                "check --split",
            )
        return read_truth(self.truth_file, videos, self.labels)


def _split_folder(folder: Path, split: str | None, need_features: bool) -> Path:
    base = folder / split if split else folder
    splits = sorted({path.parent.name for path in folder.glob("*/features") if path.is_dir()})
    if not base.is_dir():
        raise InputError(
            "split-missing", f"{base} is not a folder", ", ".join(splits) or "no splits here", "check --split"
        )
    if (base / "features").is_dir():
        return base
    if splits and not split:
        raise InputError("split-needed", f"{folder} has splits and none was named", ", ".join(splits), "give --split")
    if not need_features:
        return base
    if (base / "videos").is_dir():
        raise InputError(
            "features-missing",
            f"{base} holds videos and no features",
            "features/<video>.npy",
            "learn from the videos with `punctum train`, or extract features with `punctum features`",
        )
    raise InputError("features-missing", f"{base} has no features folder", "features/<video>.npy", "check the path")


def _listed(base: Path, name: str, subset: str) -> list[str]:
    """Videos of a list. Absent is allowed under the usual name only: who names a list means it."""
    path = base / name
    if name == f"{subset}.txt":
        path = first_of(path, base / f"split_{subset}.txt")
        if not path.exists():
            return []
    elif not path.is_file():
        found = ", ".join(sorted(p.name for p in base.glob("*.txt")))
        raise InputError("list-missing", f"{path} does not exist", found or "no lists here", f"check --{subset}-list")
    return list(dict.fromkeys(read_list(path)))


def _marked(record: Any, subset: str) -> tuple[str, ...]:
    database = record.get("database") if isinstance(record, dict) else None
    items = database.items() if isinstance(database, dict) else ()
    return tuple(video for video, entry in items if isinstance(entry, dict) and entry.get("subset") == subset)


def read_truth(path: Path, videos: tuple[str, ...], labels: tuple[str, ...]) -> Truth:
    """Ground truth in ActivityNet form: `database.<video>.annotations: [{label, segment: [start_s, end_s]}]`.

    Raises InputError for a listed video that is absent, a label outside `labels`, a segment that is not start < end.
    """
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
                        f"{path}: {video} annotation {row}: [{short(start)}, {short(end)}]",
                        "finite seconds, start < end",
                        "see `punctum data check`",
                    )
                owner.append(v)
                which.append(index[item["label"]])
                segments.append((start, end))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            "truth-form",
            f"{path} is not in ActivityNet form ({error!r})",
            'database.<video>.annotations: [{"label", "segment": [start_s, end_s]}]',
            "see the README",
        ) from None
    return Truth(
        videos,
        labels,
        np.array(owner, np.int64),
        np.array(which, np.int64),
        np.array(segments, np.float64).reshape(-1, 2),
    )
