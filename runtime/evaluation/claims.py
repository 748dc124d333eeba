"""Claims of streams as arrays: every revision of every event, with the media time at which it was emitted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..datasets.dataset import Truth
from ..datasets.tables import read_input
from ..datatypes import by_value
from ..errors import InputError
from ..events.event import SCHEMA, Event
from ..events.validate import PHASES, check_numbers, check_phase, check_segment
from ..text.display import short, some
from .detections import Detections

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
SLACK_S = 1e-6  # a claim exactly at the deadline is in time


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Claims:
    """Claims about the events of streams, sorted by event, then revision: N claims about E events, times in seconds.

    Attributes:
        video: Index into the videos of the ground truth, int64 [N].
        event: Index of the event, int64 [N].
        label: Index into the classes of the ground truth, int64 [N].
        segments: Start and end, float64 [N, 2].
        scores: float64 [N].
        emitted_at: Media time of the claim, float64 [N].
        ended: Whether the claim states an end, bool [N].
        phase: Index into PHASES, int64 [N].
        place: Position in the input, int64 [N]. It breaks ties of scores as in `evaluate`.
        ignored_videos: Streams of a file that the ground truth does not list.
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
    def complete(self) -> Flags:
        """Claims with a start and an end that are not retractions, bool [N]."""
        return np.asarray(self.ended & (self.phase != PHASES.index("retracted")))

    @property
    def first(self) -> I64:
        """Row of the first claim about each event, int64 [E]."""
        return np.flatnonzero(np.diff(self.event, prepend=-1))

    @property
    def last(self) -> I64:
        """Row of the last claim about each event, int64 [E]."""
        return np.flatnonzero(np.diff(self.event, append=len(self.event) + 1))

    def in_time(self, max_delay_s: float) -> Flags:
        """Complete claims emitted at most `max_delay_s` after the end that they state, bool [N]."""
        return np.asarray(self.complete & (self.emitted_at <= self.segments[:, 1] + max_delay_s + SLACK_S))

    def by_deadline(self, max_delay_s: float) -> Detections:
        """The detections known by the deadline: the last claim about each event that was in time.

        A claim is void if the event was retracted, or reported as still running, by the same deadline. Later claims
        do not count: an outdated or wrong claim counts as it was at the deadline.

        Args:
            max_delay_s: Maximum time from the end of an event to its claim, in seconds. Infinite: the final events.
        """
        if math.isinf(max_delay_s):
            return self._detections(np.flatnonzero(self.phase == PHASES.index("final")))
        timely = np.flatnonzero(self.in_time(max_delay_s))
        timely = timely[np.diff(self.event[timely], append=len(self.event) + 1) != 0]
        # Row of the claim that each row could revoke, or -1.
        claim = np.full(self.event.max(initial=-1) + 1, -1, np.int64)
        claim[self.event[timely]] = timely
        mine = claim[self.event]
        after = (mine >= 0) & (np.arange(len(self)) > mine) & ~self.complete
        after &= self.emitted_at <= self.segments[mine, 1] + max_delay_s + SLACK_S
        void = np.zeros(len(claim), bool)
        void[self.event[after]] = True
        return self._detections(timely[~void[self.event[timely]]])

    def _detections(self, rows: I64) -> Detections:
        rows = rows[np.argsort(self.place[rows], kind="stable")]
        return Detections(
            self.video[rows], self.label[rows], self.segments[rows], self.scores[rows], self.ignored_videos
        )

    @classmethod
    def from_events(cls, events: Mapping[str, Iterable[Event]], truth: Truth) -> Claims:
        """Claims from events in memory.

        Args:
            events: Events of each video, all phases, in the order of emission.
            truth: The ground truth, which defines the indices of videos and classes.

        Raises:
            InputError: The ground truth does not have a video or a class, a number is not finite, revisions or
                times of an event do not increase, or an event continues after its last phase.
        """
        rows = [(f"event {e.id} of {video}", video, e) for video, made in events.items() for e in made]
        claims = _collect(rows, truth, "")
        if claims.ignored_videos:
            raise InputError(
                "video-unknown",
                f"There are events of {', '.join(claims.ignored_videos[:3])}, which the ground truth does not list",
                "videos of the ground truth",
                "pass events of the evaluated videos only",
            )
        return claims


def read_claims(path: str | Path, truth: Truth) -> Claims:
    """Read the events of a live run from JSON Lines, all phases.

    A line that repeats an earlier one, as after a restart, counts once. Streams that the ground truth does not list
    are skipped and named in `ignored_videos`.

    Raises:
        InputError: The file is not as required; the message names the line.
    """
    path = Path(path)
    text = read_input(path, "detections-unreadable", required="JSON Lines of events", parameter="detections")
    if SCHEMA not in text.lstrip().split("\n", 1)[0]:
        raise InputError(
            "detections-no-phases",
            f"{path} does not state when its detections were made" if text.strip() else f"{path} is empty",
            required=f"JSON Lines of events, schema {SCHEMA}, with phases and emitted_at",
            next_step="record the events of a live run, or leave out `online`",
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
                required=f"one event per line, schema {SCHEMA}",
                next_step="fix the line or record the run again",
            ) from None
        rows.append((f"line {number}", str(event.stream), event))
    claims = _collect(rows, truth, f"{path}: ")
    if not len(claims):
        raise InputError(
            "detections-other-videos",
            f"{path} contains no events of the {len(truth.videos)} evaluated videos",
            required=f"streams that have the names of videos, such as {truth.videos[0]}",
            next_step="check `subset`, `split` and the stream names",
        )
    return claims


def _collect(rows: Iterable[tuple[str, str, Event]], truth: Truth, prefix: str) -> Claims:
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
                "label-unknown",
                f"{prefix}{where}: the ground truth has no class {event.label!r}",
                some(truth.labels),
                "fix the label",
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
    return Claims(
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
            required=f"finite numbers, start <= end, one of the phases {', '.join(PHASES)}, and ended = false if open",
            next_step="check the program that made the events",
        ) from None


def _check_order(before: Event | None, event: Event, where: str) -> None:
    if before is None:
        return
    if before.phase in ("final", "retracted"):
        raise InputError(
            "report-after-last",
            f"{where}: event {event.id} continues after it was {before.phase}",
            required="one last phase per event",
            next_step="check the event ids",
        )
    if event.revision <= before.revision or event.emitted_at < before.emitted_at or event.label != before.label:
        raise InputError(
            "report-order",
            f"{where}: event {event.id} goes from revision {before.revision} at {short(before.emitted_at)} s to "
            f"{event.revision} at {short(event.emitted_at)} s",
            required="increasing revisions and times, and one label per event",
            next_step="keep the lines in the order in which they were written",
        )
