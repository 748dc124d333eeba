"""Proposals of any base locator, from a file in ActivityNet form: results.<video>: [{label, segment, score}].

`read_results` and `entry` are shared with training, which leaves out what it cannot use. `read_proposals` is strict:
whatever cannot be used is an error, or with `skip_unfit` is left out and counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle import limits
from ..errors import InputError
from ..events.validate import MAX_S
from ..session.rescore import ScoredSegments
from ..text.display import short, shown, some
from ..text.name_index import NameIndex
from .tables import read_json

MOST_BYTES = 512 << 20
"""Size of a file; its text is held in memory several times over."""


@dataclass(frozen=True, slots=True)
class ProposalFile:
    """What a file holds for the videos that are wanted.

    Attributes:
        videos: Proposals of each wanted video that has a list in the file, by the name in the data set.
        other_videos: Number of listed videos of the data set that are not wanted.
        unknown_videos: Videos that the data set does not list, which were left out.
        unknown_labels: Classes that the data set does not have; and the number of their proposals, left out.
    """

    videos: dict[str, ScoredSegments]
    other_videos: int = 0
    unknown_videos: tuple[str, ...] = ()
    unknown_labels: dict[str, int] = field(default_factory=dict)


def read_results(path: Path) -> Mapping[str, Any]:
    """The object "results" of a file. Raises InputError for a file that is missing, too large or has another form."""
    try:
        size = path.stat().st_size
    except OSError:
        size = 0  # reading it says what is wrong
    if size > MOST_BYTES:
        raise InputError(
            "proposals-many",
            f"{path} has {size / (1 << 20):.0f} MiB",
            f"at most {MOST_BYTES >> 20} MiB",
            "keep the best proposals of each video, or split the file by videos",
        )
    if not path.exists():
        raise InputError(
            "file-missing",
            f"{path} does not exist",
            required="a file of proposals in ActivityNet form",
            next_step="check the path",
        )
    record = read_json(path)
    results = record.get("results") if isinstance(record, Mapping) else None
    if not isinstance(results, Mapping):
        raise wrong_form(path, 'it has no object "results"')
    return results


def entry(item: Any, path: Path, video: str, row: int) -> tuple[float, float, str, float | None]:
    """Start, end, class and score (None without one) of one proposal. Raises InputError for another form."""
    try:
        segment, label, score = item["segment"], item["label"], item.get("score")
        if not isinstance(segment, list) or len(segment) != 2:
            raise TypeError(f"segment is {shown(repr(segment), 60)}, not a list of two numbers")
        if isinstance(label, bool) or not isinstance(label, str | int):
            raise TypeError(f"label is {shown(repr(label), 60)}, not text")
        start, end = (_number(x) for x in segment)
        return start, end, str(label), None if score is None else _number(score)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = error if isinstance(error, TypeError) and error.args else repr(error)
        raise wrong_form(path, f"results.{shown(video)}[{row}]: {what}") from None


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{shown(repr(value), 60)} is not a number")
    return float(value)


def read_proposals(
    path: Path, labels: Sequence[str], *, wanted: Sequence[str], listed: Sequence[str], skip_unfit: bool = False
) -> ProposalFile:
    """Read the proposals of some videos of a data set.

    Args:
        path: The file.
        labels: Classes of the data set.
        wanted: The videos to read.
        listed: All videos of the data set.
        skip_unfit: Leave out videos and classes that the data set does not have, and count them.

    Raises:
        InputError: The file cannot be read or has another form; a video or class is not in the data set; two names are
            one video; a time or score is not finite; an end lies before its start; there is no proposal for any of the
            wanted videos, or there are too many.
    """
    results = read_results(path)
    names, known = NameIndex(listed, media=True), NameIndex(labels)
    index = {label: i for i, label in enumerate(labels)}
    wanted_names = set(wanted)
    videos: dict[str, ScoredSegments] = {}
    spelled: dict[str, str] = {}
    unknown_videos: list[str] = []
    unknown_labels: dict[str, int] = {}
    for written, items in results.items():
        if not isinstance(items, list):
            raise wrong_form(path, f"results.{shown(written)} is not a list")
        if (video := names.find(written)) is None:
            if not skip_unfit or names.alike(written):
                raise _unknown_video(path, written, names.alike(written), listed)
            unknown_videos.append(written)
            continue
        if (first := spelled.setdefault(video, written)) != written:
            raise InputError(
                "video-alike",
                f"{path} has {shown(repr(first))} and {shown(repr(written))}, which are the same video",
                "one list for each video",
                "merge the two",
            )
        if video not in wanted_names:
            continue
        rows = []
        for row, item in enumerate(items):
            start, end, label, score = entry(item, path, written, row)
            _check(path, written, row, start, end, score)
            if (name := known.find(label)) is not None:
                rows.append((start, end, float(index[name]), math.nan if score is None else score))
            elif skip_unfit:
                unknown_labels[label] = unknown_labels.get(label, 0) + 1
            else:
                raise InputError(
                    "label-unknown",
                    f"{path}: results.{shown(written)}[{row}]: there is no class {shown(repr(label))}",
                    some(labels),
                    "correct the label, or set `skip_unfit`",
                )
        table = np.array(rows, np.float64).reshape(-1, 4)
        counts = np.bincount(table[:, 2].astype(np.int64)) if len(table) else np.zeros(1)
        if counts.max() > limits.PROPOSALS:
            raise InputError(
                "proposals-many",
                f"{path}: results.{shown(written)} has {int(counts.max())} proposals of one class",
                f"at most {limits.PROPOSALS}",
                "keep the best of them",
            )
        videos[video] = ScoredSegments(table[:, :2].copy(), table[:, 2].astype(np.int64), table[:, 3].copy())
    if not any(len(found) for found in videos.values()):
        raise InputError(
            "proposals-empty",
            f"{path} has no proposal of a known class for any of the {len(wanted)} videos",
            "results.<video> with classes of the data set",
            "check `subset`, `split`, and the names in the file",
        )
    other = len(spelled) - len(videos)
    return ProposalFile(videos, other, tuple(unknown_videos), unknown_labels)


def wrong_form(path: Path, problem: str) -> InputError:
    """The error for a file of another form."""
    return InputError(
        "proposals-form",
        f"{path} is not in ActivityNet form: {problem}",
        required='results.<video>: [{"label": ..., "segment": [start_s, end_s], "score": ...}]',
        next_step="correct the file",
    )


def _check(path: Path, video: str, row: int, start: float, end: float, score: float | None) -> None:
    """Raise InputError for times or a score that are not finite, and an end before its start."""
    times = all(math.isfinite(x) and abs(x) <= MAX_S for x in (start, end)) and start <= end
    if times and (score is None or math.isfinite(score)):
        return
    raise InputError(
        "proposal-invalid",
        f"{path}: results.{shown(video)}[{row}]: segment [{short(start)}, {short(end)}], score {short(score)}",
        "finite seconds with start <= end, and a finite score or none",
        "correct the entry",
    )


def _unknown_video(path: Path, video: str, alike: Sequence[str], listed: Sequence[str]) -> InputError:
    if alike:
        return InputError(
            "video-alike",
            f"{path} names {shown(repr(video))}, the data set {' and '.join(shown(repr(a)) for a in alike[:3])}",
            "one spelling for each name",
            "write the name as in the data set",
        )
    return InputError(
        "video-unknown",
        f"{path} has proposals of {shown(repr(video))}, which the data set does not list",
        f"videos such as {listed[0]}" if listed else "videos of the data set",
        "remove it, or set `skip_unfit`",
    )
