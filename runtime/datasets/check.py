"""`punctum data check`: all problems of a data set folder, by file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..text.display import counted
from ..text.name_index import NameIndex
from .check_background import check_background
from .check_groups import check_groups
from .check_points import check_points
from .check_truth import check_truth
from .check_videos import check_videos
from .dataset import Dataset
from .feature_files import FEATURE_ENDINGS
from .findings import CheckResult, advice
from .labeled import is_plain
from .layouts import first_of, published
from .tables import read_text


def check_dataset(
    folder: str | Path,
    *,
    split: str | None = None,
    points: str = "points.csv",
    train_list: str = "train.txt",
    test_list: str = "test.txt",
) -> CheckResult:
    """Check all files that training and evaluation read. Never raises for the content of files.

    Errors stop training or evaluation, or spoil their results; warnings may be intended. If the folder cannot be opened
    at all (it does not exist, or has no dataset.json or features), that is the only finding.

    Args:
        folder: The data set folder.
        split: A split folder of it.
        points: Name of the points file.
        train_list: Name of the list of training videos.
        test_list: Name of the list of test videos.
    """
    result = CheckResult()
    data = _open(folder, result, split=split, points=points, train_list=train_list, test_list=test_list)
    if data is None:
        return result
    _check_lists(data, train_list, test_list, result)
    check_groups(data, result)
    if data.only_videos:
        lengths, spans = {}, check_videos(data, result)
    else:
        lengths = _check_features(data, result)
        spans = {video: (0.0, length * data.stride_s) for video, length in lengths.items()}
    check_points(data, spans, result)
    check_background(data, {video: end for video, (_, end) in spans.items()}, result)
    actions, others = check_truth(data, lengths, {video: end for video, (_, end) in spans.items()}, result)
    features = {
        "videos with features": len(lengths),
        "seconds": round(sum(lengths.values()) * data.stride_s, 1),
        "stride (s)": round(data.stride_s, 6),
        "feature dimension": data.feature_dim,
    }
    result.summary = {
        "data set": data.name,
        "classes": len(data.labels),
        "train videos": len(data.train),
        "test videos": len(data.test),
        **({"videos without labels, not used": data.unlabeled} if data.unlabeled else {}),
        **({} if data.only_videos else features),
        **result.summary,
        "actions in the ground truth": actions,
        **({"actions of videos in neither list, not used": others} if others else {}),
    }
    return result


def _open(folder: str | Path, result: CheckResult, **lists: Any) -> Dataset | None:
    """Open a data set of features, or one of videos without features. None on failure, with a finding."""
    refused = []
    try:
        return Dataset.open(folder, **lists, need_features=published(Path(folder)) or not is_plain(Path(folder)))
    except InputError as error:
        refused.append(error)
    if refused[0].code == "features-missing":
        try:
            data = Dataset.open(folder, **lists, need_features=False)
        except InputError as error:  # which of the two errors training raises depends on whether it reads videos
            refused.append(error)
        else:
            if data.only_videos:
                return data
    for one in refused:
        result.error(one.code, folder, one.given, advice(one))
    return None


def _check_lists(data: Dataset, train_list: str, test_list: str, result: CheckResult) -> None:
    base = data.features_dir.parent
    lines: dict[str, dict[str, int]] = {"train": {}, "test": {}}
    for subset, name in (("train", train_list), ("test", test_list)):
        path = first_of(base / name, base / f"split_{subset}.txt")
        if not (data.train if subset == "train" else data.test):
            if subset == "train" and data.test and not path.exists():
                fix = "nothing for evaluation and calibration; to train, list training videos, one per line"
                result.warn("list-missing", base / name, f"no {name}", fix)
            elif subset == "train":
                result.error("list-missing", path, "no training videos listed", "write one video id per line")
            elif path.exists():
                result.warn("list-empty", path, "no videos listed", "write one video per line to evaluate with them")
            else:
                fix = "nothing for training; to evaluate, list test videos, one per line"
                result.warn("list-empty", base / name, f"no {name}", fix)
            continue
        if not path.exists():  # a folder without lists: the labeled videos
            continue
        training = NameIndex(lines["train"], media=True)
        for line, video in _numbered(path):
            if video in lines[subset]:
                result.error(
                    "list-duplicate", path, f"{video} is already on line {lines[subset][video]}", "remove it", line
                )
            lines[subset].setdefault(video, line)
            if subset == "test" and (other := training.find(video)):
                result.error(
                    "split-overlap",
                    path,
                    f"{video} is also a training video (line {lines['train'][other]} of {train_list})",
                    "keep it in one of the lists",
                    line,
                )


def _numbered(path: Path) -> list[tuple[int, str]]:
    """The videos of a list with their line numbers."""
    return [(n, line.strip()) for n, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]


def _check_features(data: Dataset, result: CheckResult) -> dict[str, int]:
    """Check the features of all listed videos. Returns the lengths in snippets of those that are usable."""
    lengths, used = {}, set()
    listed = set(data.train) | set(data.test)
    for video in dict.fromkeys(data.train + data.test):
        path: Path | str = video
        try:
            path = data.feature_files(video)[0]
            rows = data.features(video).data
        except InputError as error:
            result.error(error.code, path, error.given, error.next_step)
            continue
        lengths[video] = len(rows)
        if len(rows) > 1 and np.ptp(rows, axis=0).max() == 0:
            result.warn("features-constant", path, "all snippets are equal", "check the extractor")
        if path.suffix == ".npy" and (stored := np.load(path, mmap_mode="r").dtype) != np.float32:
            result.warn("features-dtype", path, f"stored as {stored}, read as float32", _ADVICE[_sort(stored)])
        used |= {path.stem for path in data.feature_files(video)}
    files = [p for ending in FEATURE_ENDINGS for p in data.features_dir.glob(f"*{ending}")]
    unlisted = sorted({p.stem for p in files} - listed - used)
    if unlisted and listed:
        result.warn(
            "features-unlisted",
            data.features_dir,
            f"{counted(len(unlisted), 'file')} of videos in neither list "
            f"({', '.join(unlisted[:3])}{', ...' * (len(unlisted) > 3)})",
            "list them, or ignore this: they are not used",
        )
    return lengths


def _sort(stored: np.dtype[Any]) -> str:
    if stored.kind != "f":
        return "integers"
    return "double" if stored.itemsize > 4 else "half" if stored.itemsize < 4 else "order"


_ADVICE = {
    "double": "save as float32: half the size, with the precision that is used",
    "half": "nothing: half the size of float32, but converted on each read",
    "integers": "nothing, if these are the features; save as float32 to avoid the conversion",
    "order": "nothing: the bytes are swapped on each read",
}
