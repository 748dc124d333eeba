"""A folder to label: its videos, its classes and its clicks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..datasets.dataset import Dataset
from ..datasets.extraction import check_names
from ..datasets.feature_files import check_name
from ..datasets.labeled import RECORD, check_video_names, video_folder
from ..datasets.layouts import find_points, published
from ..errors import InputError
from ..files.regular import need_regular
from ..text.display import as_utf8, shown, some
from ..text.name_index import NameIndex
from ..text.names import clean_name
from ..video.files import SUFFIXES, video_files
from .class_names import MAX_CLASSES
from .fields import MAX_NAME, class_problem
from .lock import WORK
from .store import ClickStore

_RESERVED = ("background.csv", "train.txt", "test.txt", "split_train.txt", "split_test.txt", "groups.csv")
_READ = ("dataset.json", "train.txt", "test.txt", "groups.csv", RECORD)
_OTHERS = (".json", ".npy", ".npz", *SUFFIXES)


@dataclass(frozen=True, slots=True)
class LabelFolder:
    """What `punctum label` works on.

    Attributes:
        folder: The folder.
        videos: Its videos.
        store: Its clicks. Close it when done.
        listed: Names of the videos in the lists of a data set; None without lists.
    """

    folder: Path
    videos: list[Path]
    store: ClickStore
    listed: set[str] | None


def open_folder(folder: Path, *, points: str = "points.csv", classes: Sequence[str] = ()) -> LabelFolder:
    """Open a folder of videos, or a data set of videos.

    Args:
        folder: The folder.
        points: Name of the points file.
        classes: Classes to begin with; more can be added in the page.

    Raises:
        InputError: There are no videos, the clicks cannot be read, or another process labels the folder.
    """
    if not folder.is_dir():
        raise InputError(
            "dataset-missing", f"{folder} is not a folder", required="a folder of videos", next_step="check the path"
        )
    check_name("points", points)
    _check_points(points)
    names = tuple(dict.fromkeys(clean_name(name) for name in classes if clean_name(name)))
    _check_classes(names)
    if pair := NameIndex(names).twice(fold=True):
        raise InputError(
            "label-alike",
            f"`classes` contains {pair[0]!r} and {pair[1]!r}",
            required="one spelling for each class",
            next_step="correct `classes`",
        )
    need_regular(folder / name for name in _READ)
    seconds: Callable[[str, float], float] | None = None
    listed: set[str] | None = None
    fixed = False
    if (folder / "dataset.json").exists() or published(folder):
        data = Dataset.open(folder, points=points, need_features=False)
        if data.videos_dir is None:
            raise InputError(
                "videos-missing",
                f"{folder} contains no videos",
                required="a folder videos with one file per video",
                next_step="add it",
            )
        if unknown := [name for name in names if name not in data.labels]:
            raise InputError(
                "label-unknown",
                f"`classes` contains {unknown[0]!r}, which dataset.json does not list",
                some(data.labels),
                "add it to dataset.json",
            )
        videos, names, fixed, points_file = video_files(data.videos_dir), data.labels, True, data.points_file
        seconds = _clock(data)
        if data.train or data.test:
            index = NameIndex([as_utf8(path.stem) for path in videos], media=True)
            listed = {found for video in (*data.train, *data.test) if (found := index.find(video))}
    else:
        videos, points_file = video_files(folder / video_folder(folder)), find_points(folder, points)
    check_names(videos)
    check_video_names(videos)
    stems = [as_utf8(path.stem) for path in videos]
    store = ClickStore(folder, points_file, stems, classes=names, fixed=fixed, seconds=seconds)
    return LabelFolder(folder, videos, store, listed)


def _clock(data: Dataset) -> Callable[[str, float], float]:
    return lambda video, frame: frame / data.rate(video)


def _check_points(points: str) -> None:
    """Refuse a points file outside of the folder, which other folders may have too, and one with another purpose."""
    parts = points.split("/")
    name = parts[-1].casefold()
    if any(part in ("", ".", "..", WORK) for part in parts):
        problem = "which is no plain name"
    elif name in _RESERVED or name.startswith(".") or name.endswith(_OTHERS):
        problem = "which has another purpose"
    else:
        return
    raise InputError(
        "label-points",
        f"`points` is {shown(repr(points))}, {problem}",
        required="the name of a CSV file in the folder",
        next_step="correct `points`, or leave it out: clicks are in points.csv",
    )


def _check_classes(names: Sequence[str]) -> None:
    if len(names) > MAX_CLASSES:
        raise InputError(
            "label-class",
            f"`classes` has {len(names)} names",
            required=f"up to {MAX_CLASSES} classes",
            next_step="correct `classes`",
        )
    for name in names:
        if problem := class_problem(name):
            raise InputError(
                "label-class",
                f"`classes` contains {shown(repr(name), 60)}, which {problem}",
                required=f"up to {MAX_NAME} visible characters",
                next_step="correct `classes`",
            )
