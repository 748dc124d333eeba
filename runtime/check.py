"""`punctum data check`: everything wrong with a data set folder, per file and line, without stopping at the first."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ._check_truth import check_truth
from ._findings import Report
from ._layouts import first_of
from ._tables import PointRow, read_list, scan_points
from ._text import counted
from .dataset import LATE_CLICK_S, Dataset
from .errors import InputError


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
    try:
        data = _open(folder, split=split, points=points, train_list=train_list, test_list=test_list)
    except InputError as error:
        report.error(error.code, folder, error.given, f"{error.next_step} (allowed: {error.allowed})")
        return report
    _check_lists(data, train_list, test_list, report)
    lengths = _check_videos(data, report) if data.only_videos else _check_features(data, report)
    _check_points(data, lengths, report)
    actions = check_truth(data, lengths, report)
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


def _open(folder: str | Path, **lists: Any) -> Dataset:
    """A data set of features, or of videos whose features are still to be made."""
    try:
        return Dataset.open(folder, **lists)
    except InputError as error:
        if error.code != "features-missing":
            raise
        data = Dataset.open(folder, **lists, need_features=False)
        if not data.only_videos:
            raise
        return data


def _check_videos(data: Dataset, report: Report) -> dict[str, int]:
    """Whether every listed video has its file. Nothing is decoded, so no length is known."""
    for video in dict.fromkeys(data.train + data.test):
        try:
            data.video_file(video)
        except InputError as error:
            report.error(error.code, video, error.given, error.next_step)
    return {}


def _check_lists(data: Dataset, train_list: str, test_list: str, report: Report) -> None:
    base = data.features_dir.parent
    lines: dict[str, dict[str, int]] = {"train": {}, "test": {}}
    for subset, name in (("train", train_list), ("test", test_list)):
        path = first_of(base / name, base / f"split_{subset}.txt")
        if not (data.train if subset == "train" else data.test):
            report.warn("list-empty", path, "no videos listed", "write one video id a line")
            continue
        for line, video in enumerate(read_list(path), 1):
            if video in lines[subset]:
                report.error(
                    "list-duplicate", path, f"{video} stands on line {lines[subset][video]} already", "remove it", line
                )
            lines[subset].setdefault(video, line)
            if subset == "test" and video in lines["train"]:
                report.error(
                    "split-overlap",
                    path,
                    f"{video} is a training video too (line {lines['train'][video]} of {train_list})",
                    "keep it in one of the lists",
                    line,
                )


def _check_features(data: Dataset, report: Report) -> dict[str, int]:
    """Lengths in snippets of the videos whose features are usable."""
    lengths = {}
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
        stored = np.load(path, mmap_mode="r").dtype
        if stored != np.float32:
            report.warn(
                "features-dtype", path, f"stored as {stored}, read as float32", "save as float32 to halve the reading"
            )
    unlisted = sorted(p.stem for p in data.features_dir.glob("*.npy") if p.stem not in listed)
    if unlisted and listed:
        report.warn(
            "features-unlisted",
            data.features_dir,
            f"{counted(len(unlisted), 'file')} in neither list "
            f"({', '.join(unlisted[:3])}{', ...' * (len(unlisted) > 3)})",
            "list them, or leave them: they are not used",
        )
    return lengths


def _check_points(data: Dataset, lengths: dict[str, int], report: Report) -> None:
    try:
        rows = scan_points(data.points_file)
    except InputError as error:
        report.error(error.code, data.points_file, error.given, f"{error.next_step} (allowed: {error.allowed})")
        return
    good = [row for row in rows if _check_row(data, row, lengths, report)]
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
    report.summary["points in training videos"] = sum(per_class.values())
    report.summary["points per class"] = per_class


def _check_row(data: Dataset, row: PointRow, lengths: dict[str, int], report: Report) -> bool:
    """Whether the row can be used, apart from a place outside the video."""
    if not row.label or not row.video or not math.isfinite(row.frame):
        report.error(
            "points-row",
            data.points_file,
            f"class {row.label!r}, video {row.video!r}, point {row.written!r}",
            "give a class, a video and a frame number",
            row.line,
        )
        return False
    if row.label not in data.labels:
        report.error(
            "label-unknown", data.points_file, f"class {row.label!r}", f"use one of {', '.join(data.labels)}", row.line
        )
        return False
    try:
        time_s = row.frame if row.seconds else row.time_s(data.rate(row.video))
    except InputError as error:
        report.error(error.code, data.points_file, error.given, error.next_step, row.line)
        return False
    end_s = lengths.get(row.video, math.inf) * data.stride_s
    # Features often end a little before their video, so training takes a point that lies a little behind them.
    if time_s < 0 or time_s > end_s + max(data.stride_s, LATE_CLICK_S):
        report.error(
            "point-outside",
            data.points_file,
            f"{time_s:.3f} s ({'as written' if row.seconds else f'frame {row.frame:g}'}) lies outside the features of "
            f"{row.video} (0 to {end_s:.3f} s)",
            "check the frame number and fps; where features end before their video, extract again or drop the point",
            row.line,
        )
    return True


def _check_order(data: Dataset, rows: list[PointRow], report: Report) -> None:
    seen: dict[tuple[str, str, float], int] = {}
    last: dict[str, float] = {}
    unsorted: set[str] = set()
    for row in rows:
        key = (row.label, row.video, row.frame)
        if key in seen:
            report.warn("point-duplicate", data.points_file, f"same as line {seen[key]}", "remove one", row.line)
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
