"""`punctum data check`: everything wrong with a data set folder, per file and line, without stopping at the first."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .dataset import Dataset, read_json, read_points
from .errors import InputError


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. line is 0 where a file has none."""

    severity: Literal["error", "warning"]
    code: str
    file: str
    line: int
    message: str
    fix: str


@dataclass(slots=True)
class Report:
    findings: list[Finding] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def errors(self) -> list[Finding]:
        return [f for f in self.findings if f.severity == "error"]

    def error(self, code: str, file: Path | str, message: str, fix: str, line: int = 0) -> None:
        self.findings.append(Finding("error", code, str(file), line, message, fix))

    def warn(self, code: str, file: Path | str, message: str, fix: str, line: int = 0) -> None:
        self.findings.append(Finding("warning", code, str(file), line, message, fix))

    def to_record(self) -> dict[str, Any]:
        return {"summary": self.summary, "findings": [asdict(f) for f in self.findings], "errors": len(self.errors)}


def check_dataset(folder: str | Path, *, split: str | None, points: str, train_list: str) -> Report:
    """Look at every file that training and evaluation would read."""
    report = Report()
    try:
        data = Dataset.open(folder, split=split, points=points, train_list=train_list)
    except InputError as error:
        report.error(error.code, folder, error.given, error.next_step)
        return report
    for name, videos in ((train_list, data.train), ("test.txt", data.test)):
        if not videos:
            report.warn("list-empty", data.features_dir.parent / name, "no videos listed", "one video id a line")
        for video in sorted({v for v in videos if videos.count(v) > 1}):
            report.error(
                "list-duplicate", data.features_dir.parent / name, f"{video} is listed twice", "remove one line"
            )
    for video in sorted(set(data.train) & set(data.test)):
        report.error("split-overlap", data.features_dir.parent, f"{video} is in train and test", "keep it in one list")
    lengths = _check_features(data, report)
    _check_points(data, lengths, report)
    _check_truth(data, lengths, report)
    report.summary = {
        "data set": data.name,
        "classes": len(data.labels),
        "train videos": len(data.train),
        "test videos": len(data.test),
        "seconds": round(sum(lengths.values()) * data.stride_s, 1),
        "stride (s)": round(data.stride_s, 6),
        "feature dimension": data.feature_dim,
    } | report.summary
    return report


def _check_features(data: Dataset, report: Report) -> dict[str, int]:
    """Lengths in snippets of the videos whose features are readable."""
    lengths = {}
    for video in dict.fromkeys(data.train + data.test):
        path = data.features_dir / f"{video}.npy"
        try:
            rows = data.features(video).data
        except InputError as error:
            report.error(error.code, path, error.given, error.next_step)
            continue
        lengths[video] = len(rows)
        if len(rows) > 1 and np.ptp(rows, axis=0).max() == 0:
            report.warn("features-constant", path, "every snippet is the same", "check the extractor")
    return lengths


def _check_points(data: Dataset, lengths: dict[str, int], report: Report) -> None:
    try:
        rows = read_points(data.points_file)
    except InputError as error:
        report.error(error.code, data.points_file, error.given, error.next_step)
        return
    seen: dict[tuple[str, str, float], int] = {}
    last: dict[str, float] = {}
    unsorted: set[str] = set()
    per_class = dict.fromkeys(data.labels, 0)
    train = set(data.train)
    for line, label, video, frame in rows:
        time_s = frame / data.fps_of.get(video, data.fps)
        if label not in per_class:
            report.error(
                "label-unknown", data.points_file, f"class {label!r}", f"one of {', '.join(data.labels)}", line
            )
        elif video in train:
            per_class[label] += 1
        if video in lengths and not 0 <= time_s <= lengths[video] * data.stride_s:
            report.error(
                "point-outside",
                data.points_file,
                f"{time_s:.3f} s lies outside {video} (0 to {lengths[video] * data.stride_s:.3f} s)",
                "check frame number and fps",
                line,
            )
        key = (label, video, frame)
        if key in seen:
            report.warn("point-duplicate", data.points_file, f"same as line {seen[key]}", "remove one", line)
        seen.setdefault(key, line)
        if frame < last.get(video, -math.inf) and video not in unsorted:
            unsorted.add(video)
            report.warn(
                "points-unsorted",
                data.points_file,
                f"points of {video} are not in time order",
                "none needed: they are sorted on reading",
                line,
            )
        last[video] = frame
    with_points = {video for _, _, video, _ in rows}
    for video in data.train:
        if video not in with_points:
            report.warn(
                "video-without-points",
                data.points_file,
                f"no point for {video}",
                "click its actions, or drop it from the list",
            )
    for label, count in per_class.items():
        if count == 0 and data.train:
            report.error(
                "class-without-points",
                data.points_file,
                f"class {label!r} has no point in training videos",
                "click some, or drop the class",
            )
    report.summary["points per class"] = per_class


def _check_truth(data: Dataset, lengths: dict[str, int], report: Report) -> None:
    if not data.truth_file.exists():
        report.warn(
            "truth-missing", data.truth_file, "no ground truth: this data set can train but not evaluate", "add gt.json"
        )
        return
    try:
        database = read_json(data.truth_file)["database"]
        items = {video: database[video]["annotations"] for video in database}
    except InputError as error:
        report.error(error.code, data.truth_file, error.given, error.next_step)
        return
    except (KeyError, TypeError, AttributeError) as error:
        report.error(
            "truth-form", data.truth_file, f"not in ActivityNet form ({error!r})", "database.<video>.annotations"
        )
        return
    for video in data.test:
        if video not in items:
            report.error(
                "truth-missing", data.truth_file, f"no entry for test video {video}", "add it, or drop it from test.txt"
            )
    for video, listed in items.items():
        for row, item in enumerate(listed if isinstance(listed, list) else []):
            _check_annotation(data, video, row, item, lengths.get(video), report)


def _check_annotation(data: Dataset, video: str, row: int, item: Any, length: int | None, report: Report) -> None:
    where = f"{video} annotation {row}"
    try:
        start, end = (float(x) for x in item["segment"])
        label = item["label"]
    except (KeyError, TypeError, ValueError):
        report.error(
            "truth-form", data.truth_file, f"{where}: {json.dumps(item)[:60]}", '{"label", "segment": [start_s, end_s]}'
        )
        return
    if label not in data.labels:
        report.error("label-unknown", data.truth_file, f"{where}: {label!r}", f"one of {', '.join(data.labels)}")
    if not (math.isfinite(start) and math.isfinite(end)) or start == end:
        report.error("truth-segment", data.truth_file, f"{where}: [{start}, {end}]", "two different finite times")
    elif start > end:
        report.error("truth-swapped", data.truth_file, f"{where}: starts at {start} and ends at {end}", "swap them")
    elif length is not None and (start < 0 or end > (length + 1) * data.stride_s):
        report.warn(
            "truth-outside",
            data.truth_file,
            f"{where}: [{start}, {end}] leaves the features ({length * data.stride_s:.2f} s)",
            "check fps",
        )
