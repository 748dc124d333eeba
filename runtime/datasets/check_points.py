"""The checks of the points file, in `punctum data check`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from ..errors import InputError
from ..text.display import as_utf8, counted, seconds, some
from ..text.name_index import NameIndex
from .check_close import check_close
from .check_conflicts import check_conflicts
from .check_groups import check_held_out
from .dataset import LATE_CLICK_S, Dataset
from .findings import CheckResult, advice
from .labeled import RECORD, is_plain, plain_videos, read_labeling
from .tables import PointRow, scan_points

LATE_VIDEO_S = 0.2  # tolerance of clicks outside a video, because times are rounded
Spans = Mapping[str, tuple[float, float]]


def check_points(data: Dataset, spans: Spans, result: CheckResult) -> None:
    """Report what is wrong with clicks: rows that cannot be used, their order, classes and videos without clicks.

    Args:
        data: The data set.
        spans: First and last media time of the frames or features of each video.
        result: Takes the findings.
    """
    try:
        rows = scan_points(data.points_file)
    except InputError as error:
        if not data.train and not data.points_file.exists():
            fix = "nothing with gt.json, or for `punctum calibrate --actions-per-hour`; otherwise click the actions"
            result.warn(error.code, data.points_file, f"no {data.points_file.name}", fix)
        else:
            result.error(error.code, data.points_file, error.given, advice(error))
        return
    names = data.point_names()
    good = [valid for row in rows if (valid := _check_row(data, row, names, spans, result)) is not None]
    _check_order(data, good, result)
    check_close(data, good, result)
    check_conflicts(data, good, result)
    train = set(data.train)
    per_class = dict.fromkeys(data.labels, 0)
    for row in good:
        if row.video in train:
            per_class[row.label] += 1
    clicked = {row.video for row in good}
    empty = NameIndex([*_empty_videos(data, result), *_partly(data)], media=True)
    if without := [video for video in data.train if video not in clicked and empty.find(video) is None]:
        one = len(without) == 1
        result.warn(
            "video-without-points",
            data.points_file,
            f"no click in {counted(len(without), 'training video')} ({some(without)})",
            f"nothing, if no action happens in {'it' if one else 'them'}; else click the actions: training takes "
            f"{'it' if one else 'them'} for background",
        )
    _check_finished(data, clicked, result)
    for label, count in per_class.items():
        if count == 0 and train:
            result.error(
                "class-without-points",
                data.points_file,
                f"class {label!r} has no points in training videos",
                "click some, or remove the class from dataset.json",
            )
    check_held_out(data, [(row.label, row.video) for row in good if row.video in train], result)
    known = train | set(data.test)
    strangers = sorted({row.video for row in good} - known)
    if strangers and known:
        result.warn(
            "points-unlisted",
            data.points_file,
            f"points of {counted(len(strangers), 'video')} in neither list ({', '.join(strangers[:3])})",
            "list them, or ignore this: they are not used",
        )
    if data.train and not sum(per_class.values()):
        result.error(
            "no-points",
            data.points_file,
            "no points in any training video",
            "check `points`, `train_list` and the names of videos",
        )
    _count_points(data, good, result)


def _count_points(data: Dataset, rows: list[PointRow], result: CheckResult) -> None:
    """The points that training and evaluation use: those that mark the same action count once."""
    try:
        clicks = [(video, data.labels[p.label]) for video, points in data.points().items() for p in points]
    except InputError:  # reported by row
        clicks = [(row.video, row.label) for row in rows]
    counts = {
        subset: {label: sum(v in videos and c == label for v, c in clicks) for label in data.labels}
        for subset, videos in (("train", set(data.train)), ("test", set(data.test)))
    }
    train, test = (sum(counts[subset].values()) for subset in ("train", "test"))
    if data.train:
        result.summary["points in training videos"] = train
    if test or not data.train:
        result.summary["points in test videos"] = test
    result.summary["points per class"] = counts["train" if data.train else "test"]


def _check_finished(data: Dataset, clicked: set[str], result: CheckResult) -> None:
    """Warn about videos with clicks that no annotator has finished, if videos are marked as finished at all."""
    try:
        finished = read_labeling(data.folder).finished
    except InputError:  # reported by `_empty_videos`
        return
    index = NameIndex(finished, media=True)
    partly = NameIndex(read_labeling(data.folder).partly, media=True)
    open_ones = [
        video for video in data.train if video in clicked and index.find(video) is None and partly.find(video) is None
    ]
    if finished and open_ones:
        result.warn(
            "video-unfinished",
            data.folder / RECORD,
            f"{counted(len(open_ones), 'video')} with clicks not marked as finished ({', '.join(open_ones[:3])})",
            "finish them with `punctum label`: what has no click counts as background",
        )


def _empty_videos(data: Dataset, result: CheckResult) -> list[str]:
    """Videos that an annotator marked as ones in which nothing happens."""
    try:
        marked = list(read_labeling(data.folder).nothing)
    except InputError as error:
        result.error(error.code, data.folder / RECORD, error.given, error.next_step)
        return []
    names = NameIndex((as_utf8(path.stem) for path in plain_videos(data.folder)), media=True)
    if is_plain(data.folder) and (gone := [video for video in marked if names.find(video) is None]):
        result.warn(
            "video-gone",
            data.folder / RECORD,
            f"marks of {counted(len(gone), 'video')} not in the folder ({some(gone, 3)})",
            "put the files back, or ignore this: the marks are not used",
        )
    return marked


def _partly(data: Dataset) -> list[str]:
    """Videos that are labeled in part, without clicks they are no background."""
    try:
        return sorted(data.partly())
    except InputError:  # reported elsewhere
        return []


def _check_row(
    data: Dataset, row: PointRow, names: tuple[NameIndex, NameIndex], spans: Spans, result: CheckResult
) -> PointRow | None:
    """The row with the names of the data set. None if it cannot be used; a point outside its video only is reported."""
    if not row.label or not row.video or not math.isfinite(row.frame):
        result.error(
            "points-row",
            data.points_file,
            f"class {row.label!r}, video {row.video!r}, point {row.written!r}"
            + (f": {row.problem}" if row.problem else ""),
            "write a class, a video and a frame number (or seconds in a column time_s)",
            row.line,
        )
        return None
    try:
        label, video = data.resolve(row, *names)
        row = replace(row, label=label, video=video)
        time_s = row.frame if row.seconds else row.time_s(data.rate(video))
    except InputError as error:
        message = error.given.removeprefix(f"{data.points_file} line {row.line}: ")
        result.error(error.code, data.points_file, message, advice(error), row.line)
        return None
    begin_s, end_s = spans.get(video, (0.0, math.inf))
    # Features often end slightly before their video, so training accepts points slightly after their end.
    late = LATE_VIDEO_S if data.only_videos else max(data.stride_s, LATE_CLICK_S)
    if time_s < max(begin_s - LATE_VIDEO_S, 0.0) or time_s > end_s + late:
        result.error(
            "point-outside-video",
            data.points_file,
            f"{seconds(time_s)} s ({'as written' if row.seconds else f'frame {row.frame:g}'}) is outside "
            f"{'' if data.only_videos else 'the features of '}{video} ({begin_s:.3f} to {end_s:.3f} s)",
            ("check the time" if row.seconds else "check the frame number and fps")
            + (
                ""
                if data.only_videos
                else "; if the features end before their video, extract them again or remove the point"
            ),
            row.line,
        )
    return row


def _check_order(data: Dataset, rows: list[PointRow], result: CheckResult) -> None:
    seen: dict[tuple[str, str, float], int] = {}
    last: dict[str, float] = {}
    unsorted: set[str] = set()
    for row in rows:
        key = (row.label, row.video, row.frame)
        if key in seen:
            result.warn(
                "point-duplicate",
                data.points_file,
                f"same as line {seen[key]}",
                "remove one of them: they count once",
                row.line,
            )
        seen.setdefault(key, row.line)
        if row.frame < last.get(row.video, -math.inf) and row.video not in unsorted:
            unsorted.add(row.video)
            result.warn(
                "points-unsorted",
                data.points_file,
                f"points of {row.video} are not in time order",
                "nothing: they are sorted when they are read",
                row.line,
            )
        last[row.video] = row.frame
