"""Folders of videos and clicks without a dataset.json: which videos are labeled, and with which classes.

`punctum label` keeps clicks in points.csv and the rest in labeling.json: the classes in the order of their keys, videos
in which nothing happens, videos that are finished, and the reaction time of each annotator. Training uses the videos
that have clicks and those in which nothing happens; it does not use videos that nobody has labeled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..text.display import as_utf8, counted
from ..text.name_index import NameIndex
from ..text.names import clean_name
from ..text.numbers import shown
from .tables import PointRow, read_json, read_points

RECORD = "labeling.json"
SCHEMA = "punctum.labeling/1"
_FEATURES = "features"


@dataclass(slots=True)
class Labeling:
    """The content of labeling.json.

    Attributes:
        classes: Classes in the order of their keys; some may have no click yet.
        nothing: Video -> annotator -> time of day, for videos in which nothing happens.
        finished: The same for videos that an annotator has finished.
        reaction_s: Annotator -> reaction time in seconds.
    """

    classes: list[str] = field(default_factory=list)
    nothing: dict[str, dict[str, str]] = field(default_factory=dict)
    finished: dict[str, dict[str, str]] = field(default_factory=dict)
    reaction_s: dict[str, float] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "classes": self.classes,
            "nothing": self.nothing,
            "finished": self.finished,
            "reaction_s": self.reaction_s,
        }


def read_labeling(folder: Path) -> Labeling:
    """Read labeling.json of a folder; an empty one if there is none. Raises InputError."""
    path = folder / RECORD
    if not path.exists():
        return Labeling()
    record = read_json(path)
    try:
        if record["schema"] != SCHEMA:
            raise ValueError(f"schema is {record['schema']!r}")
        return Labeling(
            [str(clean_name(_text(name))) for name in record.get("classes", [])],
            _marks(record.get("nothing", {})),
            _marks(record.get("finished", {})),
            {_text(name): float(value) for name, value in record.get("reaction_s", {}).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            "labeling-record",
            f"{path} is no record of `punctum label`: {shown(repr(error))}",
            required=f"schema {SCHEMA}",
            next_step="restore it, or remove it: clicks are in points.csv, and are not lost",
        ) from None


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} is no name")
    return value


def _marks(record: Any) -> dict[str, dict[str, str]]:
    return {_text(video): {_text(who): str(at) for who, at in marks.items()} for video, marks in record.items()}


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

    Raises:
        InputError: There are no clicks, or they count frames.
    """
    if not points_file.is_file():
        raise InputError(
            "points-missing",
            f"{folder} contains {counted(len(plain_videos(folder)), 'video')} and no {points_file.name}",
            required="clicks: one per action, in a table with the columns class, video_id, time_s",
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
        raise InputError(
            "points-empty",
            f"{points_file} contains no click",
            required="one click per action",
            next_step=f"label the videos with `punctum label {folder}`",
        )
    if pair := NameIndex(sorted(names)).twice(fold=True):
        raise InputError(
            "label-alike",
            f"{points_file} contains the classes {pair[0]!r} and {pair[1]!r}",
            required="one spelling for each class",
            next_step="correct the names, or add a dataset.json that lists the classes",
        )
    order = [name for name in read_labeling(folder).classes if name in names]
    return tuple(order + sorted(names - set(order)))


def labeled_videos(folder: Path, points_file: Path) -> tuple[tuple[str, ...], int]:
    """Videos of a plain folder with clicks or in which nothing happens, and the number of the others.

    Names in the points file without a video are listed as they are written, so that opening them is an error.
    """
    names = [as_utf8(path.stem) for path in plain_videos(folder)]
    index = NameIndex(names, media=True)
    wanted = [row.video for row in read_points(points_file)] + list(read_labeling(folder).nothing)
    found = dict.fromkeys(index.find(video) or video for video in wanted)
    known = [name for name in names if name in found]
    return tuple(known + [video for video in found if video not in set(names)]), len(names) - len(known)


def annotators_of(rows: list[PointRow]) -> tuple[str, ...]:
    """Annotators of a points file, in the order of their first click; rows without one have the empty name."""
    return tuple(dict.fromkeys(row.annotator for row in rows))
