"""A data set folder: features, points, splits, and ground truth, which only evaluation reads.

Layout: `dataset.json` (name, classes, fps, snippet_frames, feature_dim), `gt.json` (ActivityNet format), `points.csv`
(columns class, video_id, point in frames); `features/`, `train.txt`, `test.txt` at the top or in a split folder;
`fps.json` if videos have different frame rates. The published layouts of LACP and HR-Pro are supported too
(`layouts`). A video data set has `videos/` instead of `features/`; snippet_frames and feature_dim then depend on the
backbone. Points may be in seconds, in a column time_s. A folder of videos and points.csv alone is a data set too
(`labeled`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..features.features import Features, check_features, load_features
from ..text.display import some
from ..text.name_index import NameIndex
from .annotators import Mark, one_per_action
from .background import FILE as BACKGROUND
from .background import BackgroundRow, BackgroundSpan, read_background
from .feature_files import check_name, feature_files, find_video, header_dim, why_missing
from .labeled import is_plain, labeled_videos, read_labeling, without_click
from .layouts import find_points, first_of, published, read_facts, read_rates
from .splits import check_distinct, listed, split_folder
from .tables import PointRow, read_json, read_list, read_points, scan_points
from .truth import Truth, marked, read_record, read_truth

__all__ = ["Dataset", "Point", "Truth", "read_json", "read_list", "read_points", "read_truth", "scan_points"]

LARGEST = 1e15  # maximum feature value: the sum of squares of larger values can overflow float32
LATE_CLICK_S = 1.0  # later clicks count for the last snippet: features often end slightly before their video


@dataclass(frozen=True, slots=True)
class Point:
    """One click: class index and time in seconds on the media clock."""

    label: int
    time_s: float


@dataclass(frozen=True, slots=True)
class Dataset:
    """An opened data set. Opening reads small text files only.

    Attributes:
        folder: The data set folder.
        name: Name of the data set.
        labels: Names of the classes.
        fps: Default frame rate of the videos; 0 if dataset.json has none, which is allowed for videos.
        stride_s: Seconds per snippet.
        feature_dim: Feature dimension; 0 if it is unknown.
        train: Names of the training videos.
        test: Names of the test videos.
        features_dir: Folder of the features.
        points_file: File of the clicks.
        truth_file: File of the ground truth.
        fps_of: Frame rates of single videos.
        videos_dir: Folder of the videos; None if the data set has none.
        feature_key: Name of the array in .npz files that contain several.
        unlabeled: Number of videos that are left out because nobody has labeled them (`labeled`).
    """

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
    feature_key: str = ""
    unlabeled: int = 0

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
        """Open a data set folder, or one split of it.

        Args:
            folder: The data set folder.
            split: Name of a split folder.
            points: Name of the points file.
            train_list: Name of the list of training videos.
            test_list: Name of the list of test videos.
            need_features: False if only points and ground truth are needed, and for a video data set.

        Raises:
            InputError: A file is missing or invalid; the message names it.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError(
                "dataset-missing", f"{folder} is not a folder", required="a data set folder", next_step="check the path"
            )
        for name, value in (("points", points), ("train_list", train_list), ("test_list", test_list)):
            check_name(name, value)
        if split is not None:
            check_name("split", split)
        base = split_folder(folder, split, need_features)
        points_file = find_points(folder, points)
        facts = read_facts(folder, points_file)
        truth_file = first_of(folder / "gt.json", folder / "gt_full.json")
        videos = first_of(base / facts.video_folder, folder / facts.video_folder)
        train = tuple(listed(base, train_list, "train"))
        unlabeled = 0
        if not train and not published(folder) and is_plain(folder):
            train, unlabeled = labeled_videos(folder, points_file)
            tests = NameIndex(listed(base, test_list, "test"), media=True)
            train = tuple(video for video in train if tests.find(video) is None)
        test = tuple(listed(base, test_list, "test"))
        check_distinct(base, train_list, train)
        check_distinct(base, test_list, test)
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
            unlabeled=unlabeled,
        )

    @property
    def only_videos(self) -> bool:
        """Whether this is a video data set without features."""
        return self.videos_dir is not None and not self.features_dir.is_dir()

    def video_file(self, video: str) -> Path:
        """The file of a video. Raises InputError if there is none."""
        if self.videos_dir is None:
            raise InputError(
                "videos-missing",
                f"{self.folder} contains no videos",
                required="a folder videos with one file per video",
                next_step="add it",
            )
        return find_video(self.videos_dir, video)

    def feature_files(self, video: str) -> tuple[Path, ...]:
        """The file of the features of a video, or its RGB and flow files."""
        return feature_files(self.features_dir, video)

    def features(self, video: str) -> Features:
        """Checked features of a video. Separate RGB and flow features are concatenated. Raises InputError."""
        files = self.feature_files(video)
        for path in files:
            if not path.is_file():
                cause, advice = why_missing(self.features_dir, video)
                raise InputError(
                    "features-missing",
                    f"{path} does not exist" + (f"; {cause}" if cause else ""),
                    required="a .npy or .npz file of every listed video",
                    next_step=advice,
                )
        parts = [load_features(path, stride_s=self.stride_s, key=self.feature_key).data for path in files]
        if len({len(part) for part in parts}) > 1:
            raise InputError(
                "features-length",
                f"The RGB and flow features of {video} have {' and '.join(str(len(p)) for p in parts)} snippets",
                required="the same number",
                next_step="extract both again",
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
                f"{files[0]} contains {data[row, column]:g} at snippet {row}, column {column}",
                f"values from -{LARGEST:g} to {LARGEST:g}",
                "check the extractor: such values usually come from uninitialized memory",
            )
        return Features(data, self.stride_s)

    def rate(self, video: str) -> float:
        """Frame rate of a video. Raises InputError if the data set does not state it."""
        name = video if video in self.fps_of else NameIndex(self.fps_of, media=True).find(video)
        if name is None and published(self.folder):
            raise InputError(
                "fps-missing",
                f"{self.folder} has no frame rate for {video}",
                required="fps.json or fps_dict.json with every video",
                next_step="add it, or a dataset.json with fps",
            )
        if name is None and not self.fps:
            raise InputError(
                "fps-missing",
                f"{self.folder}/dataset.json has no fps, and {self.points_file.name} counts frames",
                required="the frame rate, or clicks in seconds in a column time_s",
                next_step="add fps to dataset.json",
            )
        return self.fps if name is None else self.fps_of[name]

    def points(self) -> dict[str, list[Point]]:
        """Clicks of each video in time order. Repeated clicks count once.

        Names may be spelled differently (`NameIndex`). Clicks of several annotators that mark the same action count
        once as well (`annotators.one_per_action`).

        Raises:
            InputError: The data set does not have the class, or the name of a video differs from a listed one by case
                only or matches several.
        """
        labels, videos = self.point_names()
        found: dict[str, set[tuple[float, int, str]]] = {}
        for row in read_points(self.points_file):
            label, video = self.resolve(row, labels, videos)
            time_s = row.frame if row.seconds else row.time_s(self.rate(video))
            found.setdefault(video, set()).add((time_s, self.labels.index(label), row.annotator))
        return {video: _points(rows) for video, rows in found.items()}

    @property
    def background_file(self) -> Path:
        """The file of certified background, which need not exist."""
        return self.points_file.with_name(BACKGROUND)

    def background(self) -> dict[str, list[BackgroundSpan]]:
        """Certified background of each video, in time order: spans without an action, or without one of a class.

        Raises:
            InputError: A row cannot be used, or names a class or a video as `points` refuses it.
        """
        labels, videos = self.point_names()
        found: dict[str, set[BackgroundSpan]] = {}
        unused = {row.line for row in self.unused_background()}
        for row in read_background(self.background_file):
            if row.line in unused:
                continue
            place = f"{self.background_file} line {row.line}"
            label, video = self._resolve(row.label or self.labels[0], row.video, place, labels, videos)
            span = BackgroundSpan(row.start_s, row.end_s, self.labels.index(label) if row.label else None)
            found.setdefault(video, set()).add(span)
        return {video: sorted(spans, key=_span_order) for video, spans in found.items()}

    def unused_background(self) -> list[BackgroundRow]:
        """Certified background that training does not use: of classes that `punctum label` lists and that have no
        click. Raises InputError."""
        if not self.background_file.is_file():
            return []
        return without_click(read_background(self.background_file), NameIndex(self.labels), self.folder)

    def partly(self) -> frozenset[str]:
        """Videos that are labeled in part: what has no click there is background in certified spans only.

        `punctum label` marks videos of which only moments were asked about. In a folder without lists, videos with
        certified background and nothing else are labeled in part, too.
        """
        record = read_labeling(self.folder)
        whole = NameIndex([*record.nothing, *record.finished], media=True)
        marked = NameIndex(record.partly, media=True)
        videos = {video for video in self.train if marked.find(video) is not None}
        if self.background_file.is_file() and is_plain(self.folder):
            names = NameIndex(self.train, media=True)
            certified = {names.find(row.video) or row.video for row in read_background(self.background_file)}
            videos |= certified - self.points().keys()
        return frozenset(video for video in videos if whole.find(video) is None)

    def point_names(self) -> tuple[NameIndex, NameIndex]:
        """Indices that find classes and listed videos in any spelling."""
        return NameIndex(self.labels), NameIndex(self.train + self.test, media=True)

    def resolve(self, row: PointRow, labels: NameIndex, videos: NameIndex) -> tuple[str, str]:
        """Class and video of a row of the points file. Raises InputError as `points`."""
        return self._resolve(row.label, row.video, f"{self.points_file} line {row.line}", labels, videos)

    def _resolve(self, given: str, name: str, place: str, labels: NameIndex, videos: NameIndex) -> tuple[str, str]:
        label, video = labels.find(given), videos.find(name)
        if label is None:
            raise InputError(
                "label-unknown",
                f"{place}: the data set has no class {given!r}",
                some(self.labels),
                "fix the class name",
            )
        if video is None and (alike := videos.alike(name)):
            raise InputError(
                "video-alike",
                f"{place}: the video is {name!r}, but the lists name {' and '.join(map(repr, alike[:3]))}",
                required="one spelling for each name",
                next_step="write the name as in the lists",
            )
        return label, name if video is None else video

    def truth(self, subset: str = "test") -> Truth:
        """Ground truth of the "test" or "train" videos, for evaluation only.

        Without a list, these are the videos that belong to the subset by the ground truth file.
        """
        videos = self.test if subset == "test" else self.train
        if not videos:
            videos = marked(read_record(self.truth_file), subset)
        if not videos:
            raise InputError(
                "list-missing",
                f"{self.folder} lists no {subset} videos",
                required=f"a {subset}.txt with one video per line",
                next_step="write it, for example with the videos of the ground truth, or check `split`",
            )
        return read_truth(self.truth_file, videos, self.labels)


def _span_order(span: BackgroundSpan) -> tuple[float, float, int]:
    return span.start_s, span.end_s, -1 if span.label is None else span.label


def _points(rows: set[tuple[float, int, str]]) -> list[Point]:
    """Clicks of a video, each with time, class and annotator, in time order and one per action."""
    if len({annotator for _, _, annotator in rows}) > 1:
        marks = (Mark(annotator, label, time_s) for time_s, label, annotator in sorted(rows))
        return [Point(int(str(label)), time_s) for label, time_s in one_per_action(marks)]
    return [Point(label, time_s) for time_s, label, _ in sorted(rows)]


def _other_dimension(path: Path, data: npt.NDArray[np.float32], dim: int) -> InputError:
    if data.shape[0] == dim:
        return InputError(
            "features-transposed",
            f"{path} has shape [{data.shape[0]}, {data.shape[1]}] and seems to be transposed",
            required=f"shape [snippets, {dim}]",
            next_step="transpose it: numpy.save(path, numpy.load(path).T)",
        )
    return InputError(
        "features-dimension",
        f"{path} has dimension {data.shape[1]}",
        required=f"dimension {dim}, as the data set states",
        next_step="correct feature_dim in dataset.json, or extract the file again",
    )
