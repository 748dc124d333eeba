"""`punctum data check`: everything wrong with a data set folder, per file and line, without stopping at the first."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..text.display import counted
from ..text.name_index import NameIndex
from .check_truth import check_truth
from .check_videos import check_videos
from .dataset import LATE_CLICK_S, Dataset
from .feature_files import FEATURE_ENDINGS
from .findings import Report, advice
from .layouts import first_of
from .tables import PointRow, read_text, scan_points

LATE_VIDEO_S = 0.2  # a click may lie so far outside the pictures of a video: times are rounded
Spans = dict[str, tuple[float, float]]  # seconds from the first to the last picture, or of the features


def check_dataset(
    folder: str | Path,
    *,
    split: str | None = None,
    points: str = "points.csv",
    train_list: str = "train.txt",
    test_list: str = "test.txt",
) -> Report:
    """Look at every file that training and evaluation would read. Never raises for what the files hold.

    Only where the folder cannot be opened at all (no such folder, no dataset.json, no features) is that the one
    finding. Errors stop training or evaluation, or spoil them silently; warnings may be meant.
    """
    report = Report()
    data = _open(folder, report, split=split, points=points, train_list=train_list, test_list=test_list)
    if data is None:
        return report
    _check_lists(data, train_list, test_list, report)
    if data.only_videos:
        lengths, spans = {}, check_videos(data, report)
    else:
        lengths = _check_features(data, report)
        spans = {video: (0.0, length * data.stride_s) for video, length in lengths.items()}
    _check_points(data, spans, report)
    actions = check_truth(data, lengths, {video: end for video, (_, end) in spans.items()}, report)
    features = {
        "videos with features": len(lengths),
        "seconds": round(sum(lengths.values()) * data.stride_s, 1),
        "stride (s)": round(data.stride_s, 6),
        "feature dimension": data.feature_dim,
    }
    report.summary = {
        "data set": data.name,
        "classes": len(data.labels),
        "train videos": len(data.train),
        "test videos": len(data.test),
        **({} if data.only_videos else features),
        **report.summary,
        "actions in the truth": actions,
    }
    return report


def _open(folder: str | Path, report: Report, **lists: Any) -> Dataset | None:
    """A data set of features, or of videos whose features are still to be made; None where the report says why not."""
    refused = []
    try:
        return Dataset.open(folder, **lists)
    except InputError as error:
        refused.append(error)
    if refused[0].code == "features-missing":
        try:
            data = Dataset.open(folder, **lists, need_features=False)
        except InputError as error:  # which of the two training meets first depends on whether it takes videos
            refused.append(error)
        else:
            if data.only_videos:
                return data
    for one in refused:
        report.error(one.code, folder, one.given, advice(one))
    return None


def _check_lists(data: Dataset, train_list: str, test_list: str, report: Report) -> None:
    base = data.features_dir.parent
    lines: dict[str, dict[str, int]] = {"train": {}, "test": {}}
    for subset, name in (("train", train_list), ("test", test_list)):
        path = first_of(base / name, base / f"split_{subset}.txt")
        if not (data.train if subset == "train" else data.test):
            if subset == "train":
                report.error("list-missing", path, "no training videos listed", "write one video id a line")
            else:
                report.warn("list-empty", path, "no videos listed", "write one video id a line")
            continue
        for line, video in _numbered(path):
            if video in lines[subset]:
                report.error(
                    "list-duplicate", path, f"{video} stands on line {lines[subset][video]} already", "remove it", line
                )
            lines[subset].setdefault(video, line)
            if subset == "test" and (other := NameIndex(lines["train"], media=True).find(video)):
                report.error(
                    "split-overlap",
                    path,
                    f"{video} is a training video too (line {lines['train'][other]} of {train_list})",
                    "keep it in one of the lists",
                    line,
                )


def _numbered(path: Path) -> list[tuple[int, str]]:
    """Videos of a list with the lines they stand on."""
    return [(n, line.strip()) for n, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]


def _check_features(data: Dataset, report: Report) -> dict[str, int]:
    """Lengths in snippets of the videos whose features are usable."""
    lengths, used = {}, set()
    listed = set(data.train) | set(data.test)
    for video in dict.fromkeys(data.train + data.test):
        path: Path | str = video
        try:
            path = data.feature_files(video)[0]
            rows = data.features(video).data
        except InputError as error:
            report.error(error.code, path, error.given, error.next_step)
            continue
        lengths[video] = len(rows)
        if len(rows) > 1 and np.ptp(rows, axis=0).max() == 0:
            report.warn("features-constant", path, "every snippet is the same", "check the extractor")
        if path.suffix == ".npy" and (stored := np.load(path, mmap_mode="r").dtype) != np.float32:
            report.warn("features-dtype", path, f"stored as {stored}, read as float32", _ADVICE[_sort(stored)])
        used |= {path.stem for path in data.feature_files(video)}
    files = [p for ending in FEATURE_ENDINGS for p in data.features_dir.glob(f"*{ending}")]
    unlisted = sorted({p.stem for p in files} - listed - used)
    if unlisted and listed:
        report.warn(
            "features-unlisted",
            data.features_dir,
            f"{counted(len(unlisted), 'file')} in neither list "
            f"({', '.join(unlisted[:3])}{', ...' * (len(unlisted) > 3)})",
            "list them, or leave them: they are not used",
        )
    return lengths


def _sort(stored: np.dtype[Any]) -> str:
    if stored.kind != "f":
        return "integers"
    return "double" if stored.itemsize > 4 else "half" if stored.itemsize < 4 else "order"


_ADVICE = {
    "double": "save as float32: half the size, and nothing is lost that is used",
    "half": "nothing: half the size of float32, at the price of a conversion on each reading",
    "integers": "nothing, if they are meant to be features; save as float32 to skip the conversion",
    "order": "nothing: the bytes are swapped on reading",
}


def _check_points(data: Dataset, spans: Spans, report: Report) -> None:
    try:
        rows = scan_points(data.points_file)
    except InputError as error:
        report.error(error.code, data.points_file, error.given, advice(error))
        return
    names = data.point_names()
    good = [found for row in rows if (found := _check_row(data, row, names, spans, report)) is not None]
    _check_order(data, good, report)
    train = set(data.train)
    per_class = dict.fromkeys(data.labels, 0)
    for row in good:
        if row.video in train:
            per_class[row.label] += 1
    clicked = {row.video for row in good}
    for video in data.train:
        if video not in clicked:
            report.warn(
                "video-without-points",
                data.points_file,
                f"no point for training video {video}",
                "click its actions; without any it teaches background only",
            )
    for label, count in per_class.items():
        if count == 0 and train:
            report.error(
                "class-without-points",
                data.points_file,
                f"class {label!r} has no point in training videos",
                "click some, or drop the class from dataset.json",
            )
    known = train | set(data.test)
    strangers = sorted({row.video for row in good} - known)
    if strangers and known:
        report.warn(
            "points-unlisted",
            data.points_file,
            f"points of {counted(len(strangers), 'video')} in neither list ({', '.join(strangers[:3])})",
            "list them, or leave them: they are not used",
        )
    if data.train and not sum(per_class.values()):
        report.error(
            "no-points",
            data.points_file,
            "no point in any training video",
            "check --points, --train-list and the names",
        )
    report.summary["points in training videos"] = sum(per_class.values())
    report.summary["points per class"] = per_class


def _check_row(
    data: Dataset, row: PointRow, names: tuple[NameIndex, NameIndex], spans: Spans, report: Report
) -> PointRow | None:
    """The row with the names that the data set uses, if it can be used, apart from a place outside the video."""
    if not row.label or not row.video or not math.isfinite(row.frame):
        report.error(
            "points-row",
            data.points_file,
            f"class {row.label!r}, video {row.video!r}, point {row.written!r}"
            + (f": {row.problem}" if row.problem else ""),
            "give a class, a video and a frame number (or seconds in a column time_s)",
            row.line,
        )
        return None
    try:
        label, video = data.resolve(row, *names)
        row = replace(row, label=label, video=video)
        time_s = row.frame if row.seconds else row.time_s(data.rate(video))
    except InputError as error:
        given = error.given.removeprefix(f"{data.points_file} line {row.line}: ")
        report.error(error.code, data.points_file, given, advice(error), row.line)
        return None
    begin_s, end_s = spans.get(video, (0.0, math.inf))
    # Features often end a little before their video, so training takes a point that lies a little behind them.
    late = LATE_VIDEO_S if data.only_videos else max(data.stride_s, LATE_CLICK_S)
    if time_s < max(begin_s - LATE_VIDEO_S, 0.0) or time_s > end_s + late:
        report.error(
            "point-outside-video",
            data.points_file,
            f"{time_s:.3f} s ({'as written' if row.seconds else f'frame {row.frame:g}'}) lies outside "
            f"{'' if data.only_videos else 'the features of '}{video} ({begin_s:.3f} to {end_s:.3f} s)",
            "check the frame number and fps"
            + ("" if data.only_videos else "; where features end before their video, extract again or drop the point"),
            row.line,
        )
    return row


def _check_order(data: Dataset, rows: list[PointRow], report: Report) -> None:
    seen: dict[tuple[str, str, float], int] = {}
    last: dict[str, float] = {}
    unsorted: set[str] = set()
    for row in rows:
        key = (row.label, row.video, row.frame)
        if key in seen:
            report.warn(
                "point-duplicate", data.points_file, f"same as line {seen[key]}", "remove one: it counts once", row.line
            )
        seen.setdefault(key, row.line)
        if row.frame < last.get(row.video, -math.inf) and row.video not in unsorted:
            unsorted.add(row.video)
            report.warn(
                "points-unsorted",
                data.points_file,
                f"points of {row.video} are not in time order",
                "nothing: they are sorted on reading",
                row.line,
            )
        last[row.video] = row.frame
