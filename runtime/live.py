"""Provisional reports: what a stream says about an action before its island has closed.

    nothing -> open (still runs) -> update (has ended; may change) -> final | retracted

Each arrow may be left out except the last. Reports are made on a grid of media time ("ticks"), never when a chunk
happens to arrive, so that for any chunking a stream says the same, provisional or not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from punctum import kernels

from .errors import InputError
from .events.event import Phase

F64 = npt.NDArray[np.float64]
SAME = 0.3  # overlap (IoU) from which a later guess, or the final event, continues an earlier report
CHANGED_IOU = 0.85  # a report is revised when it moved more than this
CHANGED_SCORE = 0.1  # or when its score did
SLACK_S = 1e-6


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """How early a stream speaks. Raises InputError for values that make no sense.

    max_delay_s: an event that has ended is first reported at most this long after its end on the media clock (or
        one snippet after it, where a snippet is longer); None: final events only.
    report_score, open_score: provisional events below the first are not reported; running ones below the second.
    tick_s: distance of the instants at which reports are made; default a third of max_delay_s.
    """

    max_delay_s: float | None = None
    report_score: float = 0.01
    open_score: float = 0.25
    tick_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_delay_s", "tick_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(
                    "live-options", f"{name}={value}", "a positive number of seconds, or None", f"set {name}"
                )
        for name in ("report_score", "open_score"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError("live-options", f"{name}={value}", "0 or more", f"set {name}")
        if self.tick_s is not None and self.max_delay_s is not None and self.tick_s > self.max_delay_s:
            raise InputError(
                "live-options", f"tick_s={self.tick_s}", f"at most max_delay_s={self.max_delay_s}", "set tick_s"
            )

    def tick(self, stride_s: float) -> int:
        """Snippets between reports; 0 when only final events are wanted."""
        if self.max_delay_s is None:
            return 0
        wanted = self.max_delay_s / 3 if self.tick_s is None else self.tick_s
        return max(math.floor(min(wanted / stride_s + SLACK_S, 1e15)), 1)


@dataclass(slots=True)
class Report:
    """What has been said about one action so far. Times in seconds."""

    id: str
    label: int
    start: float
    end: float
    score: float
    ended: bool
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Saying:
    """One thing to say: a copy of the report as it is now, and its phase."""

    report: Report
    phase: Phase


class Reporter:
    """Remembers what was reported and decides what to say next. One a session."""

    def __init__(self, options: LiveOptions, *, tick_s: float, stride_s: float, overhang_s: float = 0.0) -> None:
        """overhang_s: media beyond a snippet that its features have seen, so that much later it is known."""
        self.options = options
        self.tick_s = tick_s
        self.limit_s = max(options.max_delay_s or 0.0, tick_s)
        # The end moves by a fraction of a snippet from guess to guess; who waits for the last tick can be too late.
        self.margin_s = stride_s + overhang_s
        self.overhang_s = overhang_s
        self.live: list[Report] = []
        self.count = 0

    def mark(self) -> tuple[list[Report], int]:
        """All that it remembers, for `rewind`."""
        return [_copy(report) for report in self.live], self.count

    def rewind(self, mark: tuple[list[Report], int]) -> None:
        """Forget everything since `mark`."""
        self.live, self.count = mark

    def guess(self, label: int, segments: F64, scores: F64, *, now_s: float, key: str) -> list[Saying]:
        """Provisional segments [K, 2] (seconds, best first) of one island at a tick -> what to say about them."""
        if self.options.max_delay_s is None:
            return []
        wanted = np.flatnonzero(scores >= min(self.options.report_score, self.options.open_score))
        said: list[Saying] = []
        mine = [r for r in self.live if r.label == label]
        partner = self._match(mine, segments[wanted], now_s)
        running = False
        for k, report in zip(wanted, partner, strict=True):
            start, end, score = float(segments[k, 0]), float(segments[k, 1]), float(scores[k])
            ended = end < now_s - SLACK_S
            if ended and end + self.options.max_delay_s >= now_s + self.tick_s + self.margin_s - SLACK_S:
                continue  # there is time for a better guess
            if not ended and (running or score < self.options.open_score):
                continue  # one running action an island, and only what is likely
            running = running or not ended
            if report is None:
                # What comes to light too late waits for its island: another guess now would only add noise.
                late = ended and end + self.limit_s < now_s + self.overhang_s - SLACK_S
                if late or score < self.options.report_score:
                    continue
                self.count += 1
                report = Report(f"{key}/r{self.count}", label, start, end, score, ended)
                self.live.append(report)
                said.append(Saying(_copy(report), "update" if ended else "open"))
            elif _changed(report, start, end, score, ended, now_s):
                self._revise(report, start, end, score, ended)
                said.append(Saying(_copy(report), "update"))
        return said

    def settle(
        self, label: int, segments: F64, scores: F64, span: tuple[float, float]
    ) -> tuple[list[Report | None], list[Saying]]:
        """Final segments of one closed island: the report that each continues, and the reports that were wrong."""
        mine = [
            r for r in self.live if r.label == label and span[0] - SLACK_S <= (r.start + r.end) / 2 <= span[1] + SLACK_S
        ]
        partner = self._match(mine, segments, span[1])
        for report, (start, end), score in zip(partner, segments, scores, strict=True):
            if report is not None:
                self._revise(report, float(start), float(end), float(score), True)
        taken = {id(r) for r in partner if r is not None}
        gone = {id(r) for r in mine}
        self.live = [r for r in self.live if id(r) not in gone]
        return partner, [self._retract(r) for r in mine if id(r) not in taken]

    def sweep(self, alive: list[tuple[int, float, float]]) -> list[Saying]:
        """Retract reports that lie in no island (label, start, end in seconds) any more."""
        lost = [
            r
            for r in self.live
            if not any(label == r.label and start < r.end and r.start < end for label, start, end in alive)
        ]
        if lost:
            gone = {id(r) for r in lost}
            self.live = [r for r in self.live if id(r) not in gone]
        return [self._retract(r) for r in lost]

    def _retract(self, report: Report) -> Saying:
        report.revision += 1
        report.ended = True
        return Saying(_copy(report), "retracted")

    @staticmethod
    def _revise(report: Report, start: float, end: float, score: float, ended: bool) -> None:
        report.start, report.end, report.score, report.ended = start, end, score, ended
        report.revision += 1

    @staticmethod
    def _match(reports: list[Report], segments: F64, now_s: float) -> list[Report | None]:
        """For each segment, best first, the free report that overlaps it most; a running one reaches up to now (in a
        closed island: up to its end)."""
        partner: list[Report | None] = [None] * len(segments)
        if not reports or not len(segments):
            return partner
        spans = np.array([[r.start, r.end if r.ended else max(r.end, now_s)] for r in reports])
        overlap = kernels.segment_iou(np.ascontiguousarray(segments), spans)
        for k in range(len(segments)):
            best = int(np.argmax(overlap[k]))
            if overlap[k, best] >= SAME:
                partner[k] = reports[best]
                overlap[:, best] = -1.0
        return partner


def _copy(report: Report) -> Report:
    return Report(report.id, report.label, report.start, report.end, report.score, report.ended, report.revision)


def _changed(report: Report, start: float, end: float, score: float, ended: bool, now_s: float) -> bool:
    if report.ended != ended or abs(score - report.score) > CHANGED_SCORE:
        return True
    known_end = report.end if ended else end  # a running end moves with the clock
    inter = min(known_end, end) - max(report.start, start)
    union = max(known_end, end) - min(report.start, start)
    return inter < CHANGED_IOU * union
