"""Checks of background.csv: rows, names, spans beyond the video, and spans that contradict a click."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import InputError
from ..text.display import counted, some
from .background import scan_background
from .dataset import LATE_CLICK_S, Dataset
from .findings import CheckResult, advice


def check_background(data: Dataset, ends: Mapping[str, float], result: CheckResult) -> None:
    """Check the certified background of a data set. ends: duration of each video that could be read."""
    path = data.background_file
    try:
        rows = scan_background(path)
    except InputError as error:
        result.error(error.code, path, error.given, advice(error))
        return
    if not rows:
        return
    for row in rows:
        if row.problem:
            result.error("background-row", path, row.problem, "write a video, start_s and end_s in seconds", row.line)
    if any(row.problem for row in rows):
        return
    try:
        spans = data.background()
    except InputError as error:
        result.error(error.code, path, error.given, advice(error))
        return
    if unused := data.unused_background():
        names = some(sorted({row.label for row in unused}), 3)
        result.warn(
            "background-unused",
            path,
            f"{counted(len(unused), 'span')} of classes without a click ({names}): they are not used",
            "click an action of the class, or ignore this",
        )
    result.summary["spans of certified background"] = sum(map(len, spans.values()))
    known = set(data.train) | set(data.test)
    if strangers := sorted(spans.keys() - known):
        result.warn(
            "background-unlisted",
            path,
            f"spans of {counted(len(strangers), 'video')} in neither list ({', '.join(strangers[:3])})",
            "list them, or ignore this: they are not used",
        )
    try:
        clicks = data.points()
    except InputError:  # reported with the points file
        clicks = {}
    for video, found in spans.items():
        late = [span for span in found if span.start_s > ends.get(video, span.start_s) + LATE_CLICK_S]
        if late:
            result.error(
                "background-outside-video",
                path,
                f"{counted(len(late), 'span')} of {video} after its end ({ends[video]:.3f} s)",
                "correct the times",
            )
        for point in clicks.get(video, ()):
            if any(s.start_s <= point.time_s <= s.end_s and s.label in (None, point.label) for s in found):
                result.warn(
                    "background-click",
                    path,
                    f"{video} has a click {data.labels[point.label]} at {point.time_s:.3f} s where a span excludes it",
                    "remove one of the two: the click counts",
                )
