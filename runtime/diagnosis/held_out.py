"""Events on training videos by networks that have not seen them. `punctum train` keeps them in its run folder."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..bundle.calibration import Calibration
from ..datasets.dataset import Point
from ..errors import InputError
from ..events.event import Event
from ..events.validate import check_segment
from ..files.atomic import atomic_write, sha256_file
from ..text.display import counted, plain, short

SCHEMA = "punctum.held-out/1"
FILE = "held_out.json"
"""Name of the file in a run folder."""

Row = tuple[int, float, float, float]
"""An event: index of the class, start and end in seconds, raw score."""
Span = tuple[int, float, float]
"""Index of a class, start and end in seconds."""


@dataclass(frozen=True, slots=True)
class HeldOutVideo:
    """The events on one training video.

    Attributes:
        fold: Number of the fold; its networks were trained on the videos of all other folds.
        duration_s: Duration of the video in seconds.
        rows: The events.
        segments: The pseudo segments of its clicks, by the same networks; none in files of earlier versions.
    """

    fold: int
    duration_s: float
    rows: tuple[Row, ...]
    segments: tuple[Span, ...] = ()

    @classmethod
    def of_events(
        cls,
        events: Iterable[Event],
        labels: Sequence[str],
        *,
        fold: int,
        duration_s: float,
        segments: Iterable[Span] = (),
    ) -> HeldOutVideo:
        """From events with raw scores."""
        index = {label: k for k, label in enumerate(labels)}
        rows = ((index[e.label], round(e.start, 4), round(e.end, 4), float(f"{e.score:.6g}")) for e in events)
        spans = ((int(label), round(float(start), 4), round(float(end), 4)) for label, start, end in segments)
        return cls(fold, round(duration_s, 4), tuple(rows), tuple(spans))

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> HeldOutVideo:
        """From JSON. Raises KeyError, TypeError or ValueError for anything else."""
        rows = []
        for label, start, end, raw in record["events"]:
            check_segment(float(start), float(end), float(raw))
            if not 0 <= float(raw) <= 1:
                raise ValueError(f"a raw score is {short(raw)}")
            rows.append((_whole("a class", label), float(start), float(end), float(raw)))
        duration_s = float(record["duration_s"])
        if not (math.isfinite(duration_s) and duration_s >= 0):
            raise ValueError(f"the duration is {duration_s}")
        segments = tuple(
            (_whole("a class", label), float(start), float(end)) for label, start, end in record.get("segments", ())
        )
        if any(not (math.isfinite(start) and math.isfinite(end)) for label, start, end in segments):
            raise ValueError("a pseudo segment is not finite")
        return cls(_whole("the fold", record["fold"]), duration_s, tuple(rows), segments)

    def to_record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "fold": self.fold,
            "duration_s": self.duration_s,
            "events": [list(row) for row in self.rows],
            "segments": [list(span) for span in self.segments],
        }


def _whole(what: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{what} is {str(value)[:60]}")
    return value


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The events on all training videos of a run.

    Attributes:
        labels: Names of the classes.
        videos: Events by video.
        calibration: Of the run, which was learned from these events; None: scores only rank events.
    """

    labels: tuple[str, ...]
    videos: Mapping[str, HeldOutVideo]
    calibration: Calibration | None

    def events(self) -> dict[str, list[Event]]:
        """Final events of each video, calibrated if the run is."""
        return {video: self._events(video, each.rows) for video, each in self.videos.items()}

    def _events(self, video: str, rows: Sequence[Row]) -> list[Event]:
        found = []
        for k, (label, start, end, raw) in enumerate(rows):
            score = raw if self.calibration is None else self.calibration.score(label, raw)
            name = self.labels[label]
            known = None if self.calibration is None else raw
            ident = f"{video}/{k}"
            found.append(Event(video, ident, 0, "final", name, score, start, end, end, 0.0, "", raw_score=known))
        return found

    def unjudged(self, clicks: Mapping[str, Sequence[Point]]) -> frozenset[str]:
        """Classes of which all clicks were held out at once, so that the networks that judge them do not know them.

        Args:
            clicks: of each video.
        """
        found = self._in_one_fold({video: [point.label for point in points] for video, points in clicks.items()})
        return frozenset(self.labels[label] for label in found)

    def unjudged_segments(self) -> frozenset[int]:
        """As `unjudged`, by the pseudo segments: indices of the classes."""
        return self._in_one_fold({video: [span[0] for span in each.segments] for video, each in self.videos.items()})

    def _in_one_fold(self, labels: Mapping[str, Sequence[int]]) -> frozenset[int]:
        """Of the classes in each video, those that are in one of several folds only."""
        folds: dict[int, set[int]] = {}
        for video, each in self.videos.items():
            for label in labels.get(video, ()):
                folds.setdefault(label, set()).add(each.fold)
        several = len({each.fold for each in self.videos.values()}) > 1
        return frozenset(label for label, found in folds.items() if len(found) == 1 and several)

    @property
    def hours(self) -> float:
        """Duration of all videos."""
        return sum(each.duration_s for each in self.videos.values()) / 3600


