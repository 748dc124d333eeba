"""Ground truth in ActivityNet form, which only evaluation reads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datatypes import by_value
from ..errors import InputError
from ..text.display import short
from ..text.name_index import NameIndex
from .tables import read_json


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Truth:
    """Ground truth of some videos. segments float64 [G, 2] in seconds, video and label indices [G]."""

    videos: tuple[str, ...]
    labels: tuple[str, ...]
    video: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    segments: npt.NDArray[np.float64]


def marked(record: Any, subset: str) -> tuple[str, ...]:
    """Videos that the truth file itself marks with a subset."""
    database = record.get("database") if isinstance(record, dict) else None
    items = database.items() if isinstance(database, dict) else ()
    return tuple(video for video, entry in items if isinstance(entry, dict) and entry.get("subset") == subset)


def read_truth(path: Path, videos: tuple[str, ...], labels: tuple[str, ...]) -> Truth:
    """Ground truth in ActivityNet form: `database.<video>.annotations: [{label, segment: [start_s, end_s]}]`.

    A segment of no length is an action that can never be found, as the evaluators of this field count it. Raises
    InputError for a listed video that is absent, a label outside `labels`, a segment that ends before it starts.
    """
    record = read_json(path)
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
                    "every listed video",
                    "complete it or shorten the list",
                )
            for row, item in enumerate(database[entry]["annotations"]):
                start, end = (float(x) for x in item["segment"])
                label = known.find(item["label"])
                if label is None:
                    raise InputError(
                        "label-unknown",
                        f"{path}: {video} annotation {row}: {item['label']!r}",
                        ", ".join(labels),
                        "fix the label",
                    )
                if not (math.isfinite(start) and math.isfinite(end) and start <= end):
                    raise InputError(
                        "truth-segment",
                        f"{path}: {video} annotation {row}: [{short(start)}, {short(end)}]",
                        "finite seconds, start <= end",
                        "see `punctum data check`",
                    )
                owner.append(v)
                which.append(index[label])
                segments.append((start, end))
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise InputError(
            "truth-form",
            f"{path} is not in ActivityNet form ({error!r})",
            'database.<video>.annotations: [{"label", "segment": [start_s, end_s]}]',
            "see the README",
        ) from None
    return Truth(
        videos,
        labels,
        np.array(owner, np.int64),
        np.array(which, np.int64),
        np.array(segments, np.float64).reshape(-1, 2),
    )
