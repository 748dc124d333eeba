"""The videos that a backbone learns from, and their clicks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from punctum.runtime.datasets.background import BackgroundSpan
from punctum.runtime.datasets.dataset import Dataset, Point
from punctum.runtime.datasets.groups import read_groups
from punctum.runtime.datasets.tables import read_points
from punctum.runtime.errors import InputError
from punctum.runtime.text.display import as_utf8
from punctum.runtime.text.name_index import NameIndex
from punctum.runtime.text.names import clean_name


@dataclass(frozen=True, slots=True)
class Footage:
    """Videos to learn from.

    Attributes:
        name: of the data set or folder.
        videos: video id -> file.
        labels: class names.
        points: video id -> clicks; None: nobody labeled the footage.
        background: video id -> certified background.
        partly: videos that are labeled in part.
        groups: video id -> camera, person or site.
    """

    name: str
    videos: Mapping[str, Path]
    labels: tuple[str, ...] = ()
    points: Mapping[str, Sequence[Point]] | None = None
    background: Mapping[str, Sequence[BackgroundSpan]] = field(default_factory=dict)
    partly: frozenset[str] = frozenset()
    groups: Mapping[str, str] = field(default_factory=dict)


def read_footage(
    folder: Path, *, points: str | None = None, train_list: str = "train.txt", clicked: bool = True
) -> Footage:
    """The training videos of a video data set, or all videos of a plain folder, with their clicks.

    Args:
        folder: a data set (dataset.json, videos/) or a folder of videos.
        points: points file, in the data set or anywhere; None: points.csv if there is one.
        train_list: list of training videos of a data set.
        clicked: False leaves the clicks out.

    Raises:
        InputError: something is missing (named in the message) or the points do not fit the videos.
    """
    if (folder / "dataset.json").is_file():
        data = Dataset.open(folder, points=points or "points.csv", train_list=train_list, need_features=False)
        return dataset_footage(data, clicked=clicked and (points is not None or data.points_file.is_file()))
    from punctum.runtime.datasets.extraction import check_names
    from punctum.runtime.video import video_files

    listed = list(video_files(folder))
    check_names(listed)
    files = {path.stem: path for path in listed}
    table = next((p for p in (folder / (points or "points.csv"), Path(points or "points.csv")) if p.is_file()), None)
    if points is not None and table is None:
        raise InputError(
            "points-missing", f"{points} does not exist", required="a points file", next_step="check `points`"
        )
    if table is None or not clicked or (points is None and table.parent != folder):
        return Footage(as_utf8(folder.name), files)
    return _clicked_folder(folder, files, table)


def dataset_footage(data: Dataset, *, clicked: bool = True) -> Footage:
    """The training videos of a data set. Does not read the ground truth or the test list."""
    videos = {video: data.video_file(video) for video in data.train}
    if not videos:
        raise InputError(
            "list-missing",
            f"Data set {data.name} lists no training videos",
            required="a train.txt",
            next_step="check `train_list`",
        )
    if not clicked:
        return Footage(data.name, videos, data.labels)
    groups = read_groups(data.folder, data.train)
    return Footage(data.name, videos, data.labels, data.points(), data.background(), data.partly(), groups)


def _clicked_folder(folder: Path, files: dict[str, Path], table: Path) -> Footage:
    """A plain folder and a table of clicks in seconds; its classes are those that the table names."""
    rows = read_points(table)
    if any(not row.seconds for row in rows):
        raise InputError(
            "points-frames",
            f"{table} gives frame numbers, and {folder} has no dataset.json with the frame rate",
            required="a column time_s with seconds, or a dataset.json (name, classes, fps)",
            next_step="add one of the two",
        )
    index = NameIndex(files, media=True)
    if unknown := sorted({row.video for row in rows if index.find(row.video) is None}):
        similar = index.alike(unknown[0])
        raise InputError(
            "video-missing",
            f"{table} names videos that {folder} does not contain: {', '.join(unknown[:3])}"
            + (f" (similar names: {', '.join(similar[:3])})" if similar else ""),
            required="file names, with or without their extension",
            next_step="correct the table",
        )
    labels = tuple(sorted({clean_name(row.label) for row in rows}))
    if pair := NameIndex(labels).twice(fold=True):
        raise InputError(
            "label-alike",
            f"{table} names the classes {pair[0]!r} and {pair[1]!r}",
            required="one spelling per class",
            next_step="correct the names, or add a dataset.json that lists the classes",
        )
    clicks: dict[str, set[tuple[float, int]]] = {}
    for row in rows:
        video = index.find(row.video) or row.video
        clicks.setdefault(video, set()).add((row.frame, labels.index(clean_name(row.label))))
    points = {video: [Point(label, time_s) for time_s, label in sorted(pairs)] for video, pairs in clicks.items()}
    return Footage(as_utf8(folder.name), files, labels, points)
