"""A data set folder: features, points, splits, and ground truth that only evaluation reads.

Layout: `dataset.json` (name, classes, fps, snippet_frames, feature_dim), `gt.json` (ActivityNet form), `points.csv`
(columns class, video_id, point in frames); `features/`, `train.txt`, `test.txt` at the top or in a split folder;
`fps.json` where videos have their own frame rates. The published layouts of LACP and HR-Pro are read as well
(`_layouts`). A video data set has `videos/` instead of `features/` (snippet_frames and feature_dim are then up to the
backbone), and its points may carry seconds in a column time_s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..features.features import Features, check_features, load_features
from ..text.name_index import NameIndex
from .feature_files import check_option, feature_files, find_video, header_dim, why_missing
from .layouts import find_points, first_of, published, read_facts, read_rates
from .tables import PointRow, read_json, read_list, read_points, scan_points
from .truth import Truth, marked, read_truth

__all__ = ["Dataset", "Point", "Truth", "read_json", "read_list", "read_points", "read_truth", "scan_points"]

LARGEST = 1e15  # of a feature value: squares of larger ones, summed over a snippet, leave float32
LATE_CLICK_S = 1.0  # a click so far behind the last snippet still belongs to it: features often end before their video


@dataclass(frozen=True, slots=True)
class Point:
    """One click: class index and time in seconds on the media clock."""

    label: int
    time_s: float


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
    feature_key: str = ""
    """The array of .npz files that hold several."""

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
        for option, value in (("--points", points), ("--train-list", train_list), ("--test-list", test_list)):
            check_option(option, value)
        if split is not None:
            check_option("--split", split)
        base = _split_folder(folder, split, need_features)
        points_file = find_points(folder, points)
        facts = read_facts(folder, points_file)
        truth_file = first_of(folder / "gt.json", folder / "gt_full.json")
        videos = first_of(base / facts.video_folder, folder / facts.video_folder)
        train = tuple(_listed(base, train_list, "train"))
        test = tuple(_listed(base, test_list, "test"))
        _distinct(base, train_list, train)
        _distinct(base, test_list, test)
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
            feature_key=facts.feature_key,
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
        files = self.feature_files(video)
        for path in files:
            if not path.is_file():
                found, advice = why_missing(self.features_dir, video)
                raise InputError(
                    "features-missing",
                    f"{path} does not exist" + (f"; {found}" if found else ""),
                    "a .npy or .npz file of every listed video",
                    advice,
                )
        parts = [load_features(path, stride_s=self.stride_s, key=self.feature_key).data for path in files]
        if len({len(part) for part in parts}) > 1:
            raise InputError(
                "features-length",
                f"RGB and flow of {video} have {' and '.join(str(len(p)) for p in parts)} snippets",
                "the same number",
                "extract both again",
            )
        data = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        if self.feature_dim and data.shape[1] != self.feature_dim:
            raise _other_dimension(files[0], data, self.feature_dim)
        data = check_features(data, name=video)
        largest = max(float(data.max()), -float(data.min())) if data.size else 0.0
        if largest > LARGEST:
            row, column = np.argwhere(np.abs(data) > LARGEST)[0]
            raise InputError(
                "features-range",
                f"{files[0]} holds {data[row, column]:g} at snippet {row}, column {column}",
                f"values up to {LARGEST:g} in size",
                "check the extractor: such values are most often memory that was never written",
            )
        return Features(data, self.stride_s)

    def rate(self, video: str) -> float:
        """Frames per second of a video. Raises InputError where a published folder does not tell."""
        found = video if video in self.fps_of else NameIndex(self.fps_of, media=True).find(video)
        if found is None and published(self.folder):
            raise InputError(
                "fps-missing",
                f"{self.folder} gives no frame rate for {video}",
                "fps.json or fps_dict.json with every video",
                "add it, or a dataset.json with fps",
            )
        return self.fps if found is None else self.fps_of[found]

    def points(self) -> dict[str, list[Point]]:
        """Clicks of every video, in time order; a click that stands in the file twice counts once.

        Names are found whatever their spelling (`NameIndex`). Raises InputError for a class that the data set does not
        have, and for a video whose name is that of a listed one but for capitals or could be that of several.
        """
        labels, videos = self.point_names()
        found: dict[str, set[tuple[float, int]]] = {}
        for row in read_points(self.points_file):
            label, video = self.resolve(row, labels, videos)
            time_s = row.frame if row.seconds else row.time_s(self.rate(video))
            found.setdefault(video, set()).add((time_s, self.labels.index(label)))
        return {video: [Point(label, time_s) for time_s, label in sorted(rows)] for video, rows in found.items()}

    def point_names(self) -> tuple[NameIndex, NameIndex]:
        """Classes, and listed videos, as a points file may spell them."""
        return NameIndex(self.labels), NameIndex(self.train + self.test, media=True)

    def resolve(self, row: PointRow, labels: NameIndex, videos: NameIndex) -> tuple[str, str]:
        """Class and video of a row of the points file. Raises InputError as `points` does."""
        label, video = labels.find(row.label), videos.find(row.video)
        place = f"{self.points_file} line {row.line}"
        if label is None:
            raise InputError(
                "label-unknown", f"{place}: class {row.label!r}", ", ".join(self.labels), "fix the class name"
            )
        if video is None and (alike := videos.alike(row.video)):
            raise InputError(
                "video-alike",
                f"{place}: video {row.video!r}, and the lists name {' and '.join(map(repr, alike[:3]))}",
                "one spelling of a name",
                "write the name as in the lists",
            )
        return label, row.video if video is None else video

    def truth(self, subset: str = "test") -> Truth:
        """Ground truth of the "test" or "train" videos: for evaluation only.

        Without a list, the videos that the truth file itself marks with this subset.
        """
        videos = self.test if subset == "test" else self.train
        if not videos:
            videos = marked(read_json(self.truth_file), subset)
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


def _other_dimension(path: Path, data: npt.NDArray[np.float32], dim: int) -> InputError:
    if data.shape[0] == dim:
        return InputError(
            "features-transposed",
            f"{path} has shape [{data.shape[0]}, {data.shape[1]}]: dimension by snippets, it seems",
            f"[snippets, {dim}]",
            "transpose it: numpy.save(path, numpy.load(path).T)",
        )
    return InputError(
        "features-dimension",
        f"{path} has dimension {data.shape[1]}",
        f"{dim}, as the data set states",
        "correct feature_dim in dataset.json, or extract the file again",
    )


def _distinct(base: Path, name: str, videos: tuple[str, ...]) -> None:
    """Raises InputError for two spellings of one name in a list: it would be used twice."""
    if pair := NameIndex(videos, media=True).twice():
        places = (("videos", ""), ("features", ".npy"))
        if any(all((base / place / f"{v}{ending}").is_file() for v in pair) for place, ending in places):
            return
        raise InputError(
            "list-duplicate",
            f"{base / name} lists {pair[0]!r} and {pair[1]!r}, which are one video",
            "every video once",
            "remove one of the two lines",
        )


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
