"""Ground truth in ActivityNet format. Only evaluation reads it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datatypes import by_value
from ..errors import InputError
from ..text.display import short, shown, some
from ..text.name_index import NameIndex
from ..text.names import clean_name
from .tables import read_json

MAKE_TRUTH = (
    "run `punctum convert TABLE.csv DATASET/gt.json` on a table of the actions in the test videos with the columns "
    "video, label, start and end"
)
"""The advice where there is no ground truth."""


def read_record(path: Path) -> Any:
    """The content of a ground truth file. Raises InputError, with how to make one if there is none."""
    if not path.exists():
        raise InputError(
            "truth-missing",
            f"{path} does not exist",
            required="the start and end of the actions in the test videos (training needs none)",
            next_step=MAKE_TRUTH,
        )
    return read_json(path)


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Truth:
    """Ground truth of videos: G actions.

    Attributes:
        videos: Names of the videos.
        labels: Names of the classes.
        video: Index of the video of each action, int64 [G].
        label: Index of the class of each action, int64 [G].
        segments: Start and end in seconds, float64 [G, 2].
    """

    videos: tuple[str, ...]
    labels: tuple[str, ...]
    video: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    segments: npt.NDArray[np.float64]


def marked(record: Any, subset: str) -> tuple[str, ...]:
    """Videos that belong to a subset by the ground truth file itself."""
    database = record.get("database") if isinstance(record, dict) else None
    items = database.items() if isinstance(database, dict) else ()
    return tuple(video for video, entry in items if isinstance(entry, dict) and entry.get("subset") == subset)


def truth_classes(path: Path) -> tuple[str, ...]:
    """Classes of the actions in a ground truth file, in the order of the alphabet. Raises InputError if it has none."""
    record = read_record(path)
    names: set[str] = set()
    try:
        for entry in record["database"].values():
            names.update(clean_name(str(each["label"])) for each in entry["annotations"])
    except (KeyError, TypeError, AttributeError):
        names.clear()
    if not names:
        raise InputError(
            "truth-form",
            f"{path} contains no action",
            required='"database": {video: {"annotations": [{"label": ..., "segment": [start_s, end_s]}]}}',
            next_step="correct it",
        )
    return tuple(sorted(names))


def times_of(segment: Any) -> tuple[float, float]:
    """Start and end of a segment of a file: a list of two numbers, which may be written as text.

    Raises:
        TypeError: It is something else. Text such as "12" and an object have two parts, too.
        ValueError: It has more or fewer parts, or one is no number.
    """
    if not isinstance(segment, list) or any(isinstance(x, bool) for x in segment):
        raise TypeError(f"segment is {shown(repr(segment), 60)}, not a list of two numbers")
    start, end = (float(x) for x in segment)
    return start, end


def read_truth(path: Path, videos: tuple[str, ...], labels: tuple[str, ...]) -> Truth:
    """Read ground truth in ActivityNet format: `database.<video>.annotations: [{label, segment: [start_s, end_s]}]`.

    A segment of zero length is an action that cannot be found, as in other evaluation code.

    Args:
        path: The JSON file.
        videos: Names of the videos to read.
        labels: Names of the classes.

    Raises:
        InputError: A video is missing, a class is not in `labels`, or a segment ends before it starts.
    """
    record = read_record(path)
    index = {label: i for i, label in enumerate(labels)}
    owner, which, segments = [], [], []
    try:
        database = record["database"]
        names, known = NameIndex(database, media=True), NameIndex(labels)
        for v, video in enumerate(videos):
            entry = names.find(video)
            if entry is None:
                alike = ", ".join(map(repr, names.alike(video)[:3]))
                raise InputError(
                    "truth-missing",
                    f"{path} has no video {video!r}" + (f", but {alike}" if alike else ""),
                    required="an entry for every listed video",
                    next_step="add the entry, or remove the video from the list",
                )
            for row, item in enumerate(database[entry]["annotations"]):
                start, end = times_of(item["segment"])
                label = known.find(item["label"])
                if label is None:
                    raise InputError(
                        "label-unknown",
                        f"{path}: {video} annotation {row}: the data set has no class {item['label']!r}",
                        some(labels),
                        "fix the label",
                    )
                if not (math.isfinite(start) and math.isfinite(end) and start <= end):
                    raise InputError(
                        "truth-segment",
                        f"{path}: {video} annotation {row}: the segment is [{short(start)}, {short(end)}]",
                        required="finite seconds, start <= end",
                        next_step="run `punctum data check`",
                    )
                owner.append(v)
                which.append(index[label])
                segments.append((start, end))
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise InputError(
            "truth-form",
            f"{path} is not in ActivityNet format ({error!r})",
            required='database.<video>.annotations: [{"label", "segment": [start_s, end_s]}]',
            next_step="see docs/reference/data-sets.md",
        ) from None
    return Truth(
        videos,
        labels,
        np.array(owner, np.int64),
        np.array(which, np.int64),
        np.array(segments, np.float64).reshape(-1, 2),
    )
