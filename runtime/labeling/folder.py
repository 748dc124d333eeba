"""A folder to label: its videos, its classes and its clicks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..datasets.dataset import Dataset
from ..datasets.extraction import check_names
from ..datasets.feature_files import check_name
from ..datasets.labeled import video_folder
from ..datasets.layouts import find_points, published
from ..errors import InputError
from ..text.display import as_utf8
from ..text.name_index import NameIndex
from ..text.names import clean_name
from ..video.files import video_files
from .store import ClickStore


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
    names = tuple(dict.fromkeys(clean_name(name) for name in classes if clean_name(name)))
    if pair := NameIndex(names).twice(fold=True):
        raise InputError(
            "label-alike",
            f"`classes` contains {pair[0]!r} and {pair[1]!r}",
            required="one spelling for each class",
            next_step="correct `classes`",
        )
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
                ", ".join(data.labels),
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
    stems = [as_utf8(path.stem) for path in videos]
    store = ClickStore(folder, points_file, stems, classes=names, fixed=fixed, seconds=seconds)
    return LabelFolder(folder, videos, store, listed)


def _clock(data: Dataset) -> Callable[[str, float], float]:
    return lambda video, frame: frame / data.rate(video)
