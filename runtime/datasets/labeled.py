"""Folders of videos and clicks without a dataset.json: which videos are labeled, and with which classes.

`punctum label` keeps clicks in points.csv and the rest in labeling.json: the classes in the order of their keys, videos
in which nothing happens, videos that are finished, and the reaction time of each annotator. Training uses the videos
that have clicks and those in which nothing happens; it does not use videos that nobody has labeled. Videos of which
only moments were asked about are labeled in part: what has no click there is background in certified spans only.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..text.display import as_utf8, counted, some
from ..text.display import is_plain as is_name
from ..text.name_index import NameIndex
from ..text.names import clean_name, video_name
from ..text.numbers import shown
from .background import FILE as BACKGROUND
from .background import BackgroundRow, scan_background
from .class_names import check_class_names
from .tables import PointRow, read_json, read_points
from .truth import truth_classes

RECORD = "labeling.json"
TRUTH = "gt.json"
SCHEMA = "punctum.labeling/1"
_FEATURES = "features"
_KNOWN = ("schema", "classes", "nothing", "finished", "reaction_s", "partly", "confirmed", "renamed")
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Labeling:
    """The content of labeling.json.

    Attributes:
        classes: Classes in the order of their keys; some may have no click yet.
        nothing: Video -> annotator -> time of day, for videos in which nothing happens.
        finished: The same for videos that an annotator has finished.
        reaction_s: Annotator -> reaction time in seconds.
        partly: As `nothing`, for videos that are labeled in part: only questions about them were answered.
        confirmed: Id of a click -> annotator -> time of day, for clicks that were asked about and are right.
        others: Entries of other programs, which are kept.
        renamed: Old and new name of each class that was renamed, in the order of the changes.
    """

    classes: list[str] = field(default_factory=list)
    nothing: dict[str, dict[str, str]] = field(default_factory=dict)
    finished: dict[str, dict[str, str]] = field(default_factory=dict)
    reaction_s: dict[str, float] = field(default_factory=dict)
    partly: dict[str, dict[str, str]] = field(default_factory=dict)
    confirmed: dict[str, dict[str, str]] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)
    renamed: list[tuple[str, str]] = field(default_factory=list)

    def copy(self) -> Labeling:
        """A copy whose lists and marks can be changed."""
        kinds = (self.nothing, self.finished, self.partly, self.confirmed)
        nothing, finished, partly, confirmed = ({key: dict(people) for key, people in kind.items()} for kind in kinds)
        times, others = dict(self.reaction_s), dict(self.others)
        return Labeling(list(self.classes), nothing, finished, times, partly, confirmed, others, list(self.renamed))

    def to_record(self) -> dict[str, Any]:
        record: dict[str, Any] = {
            "schema": SCHEMA,
            "classes": self.classes,
            "nothing": self.nothing,
            "finished": self.finished,
            "reaction_s": self.reaction_s,
        }
        answers = {"partly": self.partly, "confirmed": self.confirmed}
        record |= {name: marks for name, marks in answers.items() if marks}
        if self.renamed:
            record["renamed"] = [list(pair) for pair in self.renamed]
        return record | self.others


def read_labeling(folder: Path) -> Labeling:
    """Read labeling.json of a folder; an empty one if there is none. Raises InputError."""
    path = folder / RECORD
    return labeling_of(read_json(path), path) if path.exists() else Labeling()


def labeling_of(record: Any, path: Path) -> Labeling:
    """The content of labeling.json from JSON. Raises InputError; path: the file that it names."""
    try:
        if record["schema"] != SCHEMA:
            raise ValueError(f"schema is {record['schema']!r}")
        classes = record.get("classes", [])
        if not isinstance(classes, list):
            raise TypeError(f"classes is {classes!r}")
        json.dumps(record, ensure_ascii=False, allow_nan=False).encode()  # ValueError for what no text can have
        return Labeling(
            list(dict.fromkeys(clean_name(_text(name)) for name in classes)),
            _marks(record.get("nothing", {})),
            _marks(record.get("finished", {})),
            {_text(name): _reaction(value) for name, value in record.get("reaction_s", {}).items()},
            _marks(record.get("partly", {})),
            _marks(record.get("confirmed", {})),
            {name: value for name, value in record.items() if name not in _KNOWN},
            [(_text(old), _text(new)) for old, new in record.get("renamed", [])],
        )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise InputError(
            "labeling-record",
            f"{path} is no record of `punctum label`: {shown(repr(error))}",
            required=f"schema {SCHEMA}",
            next_step="restore it, or remove it: clicks are in points.csv, and are not lost",
        ) from None


def _text(value: object) -> str:
    if not isinstance(value, str) or not clean_name(value):
        raise TypeError(f"{value!r} is no name")
    return value


def _reaction(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool) or not math.isfinite(number) or number < 0:
        raise ValueError(f"a reaction time is {value!r}")
    return number


def _marks(record: Any) -> dict[str, dict[str, str]]:
    return {_text(key): {_text(who): str(at) for who, at in marks.items()} for key, marks in record.items()}


def is_plain(folder: Path) -> bool:
    """Whether a folder has videos, directly or in videos/, and neither features nor a dataset.json."""
    return (
        not (folder / "dataset.json").exists()
        and not (folder / _FEATURES).is_dir()
        and not any((path / _FEATURES).is_dir() for path in _folders(folder))
        and bool(plain_videos(folder))
    )


def _folders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []


def video_folder(folder: Path) -> str:
    """Where the videos of a plain folder are: "videos" or "."."""
    return "videos" if (folder / "videos").is_dir() else "."


def plain_videos(folder: Path) -> list[Path]:
    """The videos of a plain folder, sorted by name."""
    from ..video.files import video_files

    try:
        return video_files(folder / video_folder(folder)) if folder.is_dir() else []
    except InputError:
        return []


def plain_classes(folder: Path, points_file: Path) -> tuple[str, ...]:
    """Classes of a plain folder: those that have clicks, in the order of labeling.json, then of the alphabet.

    Without a points file, those of the ground truth: a folder of videos to evaluate on.

    Raises:
        InputError: There are no clicks, or they count frames.
    """
    if not points_file.is_file() and (folder / TRUTH).is_file():
        names = set(truth_classes(folder / TRUTH))
        check_class_names(sorted(names), folder / TRUTH)
        return _ordered(names, folder)
    if not points_file.is_file():
        raise InputError(
            "points-missing",
            f"{folder} contains {counted(len(plain_videos(folder)), 'video')} and no {points_file.name}",
            required="clicks, one per action: columns class, video_id, time_s (to evaluate, gt.json)",
            next_step=f"label the videos with `punctum label {folder}`",
        )
    rows = read_points(points_file)
    if any(not row.seconds for row in rows):
        raise InputError(
            "points-frames",
            f"{points_file} gives frame numbers, and {folder} has no dataset.json with the frame rate",
            required="a column time_s with seconds, or a dataset.json",
            next_step='run `punctum data init`, and add the frame rate to dataset.json, for example "fps": 25',
        )
    names = {clean_name(row.label) for row in rows}
    if not names:
        spans = scan_background(points_file.with_name(BACKGROUND))
        only = f"; {BACKGROUND} says of {counted(len(spans), 'span')} that there is no action" if spans else ""
        raise InputError(
            "points-empty",
            f"{points_file} contains no click{only}",
            required="one click per action, and at least one action",
            next_step=f"label the videos with `punctum label {folder}`",
        )
    check_class_names(sorted(names), points_file)
    if pair := NameIndex(sorted(names)).twice(fold=True):
        raise InputError(
            "label-alike",
            f"{points_file} contains the classes {pair[0]!r} and {pair[1]!r}",
            required="one spelling for each class",
            next_step="correct the names, or add a dataset.json that lists the classes",
        )
    return _ordered(names, folder)


def _ordered(names: set[str], folder: Path) -> tuple[str, ...]:
    order = [name for name in read_labeling(folder).classes if name in names]
    return tuple(order + sorted(names - set(order)))


def labeled_videos(folder: Path, points_file: Path) -> tuple[tuple[str, ...], int]:
    """Videos of a plain folder with clicks, certified background or in which nothing happens; the number of the others.

    Names in the points file without a video are listed as they are written, so that opening them is an error. Spans and
    marks of videos that are not there are left out, and so are spans of classes that have no click.
    """
    files = plain_videos(folder)
    if not points_file.is_file():
        return (), len(files)
    names = [as_utf8(path.stem) for path in files]
    index = NameIndex(names, media=True)
    rows, record = read_points(points_file), read_labeling(folder)
    gone = [video for video in record.nothing if index.find(video) is None]
    if gone:
        _log.warning("%s: marks of videos that are not in %s are left out: %s", folder / RECORD, folder, some(gone, 3))
    wanted = [row.video for row in rows] + [video for video in record.nothing if index.find(video) is not None]
    spans = [row for row in scan_background(points_file.with_name(BACKGROUND)) if not row.problem]
    classes = NameIndex({clean_name(row.label) for row in rows})
    used = [row for row in spans if not row.label or classes.find(row.label) is not None]
    wanted += [row.video for row in used if index.find(row.video) is not None]
    found = dict.fromkeys(index.find(video) or video for video in wanted)
    check_video_names(path for path, name in zip(files, names, strict=True) if name in found)
    known = [name for name in names if name in found]
    return tuple(known + [video for video in found if video not in set(names)]), len(names) - len(known)


def without_click(spans: Iterable[BackgroundRow], classes: NameIndex, folder: Path) -> list[BackgroundRow]:
    """Spans of classes that a folder lists in labeling.json and that have no click: they say nothing about an action
    that training learns.

    Args:
        spans: Certified background.
        classes: The classes of the data set.
        folder: The folder.
    """
    listed = NameIndex(read_labeling(folder).classes)
    unknown = [row for row in spans if row.label and classes.find(row.label) is None]
    return [row for row in unknown if listed.find(row.label) is not None]


def check_video_names(files: Iterable[Path]) -> None:
    """Raise InputError for videos that lists and tables cannot name: with a line break, or space around the name, and
    two whose names differ in a file ending only."""
    files = list(files)
    by_name: dict[str, Path] = {}
    for path in files:
        other = by_name.setdefault(video_name(clean_name(as_utf8(path.stem))), path)
        if other is not path and clean_name(as_utf8(other.stem)) != clean_name(as_utf8(path.stem)):
            raise InputError(
                "video-names",
                f"{path.parent} contains {other.name!r} and {path.name!r}: without file endings they have one name",
                required="names that differ in more than a file ending",
                next_step="rename one of them",
            )
    for path in files:
        name = as_utf8(path.stem)
        if name != name.strip() or not is_name(name):
            raise InputError(
                "video-names",
                f"{path.parent} contains a video called {path.name!r}",
                required="names without control characters, and without spaces at their beginning or end",
                next_step="rename it",
            )


def annotators_of(rows: list[PointRow]) -> tuple[str, ...]:
    """Annotators of a points file, in the order of their first click; rows without one have the empty name."""
    return tuple(dict.fromkeys(row.annotator for row in rows))
