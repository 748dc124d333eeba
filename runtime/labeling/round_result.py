"""What background training found: events on every video, in the file result.json of the learning folder.

On labeled videos the events are those of networks that have not seen the video, and on others those of the networks
that were trained on all labeled videos.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..events.event import Event
from ..text.strict_json import parse_json

SCHEMA = "punctum.label-round/1"
FILE = "result.json"


@dataclass(frozen=True, slots=True)
class RoundEvent:
    """An event: class, start and end in seconds, and score, a probability if the round could calibrate it."""

    label: str
    start_s: float
    end_s: float
    score: float

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2


@dataclass(frozen=True, slots=True)
class RoundVideo:
    """The events on one video. held_out: by networks that have not seen the labels of the video."""

    duration_s: float
    held_out: bool
    events: tuple[RoundEvent, ...]

    def as_events(self, video: str) -> list[Event]:
        """For the functions that judge events."""
        return [
            Event(video, f"{video}/{k}", 0, "final", e.label, e.score, e.start_s, e.end_s, e.end_s, 0.0, "")
            for k, e in enumerate(self.events)
        ]


@dataclass(frozen=True, slots=True)
class RoundResult:
    """The result of a round of background training.

    Attributes:
        state: Digest of the labels that it was trained on.
        round: Number of the round, from 1.
        run: Name of the run folder in the learning folder.
        labels: Names of the classes.
        clicks: Number of clicks that it was trained on.
        min_score: Default minimum score.
        seconds: Duration of the parts of the round.
        videos: Events by video.
    """

    state: str
    round: int
    run: str
    labels: tuple[str, ...]
    clicks: int
    min_score: float
    seconds: Mapping[str, float]
    videos: Mapping[str, RoundVideo]

    def to_record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "schema": SCHEMA,
            "state": self.state,
            "round": self.round,
            "run": self.run,
            "labels": list(self.labels),
            "clicks": self.clicks,
            "min_score": self.min_score,
            "seconds": dict(self.seconds),
            "videos": {
                name: {
                    "duration_s": round(video.duration_s, 3),
                    "held_out": video.held_out,
                    "events": [
                        [e.label, round(e.start_s, 3), round(e.end_s, 3), round(e.score, 5)] for e in video.events
                    ],
                }
                for name, video in self.videos.items()
            },
        }

    def named(self, names: Mapping[str, str]) -> RoundResult:
        """A copy with the current names of its classes; classes that `names` lacks are left out."""
        videos = {
            video: replace(
                found,
                events=tuple(replace(e, label=names[e.label]) for e in found.events if e.label in names),
            )
            for video, found in self.videos.items()
        }
        return replace(self, labels=tuple(names[label] for label in self.labels if label in names), videos=videos)

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> RoundResult:
        """From JSON. Raises KeyError, TypeError or ValueError for anything else."""
        if record["schema"] != SCHEMA:
            raise ValueError(f"schema {record['schema']!r}")
        labels = tuple(map(str, record["labels"]))
        videos = {
            str(name): RoundVideo(
                _number(video["duration_s"]), bool(video["held_out"]), tuple(_events(video["events"], set(labels)))
            )
            for name, video in record["videos"].items()
        }
        return cls(
            str(record["state"]),
            int(record["round"]),
            str(record["run"]),
            labels,
            int(record["clicks"]),
            _number(record["min_score"]),
            {str(name): _number(value) for name, value in record["seconds"].items()},
            videos,
        )


def read_round(folder: Path) -> RoundResult | None:
    """The result in a learning folder; None if there is none, or if it is damaged: it can be made again."""
    try:
        record = parse_json((folder / FILE).read_bytes())
        return RoundResult.of_record(record) if isinstance(record, dict) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _events(rows: Iterable[Any], labels: set[str]) -> Iterable[RoundEvent]:
    for label, start_s, end_s, score in rows:
        if label not in labels:
            raise ValueError(f"unknown class {label!r}")
        event = RoundEvent(label, _number(start_s), _number(end_s), _number(score))
        if not (event.start_s <= event.end_s and 0 <= event.score <= 1):
            raise ValueError("an event that cannot be")
        yield event


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number
