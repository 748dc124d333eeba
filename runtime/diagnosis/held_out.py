"""Events on training videos by networks that have not seen them. `punctum train` keeps them in its run folder."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..bundle.calibration import Calibration
from ..errors import InputError
from ..events.event import Event
from ..events.validate import check_segment
from ..files.atomic import atomic_write
from ..text.display import plain

SCHEMA = "punctum.held-out/1"
FILE = "held_out.json"
"""Name of the file in a run folder."""

Row = tuple[int, float, float, float]
"""An event: index of the class, start and end in seconds, raw score."""


@dataclass(frozen=True, slots=True)
class HeldOutVideo:
    """The events on one training video.

    Attributes:
        fold: Number of the fold; its networks were trained on the videos of all other folds.
        duration_s: Duration of the video in seconds.
        rows: The events.
    """

    fold: int
    duration_s: float
    rows: tuple[Row, ...]

    @classmethod
    def of_events(cls, events: Iterable[Event], labels: Sequence[str], *, fold: int, duration_s: float) -> HeldOutVideo:
        """From events with raw scores."""
        index = {label: k for k, label in enumerate(labels)}
        rows = ((index[e.label], round(e.start, 4), round(e.end, 4), float(f"{e.score:.6g}")) for e in events)
        return cls(fold, round(duration_s, 4), tuple(rows))

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> HeldOutVideo:
        """From JSON. Raises KeyError, TypeError or ValueError for anything else."""
        rows = []
        for label, start, end, raw in record["events"]:
            check_segment(float(start), float(end), float(raw))
            rows.append((int(label), float(start), float(end), float(raw)))
        duration_s = float(record["duration_s"])
        if not (math.isfinite(duration_s) and duration_s >= 0):
            raise ValueError(f"the duration is {duration_s}")
        return cls(int(record["fold"]), duration_s, tuple(rows))

    def to_record(self) -> dict[str, Any]:
        """For JSON."""
        return {"fold": self.fold, "duration_s": self.duration_s, "events": [list(row) for row in self.rows]}


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
        if any(not 0 <= row[0] < len(labels) for each in videos.values() for row in each.rows):
            raise ValueError("an event has an unknown class")
        calibration = _calibration(path.parent, len(labels))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(
            "held-out-damaged",
            f"{path} cannot be used ({plain(error)[:200]})",
            required="the file that training wrote",
            next_step="restore it, or train again",
        ) from None
    return HeldOut(tuple(labels), videos, calibration)


def _calibration(folder: Path, classes: int) -> Calibration | None:
    path = folder / "calibration.json"
    if not path.is_file():
        return None
    found = Calibration.model_validate_json(path.read_text(encoding="utf-8"))
    if len(found.classes) != classes:
        raise ValueError(f"{path.name} has {len(found.classes)} classes")
    return found
