"""The checks of the ground truth file in `punctum data check`."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from ..text.display import short
from ..text.name_index import NameIndex
from .located_json import LocatedDict, parse_located
from .tables import read_text
from .truth import MAKE_TRUTH, times_of

if TYPE_CHECKING:
    from .dataset import Dataset
    from .findings import CheckResult

_FORMAT = '{"database": {<video>: {"annotations": [{"label", "segment": [start_s, end_s]}]}}}'


def check_truth(data: Dataset, lengths: dict[str, int], ends: dict[str, float], result: CheckResult) -> tuple[int, int]:
    """Check the ground truth file.

    Args:
        data: The data set.
        lengths: Number of snippets of each readable video that has features.
        ends: Duration of each readable video in seconds.
        result: Receives the findings.

    Returns:
        The number of annotations of listed videos, and of other videos.
    """
    path = data.truth_file
    if not path.exists():
        result.warn(
            "truth-missing",
            path,
            f"no {path.name}: this data set can be used for training, and for evaluation by clicks only",
            "nothing for training; `punctum eval` and `punctum diagnose` use clicks in the test videos; to evaluate by "
            f"start and end, {MAKE_TRUTH}",
        )
        return 0, 0
    try:
        record = parse_located(read_text(path))
    except json.JSONDecodeError as error:
        result.error("json-unreadable", path, f"{error.msg} (column {error.colno})", "correct the JSON", error.lineno)
        return 0, 0
    except (OSError, ValueError, RecursionError) as error:
        result.error("json-unreadable", path, f"cannot be read ({error})", "write it again in UTF-8")
        return 0, 0
    database = record.get("database") if isinstance(record, dict) else None
    if not isinstance(database, LocatedDict):
        result.error("truth-form", path, "it contains no database of videos", _FORMAT, 1)
        return 0, 0
    for video in database.repeated:
        result.error(
            "truth-duplicate", path, f"{video} has two entries, and the first is ignored", "merge them", database.line
        )
    names, listed = NameIndex(database, media=True), {}
    for video in data.train + data.test:
        if (entry := names.find(video)) is not None:
            listed[entry] = video
        elif video in data.test:
            alike = ", ".join(map(repr, names.alike(video)[:3]))
            result.error(
                "truth-missing-video",
                path,
                f"no entry for test video {video}" + (f", but {alike}" if alike else ""),
                "add it, or remove the video from the test list",
            )
    for pair in filter(None, [names.twice()]):
        result.error(
            "truth-duplicate", path, f"{pair[0]!r} and {pair[1]!r} are the same video", "merge them", database.line
        )
    labels = NameIndex(data.labels)
    count = others = 0
    for video, entry in database.items():
        items = entry.get("annotations") if isinstance(entry, dict) else None
        line = entry.line if isinstance(entry, LocatedDict) else 0
        if not isinstance(items, list):
            result.error("truth-form", path, f"{video} has no list of annotations", _FORMAT, line)
            continue
        if video in listed:
            count += len(items)
        else:
            others += len(items)
        known = listed.get(video, video)
        duration = _duration(data, video, entry, lengths.get(known), ends.get(known), line, result)
        seen: dict[tuple[Any, ...], int] = {}
        for row, item in enumerate(items):
            _check_annotation(data, labels, f"{video} annotation {row}", item, duration, seen, result)
    return count, others


def _duration(
    data: Dataset,
    video: str,
    entry: dict[str, Any],
    length: int | None,
    measured: float | None,
    line: int,
    result: CheckResult,
) -> float | None:
    """Duration of a video in seconds: as the ground truth states it, or of its features or file. None if unknown."""
    if "duration" not in entry:
        return measured
    try:
        stated = float(entry["duration"])
    except (TypeError, ValueError, OverflowError):
        stated = math.nan
    if not (math.isfinite(stated) and stated > 0):
        result.error(
            "truth-duration", data.truth_file, f"{video} lasts {entry['duration']!r} s", "a positive number", line
        )
        return measured
    # Extractors drop or pad the last snippets; more than 5 % and two snippets means a different frame rate.
    if measured is not None and abs(stated - measured) > max(2 * data.stride_s, 0.05 * stated):
        result.warn(
            "video-duration" if length is None else "features-duration",
            data.truth_file,
            f"{video} lasts {stated:.2f} s, "
            + (
                f"its file {measured:.2f} s"
                if length is None
                else f"its features {measured:.2f} s ({length} snippets of {data.stride_s:g} s)"
            ),
            "check the durations"
            if length is None
            else "extract its features again; if most videos differ, check fps and snippet_frames in dataset.json",
            line,
        )
    return stated


def _check_annotation(
    data: Dataset,
    labels: NameIndex,
    where: str,
    item: Any,
    duration: float | None,
    seen: dict[tuple[Any, ...], int],
    result: CheckResult,
) -> None:
    path = data.truth_file
    line = item.line if isinstance(item, LocatedDict) else 0
    try:
        start, end = times_of(item["segment"])
        label = item["label"]
        known = labels.find(label) if isinstance(label, str) else None
    except (KeyError, TypeError, ValueError, OverflowError):
        result.error(
            "truth-form",
            path,
            f"{where}: {json.dumps(item)[:60]}",
            'write {"label": ..., "segment": [start_s, end_s]}',
            line,
        )
        return
    if known is None:
        result.error("label-unknown", path, f"{where}: {label!r}", f"use one of {', '.join(data.labels)}", line)
    if not (math.isfinite(start) and math.isfinite(end)):
        result.error("truth-segment", path, f"{where}: [{short(start)}, {short(end)}]", "write two finite times", line)
    elif start == end:
        result.warn(
            "truth-zero-length",
            path,
            f"{where}: [{short(start)}, {short(end)}] has zero length and counts as an action that is never found",
            "write two different times, or remove it",
            line,
        )
    elif start > end:
        result.error(
            "truth-swapped",
            path,
            f"{where}: starts at {short(start)} s and ends at {short(end)} s",
            "swap the two",
            line,
        )
    elif start < 0 or (duration is not None and end > duration + data.stride_s):
        result.warn(
            "truth-outside",
            path,
            f"{where}: [{short(start)}, {short(end)}] is not within the video"
            + (f" (0 to {duration:.2f} s)" if duration is not None else ""),
            "check the times and fps",
            line,
        )
    key = (str(label), start, end)
    if key in seen:
        result.warn("truth-repeated", path, f"{where}: same as annotation {seen[key]}", "remove one", line)
    seen.setdefault(key, int(where.rsplit(" ", 1)[1]))
