"""Reading one folder by the readers of training and labeling: with dataset.json, or videos and clicks alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..datasets.background import FILE as BACKGROUND
from ..datasets.background import WITHHELD
from ..datasets.dataset import Dataset
from ..datasets.groups import FILE as GROUPS
from ..datasets.groups import read_groups
from ..datasets.labeled import RECORD, TRUTH, is_plain, plain_classes, video_folder
from ..datasets.layouts import find_points, first_of, published
from ..datasets.splits import check_distinct, listed
from ..errors import InputError, PunctumError
from ..files.regular import special_kind
from ..labeling.clicks import read_clicks
from ..labeling.lock import not_labeled
from ..labeling.together import SAVED
from ..labeling.watched import Watched
from ..text.name_index import NameIndex
from ..text.names import clean_name
from ..video.files import video_files, videos_below
from .labels import Labels
from .source import Source, Video

_TABLES = ("points.csv", BACKGROUND, WITHHELD, RECORD, TRUTH)
_FILES = (*_TABLES, GROUPS, "dataset.json", "train.txt", "test.txt", "gt_full.json", "fps.json", SAVED)
_TIMES = 5


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a folder has what is read, and what it says about all of its videos.

    Attributes:
        points: The points file, which need not exist.
        truth: The ground truth, which need not exist.
        videos: The folder of the videos.
        classes: See `Source`.
        fixed: See `Source`.
        train: Names of its training videos; None: those that are labeled.
        test: Names of its test videos.
        seconds: Media time of a frame number of a video.
    """

    points: Path
    truth: Path
    videos: Path
    classes: tuple[str, ...]
    fixed: bool
    train: tuple[str, ...] | None
    test: tuple[str, ...]
    seconds: Callable[[str, float], float] | None = None


def read_source(folder: Path, name: str) -> Source:
    """Read a folder at a moment at which nobody writes to it.

    Args:
        folder: A folder that `punctum train` or `punctum label` takes.
        name: What it is called.

    Raises:
        InputError: The folder cannot be read, has no videos or no labels, or is being labeled.
        PunctumError: Another program keeps writing its files.
    """
    for file in _FILES:
        if kind := special_kind(folder / file):
            raise InputError(
                "merge-folders", f"{folder / file} is {kind}", required="regular files", next_step="remove it"
            )
    watched = Watched(folder, [folder / file for file in _FILES])
    try:
        with not_labeled(folder):
            for _ in range(_TIMES):
                watched.note(watched.now())
                try:
                    found = _read(folder, name)
                except InputError:
                    if not watched.changed():
                        raise
                else:
                    if not watched.changed():
                        return found
                watched.settle()
    except OSError as error:
        raise InputError(
            "video-permission",
            f"{folder} cannot be read ({error.strerror or error}: {error.filename})",
            next_step="change its permissions",
        ) from None
    raise PunctumError(
        "write-failed",
        f"Another program is writing to {folder}",
        required="files that stay as they are while they are read",
        next_step="wait until it has ended",
    )


def _read(folder: Path, name: str) -> Source:
    if (folder / SAVED).exists():
        raise InputError(
            "merge-unfinished",
            f"{folder} has a change that `punctum label` could not complete ({SAVED})",
            required="tables that agree with each other",
            next_step=f"run `punctum label {folder}` once: it completes the change",
        )
    layout = _stated(folder) if (folder / "dataset.json").exists() or published(folder) else _plain(folder)
    # The tables are read before the folder is listed: whoever adds a clip writes its rows last.
    labels = Labels.read(folder, layout.points, layout.truth, layout.seconds)
    files = _videos(layout.videos)
    videos = [Video(path, path.stem) for path in files]
    by_name = {video.name: video for video in videos}
    index = NameIndex(by_name, media=True)
    groups = read_groups(folder, list(by_name))
    for video in videos:
        video.group = groups.get(video.name, "")
    tested, trained = layout.test, layout.train
    needed = (*tested, *(trained if trained is not None else [click.video for click in labels.clicks]))
    left_out = labels.give(by_name, index, _class_names(layout), needed, layout.videos)
    test = [by_name[found] for video in tested if (found := index.find(video))]
    train = [by_name[found] for video in trained or () if (found := index.find(video))]
    listed_ones = set(train)
    for video in videos:
        _judge(video, listed=video in listed_ones, fixed=layout.fixed)
    if layout.fixed and (folder / "features").is_dir():
        left_out.append("features (training extracts them from the videos)")
    return Source(
        folder,
        name,
        videos,
        layout.classes,
        tuple(labels.record.classes),
        layout.fixed,
        trained is not None,
        train,
        test,
        (folder / GROUPS).exists(),
        labels.record,
        left_out,
    )


