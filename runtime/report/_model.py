"""The content of a report as plain data, to be filled in by a command, a demo or a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..datatypes import by_value, compact
from ..errors import InputError
from ..events import validate
from ..events.event import Event
from ..text.display import counted, short

if TYPE_CHECKING:
    from ..diagnosis.diagnose import Diagnosis
    from ..evaluation.alignment import Alignment
    from ..evaluation.average_precision import Evaluation
    from ..evaluation.reliability import Reliability

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Action:
    """A true action: label, start and end in seconds on the media clock."""

    label: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal: start and end in seconds, and its aligned confidence before suppression."""

    label: str
    start: float
    end: float
    score: float


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TrackSpan:
    """Tracks of one span without gaps.

    Attributes:
        values: Scores from 0 to 1, float32 [T, C] or [T, C + 1]; the last column of the latter is actionness. Row t
            covers [start_s + t * stride_s, start_s + (t + 1) * stride_s), and its scores belong to the center.
        stride_s: Seconds per row.
        start_s: Media time of the first row.
    """

    values: F32
    stride_s: float
    start_s: float = 0.0


@compact
@dataclass(frozen=True, slots=True, repr=False)
class Thumbnail:
    """A small picture: media time in seconds, and the bytes of a JPEG file."""

    at: float
    jpeg: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingReport:
    """The report of one recording. Only title, labels, duration_s and events are required.

    Attributes:
        title: Title of the page.
        labels: Classes of the bundle.
        duration_s: Length of the recording in seconds.
        events: Events of all phases, in the order of emission.
        start_s: Media time of the start of the recording.
        source: Name of the file.
        truth: True actions. None if they are unknown, which is different from no action.
        tracks: Tracks of the spans of the recording.
        proposals: Proposals before suppression.
        thresholds: Thresholds of the class tracks, lowest first.
        thumbnails: Pictures of the video.
        stages: Seconds of compute per stage, in the order of display.
        max_delay_s: Maximum reporting delay of a live run in seconds. None: offline.
        min_score: Minimum score of the events shown at first. None: chosen from the ground truth or the scores.
        bundle: Sections of facts about the bundle, as from `bundle_facts`.
        machine: Sections of facts about the machine, as from `machine_facts`.
        notes: Sentences for the reader, such as one about a gap in the recording.

    Raises:
        InputError: A label is unknown, a number is not finite, or a shape is wrong.
    """

    title: str
    labels: tuple[str, ...]
    duration_s: float
    events: tuple[Event, ...]
    start_s: float = 0.0
    source: str = ""
    truth: tuple[Action, ...] | None = None
    tracks: tuple[TrackSpan, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    thresholds: tuple[float, ...] = ()
    thumbnails: tuple[Thumbnail, ...] = ()
    stages: Mapping[str, float] = field(default_factory=dict)
    max_delay_s: float | None = None
    min_score: float | None = None
    bundle: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    machine: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_span(self.start_s, self.duration_s)
        check_labels(self.labels, (e.label for e in self.events), "an event")
        check_labels(self.labels, (a.label for a in self.truth or ()), "a true action")
        check_labels(self.labels, (c.label for c in self.proposals), "a proposal")
        for e in self.events:
            check_segment(e.start, e.end, e.score, f"event {e.id}")
        for a in self.truth or ():
            check_segment(a.start, a.end, 0.0, f"the true action {a.label}")
        for span in self.tracks:
            shape = span.values.shape
            if len(shape) != 2 or shape[1] not in (len(self.labels), len(self.labels) + 1):
                raise InputError(
                    "report-tracks",
                    f"Tracks have shape {shape}, but there are {counted(len(self.labels), 'class', 'classes')}",
                    required="shape [T, classes] or [T, classes + 1]",
                    next_step="pass the tracks of this bundle",
                )


@dataclass(frozen=True, slots=True)
class EvaluatedRecording:
    """One recording of a data set: final events, true actions and duration in seconds."""

    name: str
    duration_s: float
    events: tuple[Event, ...]
    truth: tuple[Action, ...]


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Curve:
    """Precision over recall of one class, or of all pooled, at one tIoU, and its average precision."""

    label: str
    tiou: float
    recall: F64
    precision: F64
    ap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetReport:
    """The report of a bundle on a data set.

    Attributes:
        min_score: The score that maximizes F1 at tIoU 0.5. Hits and false alarms are counted from it on.
        f1: F1 at that score.
    """

    title: str
    name: str
    subset: str
    labels: tuple[str, ...]
    evaluation: Evaluation
    alignment: Alignment
    reliability: Reliability
    curves: tuple[Curve, ...]
    recordings: tuple[EvaluatedRecording, ...]
    min_score: float
    f1: float
    stages: Mapping[str, float] = field(default_factory=dict)
    bundle: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    machine: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@compact
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DiagnosisReport:
    """The report of the errors of a bundle on a data set.

    Attributes:
        pictures: JPEG files by video and time in seconds, as from `moments.pictures_of`.
    """

    title: str
    name: str
    subset: str
    labels: tuple[str, ...]
    diagnosis: Diagnosis
    pictures: Mapping[tuple[str, float], bytes] = field(default_factory=dict)
    bundle: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    machine: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def check_span(start_s: float, duration_s: float) -> None:
    """Raise InputError for a recording without a duration."""
    if not (np.isfinite(start_s) and np.isfinite(duration_s) and duration_s > 0):
        raise InputError(
            "report-duration",
            f"The recording starts at {short(start_s)} s and lasts {short(duration_s)} s",
            required="a finite start and a duration above 0 s",
            next_step="pass the duration of the recording",
        )


def check_labels(known: tuple[str, ...], used: Iterable[str], what: str) -> None:
    """Raise InputError for a class outside `known`."""
    strange = sorted(set(used) - set(known))
    if strange:
        raise InputError(
            "label-unknown",
            f"There is {what} of class {strange[0]!r}",
            ", ".join(known),
            "use the classes of the bundle",
        )


def check_segment(start: float, end: float, score: float, what: str) -> None:
    """Raise InputError for numbers that are not finite, and for an end before its start."""
    try:
        validate.check_segment(start, end, score)
    except ValueError as error:
        raise InputError(
            "report-segment",
            f"The numbers of {what} are invalid: {error}",
            required="finite numbers, start <= end",
            next_step="check the program that made them",
        ) from None
