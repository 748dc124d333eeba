"""Detections to evaluate: from events in memory, ActivityNet JSON, or JSON Lines of events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datasets.dataset import Truth
from ..datasets.tables import parse_json, read_input
from ..datasets.truth import times_of
from ..datatypes import by_value
from ..errors import InputError
from ..events.event import SCHEMA, Event
from ..events.validate import check_segment
from ..text.display import some
from ..text.name_index import NameIndex

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Row = tuple[str, str, str, float, float, float]


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Detections:
    """Detections with indices of the videos and classes of a ground truth.

    Attributes:
        video: int64 [N].
        label: int64 [N].
        segments: Start and end in seconds, float64 [N, 2].
        scores: float64 [N].
        ignored_videos: Videos of a file that the ground truth does not list.
    """

    video: I64
    label: I64
    segments: F64
    scores: F64
    ignored_videos: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def from_rows(cls, rows: Sequence[tuple[int, int, float, float, float]]) -> Detections:
        """Detections from rows of (video index, label index, start_s, end_s, score)."""
        table = np.array(rows, np.float64).reshape(-1, 5)
        return cls(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:4].copy(), table[:, 4].copy())

    @classmethod
    def from_events(cls, events: Mapping[str, Iterable[Event]], truth: Truth) -> Detections:
        """Detections from the final events of each video. Raises InputError for an unknown video or class."""
        rows: list[Row] = [
            (f"event {e.id} of {video}", video, e.label, e.start, e.end, e.score)
            for video, made in events.items()
            for e in made
            if e.phase == "final"
        ]
        found = _collect(rows, truth)
        if found.ignored_videos:
            raise InputError(
                "video-unknown",
                f"There are events of {', '.join(found.ignored_videos[:3])}, which the ground truth does not list",
                "videos of the ground truth",
                "pass events of the evaluated videos only",
            )
        return found


def read_detections(path: str | Path, truth: Truth) -> Detections:
    """Read ActivityNet JSON (`results.<video>: [{label, score, segment}]`) or the final events of JSON Lines.

    Videos that the ground truth does not list are skipped and named in `ignored_videos`.

    Raises:
        InputError: The file is empty, has another format or none of the videos, a class is not in the data set, a
            score or time is not finite, or a segment ends before it starts. The message names the place.
    """
    path = Path(path)
    text = read_input(path, "detections-unreadable", required="a JSON or JSON Lines file", parameter="detections")
    if not text.strip():
        raise InputError(
            "detections-empty",
            f"{path} is empty",
            required="ActivityNet JSON (results may be empty lists) or at least one event",
            next_step="check the program that wrote it",
        )
    lines = SCHEMA in text.lstrip().split("\n", 1)[0]
    results = {} if lines else _results(path, text)
    found = _collect(_event_rows(path, text) if lines else _result_rows(path, results), truth, path)
    judged = NameIndex(truth.videos, media=True)
    if lines and not len(found) and not found.ignored_videos:
        raise InputError(
            "detections-empty",
            f"{path} has no final event: those in it are preliminary reports, or were retracted",
            required="final events, which a run writes when an action is over",
            next_step="let the run end",
        )
    if not len(found) and not any(judged.find(video) for video in results):
        raise InputError(
            "detections-other-videos",
            f"{path} contains none of the {len(truth.videos)} evaluated videos"
            + (f" (it contains {', '.join(found.ignored_videos[:3])}, ...)" if found.ignored_videos else ""),
            required=f"videos such as {truth.videos[0]}",
            next_step="check `subset`, `split` and the file",
        )
    return found


def _collect(rows: Iterable[Row], truth: Truth, path: Path | None = None) -> Detections:
    videos, names = {name: i for i, name in enumerate(truth.videos)}, NameIndex(truth.videos, media=True)
    labels, classes = {name: i for i, name in enumerate(truth.labels)}, NameIndex(truth.labels)
    accepted, ignored = [], {}
    spelled: dict[str, str] = {}
    prefix = f"{path}: " if path else ""
    for where, video, label, start, end, score in rows:
        if (known := names.find(video)) is None:
            ignored[video] = True
            continue
        if (first := spelled.setdefault(known, video)) != video:
            raise InputError(
                "video-alike",
                f"{prefix}{where}: there are detections of {first!r} and of {video!r}, which are the same video",
                required="one spelling for each name",
                next_step="merge the two",
            )
        if (name := classes.find(label)) is None:
            raise InputError(
                "label-unknown",
                f"{prefix}{where}: the ground truth has no class {label!r}",
                some(truth.labels),
                "fix the label",
            )
        try:
            check_segment(start, end, score)
        except ValueError as error:
            raise InputError(
                "detection-invalid",
                f"{prefix}{where}: {error}",
                required="finite numbers, start <= end",
                next_step="fix the entry",
            ) from None
        accepted.append((videos[known], labels[name], start, end, score))
    return replace(Detections.from_rows(accepted), ignored_videos=tuple(ignored))


def _event_rows(path: Path, text: str) -> Iterator[Row]:
    seen: set[str] = set()  # a resumed stream may repeat lines
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line in seen:
            continue
        seen.add(line)
        try:
            event = Event.from_json(line)
            if event.phase == "final":
                times = float(event.start), float(event.end), float(event.score)
                yield f"line {number}", str(event.stream), str(event.label), *times
        except (InputError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                "detections-form",
                f"{path} line {number}: {error}"
                if not isinstance(error, InputError)
                else f"{path} line {number}: {error.given}",
                required=f"one event per line, schema {SCHEMA}",
                next_step="fix the line or write the file again",
            ) from None


def _results(path: Path, text: str) -> dict[str, Any]:
    try:
        results = parse_json(text)["results"]
        if not isinstance(results, dict):
            raise TypeError("results is not an object")
        return results
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(
            "detections-form",
            f"{path} is neither ActivityNet results nor JSON Lines of events ({error!r})",
            required='{"results": {<video>: [{"label", "score", "segment": [start_s, end_s]}]}} or one event per line',
            next_step="check the file",
        ) from None


def _result_rows(path: Path, results: dict[str, Any]) -> Iterator[Row]:
    for video, items in results.items():
        if not isinstance(items, list):
            raise InputError(
                "detections-form",
                f"{path}: the entry of {video} is of type {type(items).__name__}",
                required="a list",
                next_step="check the file",
            )
        if not items:
            continue
        for row, item in enumerate(items):
            try:
                start, end = times_of(item["segment"])
                if isinstance(score := item["score"], bool):
                    raise TypeError(f"score is {score}, not a number")
                yield f"{video} entry {row}", video, str(item["label"]), start, end, float(score)
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise InputError(
                    "detections-form",
                    f"{path}: {video} entry {row}: {json.dumps(item)[:80]} ({error!r})",
                    required='{"label", "score", "segment": [start_s, end_s]}',
                    next_step="fix the entry",
                ) from None
