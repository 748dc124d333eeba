"""What streams said, as arrays: every revision of every event, with the media time at which it was said."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..datasets.dataset import Truth
from ..datasets.tables import read_text
from ..datatypes import by_value
from ..errors import InputError
from ..events.event import SCHEMA, Event
from ..events.validate import PHASES, check_numbers, check_phase, check_segment
from ..text.display import short
from .detections import Detections

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
SLACK_S = 1e-6  # a report on the deadline itself is in time


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Reports:
    """Reports aligned with a Truth, sorted by event, then revision. N rows, E events; times in seconds.

    video, event, label: indices [N]; segments [N, 2]; scores, emitted_at [N]; ended [N]: the report claims an end;
    phase [N]: index into PHASES; place [N]: position in the input, which settles ties of scores as in `evaluate`.
    ignored_videos: streams of a file that are not judged.
    """

    video: I64
    event: I64
    label: I64
    segments: F64
    scores: F64
    emitted_at: F64
    ended: Flags
    phase: I64
    place: I64
    ignored_videos: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def claims(self) -> Flags:
        """Reports that say: this happened, from here to here [N]."""
        return np.asarray(self.ended & (self.phase != PHASES.index("retracted")))

    @property
    def first(self) -> I64:
        """Row of the first report of every event [E]."""
        return np.flatnonzero(np.diff(self.event, prepend=-1))

    @property
    def last(self) -> I64:
        """Row of the last report of every event [E]."""
        return np.flatnonzero(np.diff(self.event, append=len(self.event) + 1))

    def in_time(self, max_delay_s: float) -> Flags:
        """Claims that were made by the deadline, `max_delay_s` after the end that they themselves claim [N]."""
        return np.asarray(self.claims & (self.emitted_at <= self.segments[:, 1] + max_delay_s + SLACK_S))

    def by_deadline(self, max_delay_s: float) -> Detections:
        """What had been said by the deadline: of every event the last claim that was in time.

        It is void when the event was retracted, or said to run on after all, by that same deadline. What comes after
        the deadline does not help: a stale or wrong claim counts as it stood. Infinite: the final events.
        """
        if math.isinf(max_delay_s):
            return self._detections(np.flatnonzero(self.phase == PHASES.index("final")))
        spoken = np.flatnonzero(self.in_time(max_delay_s))
        spoken = spoken[np.diff(self.event[spoken], append=len(self.event) + 1) != 0]
        # The claim that each row would take back, or -1.
        claim = np.full(self.event.max(initial=-1) + 1, -1, np.int64)
        claim[self.event[spoken]] = spoken
        mine = claim[self.event]
        after = (mine >= 0) & (np.arange(len(self)) > mine) & ~self.claims
        after &= self.emitted_at <= self.segments[mine, 1] + max_delay_s + SLACK_S
        void = np.zeros(len(claim), bool)
        void[self.event[after]] = True
        return self._detections(spoken[~void[self.event[spoken]]])

    def _detections(self, rows: I64) -> Detections:
        rows = rows[np.argsort(self.place[rows], kind="stable")]
        return Detections(
            self.video[rows], self.label[rows], self.segments[rows], self.scores[rows], self.ignored_videos
        )

    @classmethod
    def from_events(cls, events: Mapping[str, Iterable[Event]], truth: Truth) -> Reports:
        """Events per video, in the order in which they were emitted.

        Raises InputError for videos and labels that the truth does not know, for numbers that are not finite, and
        for events whose revisions or times do not rise, or that go on after their last phase.
        """
        rows = [(f"event {e.id} of {video}", video, e) for video, found in events.items() for e in found]
        reports = _collect(rows, truth, "")
        if reports.ignored_videos:
            raise InputError(
                "video-unknown",
                f"events of {', '.join(reports.ignored_videos[:3])}, which the truth does not list",
                "videos of the truth",
                "pass the events of the judged videos",
            )
        return reports


def read_reports(path: str | Path, truth: Truth) -> Reports:
    """JSON Lines of events, all phases, as a live stream wrote them. Raises InputError naming the line that is wrong.

    A line that repeats an earlier one, as after a restart, counts once. Streams that are not judged are left out.
    """
    path = Path(path)
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "detections-unreadable", f"{path} cannot be read ({error})", "JSON Lines of events", "check --detections"
        ) from None
    if SCHEMA not in text.lstrip().split("\n", 1)[0]:
        raise InputError(
            "detections-no-phases",
            f"{path} does not say when its detections were made" if text.strip() else f"{path} is empty",
            f"JSON Lines of events, schema {SCHEMA}, with phases and emitted_at",
            "record the events of a live run, or leave out --online",
        )
    rows, seen = [], set[str]()
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line in seen:
            continue
        seen.add(line)
        try:
            event = Event.from_json(line)
        except InputError as error:
            raise InputError(
                "report-invalid" if error.code == "event-invalid" else "detections-form",
                f"{path} line {number}: {error.given}",
                f"one event a line, schema {SCHEMA}",
                "fix the line or record the run again",
            ) from None
        rows.append((f"line {number}", str(event.stream), event))
    reports = _collect(rows, truth, f"{path}: ")
    if not len(reports):
        raise InputError(
            "detections-other-videos",
            f"{path} holds none of the {len(truth.videos)} judged videos",
            f"streams named like videos, such as {truth.videos[0]}",
            "check --subset, --split and the stream names",
        )
    return reports


def _collect(rows: Iterable[tuple[str, str, Event]], truth: Truth, prefix: str) -> Reports:
    videos = {name: i for i, name in enumerate(truth.videos)}
    labels = {name: i for i, name in enumerate(truth.labels)}
    numbers: dict[tuple[int, str], int] = {}
    latest: dict[int, Event] = {}
    table: list[tuple[float, ...]] = []
    ignored: dict[str, bool] = {}
    for where, video, event in rows:
        if video not in videos:
            ignored[video] = True
            continue
        if event.label not in labels:
            raise InputError(
                "label-unknown", f"{prefix}{where}: label {event.label!r}", ", ".join(truth.labels), "fix the label"
            )
        _check(event, prefix + where)
        number = numbers.setdefault((videos[video], event.id), len(numbers))
        _check_order(latest.get(number), event, prefix + where)
        latest[number] = event
        table.append(
            (
                videos[video],
                number,
                labels[event.label],
                event.start,
                event.end,
                event.score,
                event.emitted_at,
                event.ended,
                PHASES.index(event.phase),
            )
        )
    data = np.array(table, np.float64).reshape(-1, 9)
    place = np.argsort(data[:, 1], kind="stable")
    data = data[place]
    video_, event_, label_, phase_ = (data[:, k].astype(np.int64) for k in (0, 1, 2, 8))
    return Reports(
        video_,
        event_,
        label_,
        data[:, 3:5].copy(),
        data[:, 5].copy(),
        data[:, 6].copy(),
        data[:, 7] > 0,
        phase_,
        place,
        tuple(ignored),
    )


def _check(event: Event, where: str) -> None:
    try:
        check_numbers(event, limit=math.inf)
        check_segment(event.start, event.end, event.score)
        check_phase(event)
    except ValueError as error:
        raise InputError(
            "report-invalid",
            f"{where}: {error}",
            f"finite numbers, start <= end, a phase of {', '.join(PHASES)}, ended false while it is open",
            "check what made the events",
        ) from None


def _check_order(before: Event | None, event: Event, where: str) -> None:
    if before is None:
        return
    if before.phase in ("final", "retracted"):
        raise InputError(
            "report-after-last",
            f"{where}: event {event.id} was {before.phase} before",
            "one last phase",
            "check the ids",
        )
    if event.revision <= before.revision or event.emitted_at < before.emitted_at or event.label != before.label:
        raise InputError(
            "report-order",
            f"{where}: event {event.id} goes from revision {before.revision} at {short(before.emitted_at)} s to "
            f"{event.revision} at {short(event.emitted_at)} s",
            "rising revisions and times, and one label",
            "keep the lines in the order in which they were written",
        )
