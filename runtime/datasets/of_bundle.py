"""Folders of videos that a bundle is run on: their classes are those of the bundle, of which some may not occur.

A folder without dataset.json knows only the classes that have clicks or ground truth. Footage of another site, or a few
videos to evaluate on, often lack a class, and may have no click at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ..text.display import as_utf8, some
from ..text.name_index import NameIndex
from .dataset import Dataset
from .labeled import TRUTH, check_video_names, is_plain, plain_videos, video_folder
from .layouts import find_points
from .splits import check_distinct, listed

TEST = "test.txt"


def with_classes(data: Dataset, labels: Sequence[str]) -> Dataset:
    """The data set with the classes of a bundle before others of its own, if it has no dataset.json; else unchanged.

    Raises:
        InputError: A class of the data set differs from one of the bundle only in its spelling.
    """
    if not is_plain(data.folder):
        return data
    index = NameIndex(labels)
    own = [name for name in data.labels if index.find(name) is None]
    if pair := NameIndex([*labels, *own]).twice(fold=True):
        raise InputError(
            "label-alike",
            f"A class is {pair[0]!r} in the bundle and {pair[1]!r} in {data.folder}",
            required="one spelling for each class",
            next_step=f"correct the names in {data.points_file.name if data.points_file.is_file() else TRUTH}",
        )
    return replace(data, labels=(*labels, *own))


def check_classes(data: Dataset, labels: Sequence[str]) -> None:
    """Raise InputError where a bundle has classes that a data set does not have (folders: `with_classes`)."""
    unknown = sorted(set(labels) - set(data.labels))
    if not unknown:
        return
    related = set(data.labels) <= set(labels)
    raise InputError(
        "label-unknown",
        f"The bundle has the classes {some(unknown)}, which {data.name} does not have",
        some(data.labels),
        "add them to `classes` in dataset.json, if they only do not occur in these videos"
        if related
        else "use a bundle and a data set with the same classes",
    )


def open_footage(folder: Path, labels: Sequence[str]) -> Dataset:
    """A folder of videos without dataset.json as a data set without clicks: those of test.txt, or all of them.

    Raises:
        InputError: Two videos have one name, or the list is not usable.
    """
    files = plain_videos(folder)
    names = listed(folder, TEST, "test")
    if names:
        check_distinct(folder, TEST, tuple(names))
    else:
        check_video_names(files)
        names = [as_utf8(path.stem) for path in files]
    return Dataset(
        folder=folder,
        name=as_utf8(folder.resolve().name),
        labels=tuple(labels),
        fps=0.0,
        stride_s=0.0,
        feature_dim=0,
        train=(),
        test=tuple(names),
        features_dir=folder / "features",
        points_file=find_points(folder, "points.csv"),
        truth_file=folder / TRUTH,
        videos_dir=folder / video_folder(folder),
    )
