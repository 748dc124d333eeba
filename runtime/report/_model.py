"""What a report shows, as plain data. Whoever has events in hand (a command, the demo, a notebook) fills these in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..datatypes import by_value, compact
from ..errors import InputError
from ..events import validate
from ..events.event import Event
from ..text.display import counted, short

if TYPE_CHECKING:
    from ..evaluation.alignment import Alignment
    from ..evaluation.average_precision import Evaluation

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Action:
    """A true action: label, start and end in seconds on the media clock."""

    label: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A segment that post-processing considered: start, end in seconds, fused score before suppression."""

    label: str
    start: float
    end: float
    score: float


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TrackStretch:
    """Tracks of one unbroken stretch: values float32 [T, C] or [T, C + 1] (the last column: actionness), in 0..1.

    Row t covers [start_s + t * stride_s, start_s + (t + 1) * stride_s) and belongs to the centre of it.
    """

    values: F32
    stride_s: float
    start_s: float = 0.0


@compact
@dataclass(frozen=True, slots=True, repr=False)
class Thumbnail:
    """A small picture: media time in seconds and the bytes of a JPEG file."""

    at: float
    jpeg: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingReport:
    """One recording. Only title, labels, duration_s and events are needed; an empty part is left out of the page.

    duration_s: length of the recording, which starts at media time start_s. events: all phases, in the order in which
    they were said. truth: None where it is not known, which is not the same as no action. stages: seconds of compute
    per stage, in the order in which they shall be shown. floor: score from which events are shown at first; None:
    chosen from the truth, else from the scores. bundle, machine: facts by section, see `bundle_facts`,
    `machine_facts`. notes: sentences for the reader, such as a gap in the stream.
    """

    title: str
    labels: tuple[str, ...]
    duration_s: float
    events: tuple[Event, ...]
    start_s: float = 0.0
    source: str = ""
    truth: tuple[Action, ...] | None = None
    tracks: tuple[TrackStretch, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    thresholds: tuple[float, ...] = ()
    thumbnails: tuple[Thumbnail, ...] = ()
    stages: Mapping[str, float] = field(default_factory=dict)
    max_delay_s: float | None = None
    floor: float | None = None
    bundle: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_span(self.start_s, self.duration_s)
        check_labels(self.labels, (e.label for e in self.events), "an event")
        check_labels(self.labels, (a.label for a in self.truth or ()), "a true action")
        check_labels(self.labels, (c.label for c in self.candidates), "a candidate")
        for e in self.events:
            check_segment(e.start, e.end, e.score, f"event {e.id}")
        for a in self.truth or ():
            check_segment(a.start, a.end, 0.0, f"the true action {a.label}")
        for stretch in self.tracks:
            shape = stretch.values.shape
            if len(shape) != 2 or shape[1] not in (len(self.labels), len(self.labels) + 1):
                raise InputError(
                    "report-tracks",
                    f"tracks of shape {shape} for {counted(len(self.labels), 'label')}",
                    "[T, labels] or [T, labels + 1]",
                    "pass the tracks of this bundle",
                )


@dataclass(frozen=True, slots=True)
class Judged:
    """One recording of a data set: its events (final ones) and its truth. duration_s in seconds."""

    name: str
    duration_s: float
    events: tuple[Event, ...]
    truth: tuple[Action, ...]


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Curve:
    """Precision over recall of one class (or of all, pooled) at one tIoU; ap: its average precision."""

    label: str
    tiou: float
    recall: F64
    precision: F64
    ap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetReport:
    """A bundle judged on a data set. floor: score of best F1 at tIoU 0.5, from which hits and misses are counted."""

    title: str
    name: str
    subset: str
    labels: tuple[str, ...]
    evaluation: Evaluation
    alignment: Alignment
    curves: tuple[Curve, ...]
    recordings: tuple[Judged, ...]
    floor: float
    f1: float
    stages: Mapping[str, float] = field(default_factory=dict)
    bundle: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def check_span(start_s: float, duration_s: float) -> None:
    """Raises InputError for a recording without a length."""
    if not (np.isfinite(start_s) and np.isfinite(duration_s) and duration_s > 0):
        raise InputError(
            "report-duration",
            f"a recording of {short(duration_s)} s from {short(start_s)} s",
            "a finite start and a length above 0 s",
            "pass the length of the recording",
        )


def check_labels(known: tuple[str, ...], used: Any, what: str) -> None:
    """Raises InputError for a label outside `known`."""
    strange = sorted(set(used) - set(known))
    if strange:
        raise InputError(
            "label-unknown", f"{what} has label {strange[0]!r}", ", ".join(known), "use the labels of the bundle"
        )


def check_segment(start: float, end: float, score: float, what: str) -> None:
    """Raises InputError for numbers that are not finite, or an end before its start."""
    try:
        validate.check_segment(start, end, score)
    except ValueError as error:
        raise InputError(
            "report-segment", f"{what}: {error}", "finite numbers, start <= end", "check what made it"
        ) from None