def write_held_out(folder: Path, found: HeldOut) -> None:
    """Write the file of a run folder; the calibration has a file of its own there."""
    record = {
        "schema": SCHEMA,
        "labels": list(found.labels),
        "videos": {video: each.to_record() for video, each in found.videos.items()},
    }
    atomic_write(folder / FILE, json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")


def read_held_out(folder: str | Path) -> HeldOut:
    """Read the events of a run folder, or of the folder locator of a run on videos.

    Raises:
        InputError: The folder has none, or a file is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            "held-out-missing",
            f"{folder} is not a folder",
            required="a folder written by `punctum train`",
            next_step="check the path",
        )
    path = next((p for p in (folder / FILE, folder / "locator" / FILE) if p.is_file()), None)
    if path is None:
        raise InputError(
            "held-out-missing",
            f"{folder} has no {FILE}, the events on training videos by networks that have not seen them",
            required="a finished run that was calibrated, by this version",
            next_step="train it with this version, and not with `--no-calibration`",
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["schema"] != SCHEMA:
            raise ValueError(f"the schema is {str(record['schema'])[:60]!r}")
        labels = record["labels"]
        if not (isinstance(labels, list) and labels and all(isinstance(label, str) for label in labels)):
            raise ValueError("the classes are no names")
        videos = {str(video): HeldOutVideo.of_record(each) for video, each in record["videos"].items()}
        if any(row[0] >= len(labels) for each in videos.values() for row in (*each.rows, *each.segments)):
            raise ValueError("an event has an unknown class")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise _damaged(path, plain(error)[:200]) from None
    return HeldOut(tuple(labels), videos, _calibration(path.parent, len(labels)))


def _calibration(folder: Path, classes: int) -> Calibration | None:
    """The calibration of a run. Raises InputError if it is damaged, or is not the file that summary.json lists."""
    path = folder / "calibration.json"
    listed = _listed_hashes(folder / "summary.json")
    if not path.is_file():
        if listed is not None and path.name in listed:
            raise _damaged(path, "it is missing, and summary.json lists it")
        return None
    if listed is not None and listed.get(path.name) != sha256_file(path):
        raise _damaged(path, "it is not the file that summary.json lists")
    try:
        found = Calibration.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _damaged(path, plain(f"{place}: {first['msg']}".removeprefix(": "))[:200]) from None
    except (OSError, ValueError) as error:
        raise _damaged(path, plain(error)[:200]) from None
    if len(found.classes) != classes:
        raise _damaged(path, f"it has {counted(len(found.classes), 'class', 'classes')}, the run {classes}")
    return found


def _listed_hashes(path: Path) -> dict[str, Any] | None:
    """Hashes by file name in a summary; None without a summary: training was stopped, or is going on."""
    if not path.is_file():
        return None
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        if not isinstance(files, dict):
            raise TypeError("files is no object")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, plain(error)[:200]) from None
    return files


def _damaged(path: Path, problem: str) -> InputError:
    return InputError(
        "held-out-damaged",
        f"{path} cannot be used ({problem})",
        required="the file that training wrote",
        next_step="restore it, or train again",
    )