def _stated(folder: Path) -> Layout:
    """A folder with dataset.json, or in a published layout."""
    if not (folder / "features").is_dir() and any(folder.glob("*/features")):
        _refuse_features(folder)
    data = Dataset.open(folder, need_features=False)
    if data.videos_dir is None and data.features_dir.is_dir():
        _refuse_features(folder)
    if data.videos_dir is None:
        raise InputError(
            "videos-missing",
            f"{folder} contains no videos",
            required="a folder videos with one file per video",
            next_step="add it",
        )
    if data.points_file.exists():  # refuse what training refuses
        data.points()
        data.background()
    if not data.train and not data.test:
        raise InputError(
            "list-missing",
            f"{folder} lists neither training nor test videos",
            required="a train.txt or test.txt with one video per line",
            next_step="write one, or remove dataset.json to take all labeled videos",
        )
    return Layout(
        data.points_file,
        data.truth_file,
        data.videos_dir,
        data.labels,
        True,
        data.train,
        data.test,
        lambda video, frame: frame / data.rate(video),
    )


def _plain(folder: Path) -> Layout:
    """A folder of videos and clicks alone."""
    if not is_plain(folder):
        if (folder / "features").is_dir() or any(folder.glob("*/features")):
            _refuse_features(folder)
        raise InputError(
            "video-folder-empty",
            f"{folder} contains no video{videos_below(folder)}",
            required="videos, in the folder or in videos/",
            next_step="check the path",
        )
    points = find_points(folder, "points.csv")
    rows = read_clicks(points)
    # Without a click there are no classes yet, but what is said about the videos may be background of other folders.
    silent = not rows and any((folder / file).exists() for file in _TABLES)
    classes = () if silent else plain_classes(folder, points)
    train, test = listed(folder, "train.txt", "train"), listed(folder, "test.txt", "test")
    check_distinct(folder, "train.txt", tuple(train))
    check_distinct(folder, "test.txt", tuple(test))
    truth, videos = first_of(folder / TRUTH, folder / "gt_full.json"), folder / video_folder(folder)
    return Layout(points, truth, videos, classes, False, tuple(train) if train else None, tuple(test))


def _refuse_features(folder: Path) -> None:
    raise InputError(
        "merge-features",
        f"{folder} is a data set of features without videos",
        required="folders of videos, from which training extracts features by one backbone",
        next_step="merge the folders of its videos instead",
    )


def _videos(folder: Path) -> list[Path]:
    """The videos of a folder. Raises InputError for names that no list can have, and for two videos of one name."""
    from ..datasets.labeled import check_video_names

    files, seen = video_files(folder), dict[str, Path]()
    for path in files:
        try:
            path.name.encode()
        except UnicodeEncodeError:
            raise InputError(
                "video-names",
                f"{folder} contains a video called {path.name!r}",
                required="names in UTF-8",
                next_step="rename it",
            ) from None
        if (first := seen.setdefault(clean_name(path.stem), path)) is not path:
            raise InputError(
                "video-names",
                f"{folder} contains {first.name} and {path.name}",
                required="names that differ before the ending",
                next_step="rename one of them, in the tables and lists, too",
            )
        if not os.access(path, os.R_OK):
            raise InputError("video-permission", f"{path} cannot be read", next_step="change its permissions")
    check_video_names(files)
    return files


def _class_names(layout: Layout) -> Callable[[str], str]:
    """One spelling of each class: that of dataset.json; without one, in composed Unicode form."""
    index = NameIndex(layout.classes if layout.fixed else ())
    return lambda label: index.find(label) or clean_name(label)


def _judge(video: Video, *, listed: bool, fixed: bool) -> None:
    """Whether a video is labeled as a whole, as training sees it."""
    only_spans = bool(video.spans or video.withheld) and not video.clicks
    if video.nothing or video.finished:
        video.whole = True
    elif video.partly:
        video.whole = False
    elif only_spans and not (fixed and listed):
        video.partly = video.first_to_say()
    else:
        video.whole = bool(video.clicks) or listed
