"""Provisional events: what a stream reports about an action before the action's island has closed.

    (nothing) -> open (the action still runs) -> update (it has changed, or ended) -> final | retracted

Every step but the last may be left out. Provisional events are made on a grid of media time ("ticks") and not whenever
a chunk arrives, so they too are the same for any chunking.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..events.event import Phase
from ..live import LEAST_RAW, SLACK_S, LiveOptions

Spans = Sequence[tuple[float, float]]
SAME_IOU = 0.3  # overlap (tIoU) from which a segment continues an action reported earlier
CHANGED_IOU = 0.85  # below this overlap with the last report, an action is reported again
CHANGED_SCORE = 0.1  # likewise above this difference of scores


@dataclass(slots=True)
class ReportedAction:
    """The latest report of one action. Times in seconds of media time.

    Attributes:
        id: Identifies the action in all its events.
        label: Index of the class.
        start: Start of the action.
        end: End of the action, or the latest instant seen while it runs.
        score: Raw score.
        ended: False while the action runs.
        revision: Number of times that the report has changed.
    """

    id: str
    label: int
    start: float
    end: float
    score: float
    ended: bool
    revision: int = 0


class Change(NamedTuple):
    """What an event has to report: a copy of the action as it is now, and the phase."""

    action: ReportedAction
    phase: Phase


class ReporterMark(NamedTuple):
    """The state of a `Reporter`; see `Reporter.mark`."""

    actions: list[ReportedAction]
    action_count: int


class Reporter:
    """Remembers what a session has reported and decides what to report next.

    Attributes:
        actions: Reported actions that are neither final nor retracted.
        action_count: Number of actions reported so far.
        least_raw: Segments below this raw score are never reported.
    """

    def __init__(
        self,
        options: LiveOptions,
        *,
        tick_s: float,
        stride_s: float,
        overhang_s: float = 0.0,
        least_raw: float = 0.0,
    ) -> None:
        """A reporter that has reported nothing.

        Args:
            options: When to report.
            tick_s: Seconds of media between two ticks.
            stride_s: As in `Plan`.
            overhang_s: As in `Plan`.
            least_raw: `Plan.least_raw` for these options.
        """
        self.options = options
        self.actions: list[ReportedAction] = []
        self.action_count = 0
        self.least_raw = least_raw
        self._tick_s, self._overhang_s = tick_s, overhang_s
        self._limit_s = max(options.max_delay_s or 0.0, tick_s)
        # An end estimate moves by a fraction of a snippet from tick to tick, so the last tick in time may be too late.
        self._margin_s = stride_s + overhang_s

    def mark(self) -> ReporterMark:
        """The present state, for `rewind`."""
        return ReporterMark([_copy(action) for action in self.actions], self.action_count)

    def rewind(self, mark: ReporterMark) -> None:
        """Undo everything since `mark`."""
        self.actions, self.action_count = mark

    def _may_report(self, raw: float, published: float) -> bool:
        """Whether a segment with these scores may be reported, as running or as ended."""
        return published >= self.options.open_score or self._is_reported(raw, published)

    def _is_reported(self, raw: float, published: float) -> bool:
        least = self.options.report_score
        return raw >= LEAST_RAW if least is None else published >= least

    def report(
        self,
        label: int,
        segments: Spans,
        scores: Sequence[float],
        *,
        now_s: float,
        prefix: str,
        published: Callable[[float], float],
    ) -> list[Change]:
        """What to report at a tick about one island that is not final.

        Args:
            label: Class of the island.
            segments: Start and end of the provisional segments in seconds, best first.
            scores: Their raw scores.
            now_s: Media time of the tick.
            prefix: How ids of new actions begin.
            published: From a raw score to that of an event, which never falls as the raw score rises.
        """
        if self.options.max_delay_s is None:
            return []
        known: list[float] = []
        for value in scores:
            shown = published(value)
            if not self._may_report(value, shown):
                break  # the best come first
            known.append(shown)
        if not known:
            return []
        segments, scores = segments[: len(known)], scores[: len(known)]
        changes: list[Change] = []
        same_class = [a for a in self.actions if a.label == label]
        earlier = self._match(same_class, segments, now_s)
        running = False
        for (start, end), score, shown, action in zip(segments, scores, known, earlier, strict=True):
            ended = end < now_s - SLACK_S
            if ended and end + self.options.max_delay_s >= now_s + self._tick_s + self._margin_s - SLACK_S:
                continue  # a later tick is still in time and knows more
            if not ended and (running or shown < self.options.open_score):
                continue  # at most one running action per island
            running = running or not ended
            if action is None:
                # An action found too late to keep the limit is left to the final event.
                late = ended and end + self._limit_s < now_s + self._overhang_s - SLACK_S
                if late or not self._is_reported(score, shown):
                    continue
                self.action_count += 1
                action = ReportedAction(f"{prefix}/r{self.action_count}", label, start, end, score, ended)
                self.actions.append(action)
                changes.append(Change(_copy(action), "update" if ended else "open"))
            elif _has_changed(action, start, end, score, ended):
                self._revise(action, start, end, score, ended)
                changes.append(Change(_copy(action), "update"))
        return changes

    def close_island(
        self, label: int, segments: Spans, scores: Sequence[float], span: tuple[float, float]
    ) -> tuple[list[ReportedAction | None], list[Change]]:
        """An island is final: end every report about it.

        Args:
            label: Class of the island.
            segments: Start and end of the final segments in seconds, best first.
            scores: Their scores.
            span: Start and end of the island in seconds.

        Returns:
            For each segment the reported action that it completes, or None; and retractions of the other reported
            actions in this island.
        """
        inside = [
            a
            for a in self.actions
            if a.label == label and span[0] - SLACK_S <= (a.start + a.end) / 2 <= span[1] + SLACK_S
        ]
        completed = self._match(inside, segments, span[1])
        for action, (start, end), score in zip(completed, segments, scores, strict=True):
            if action is not None:
                self._revise(action, start, end, score, True)
        matched = {id(a) for a in completed if a is not None}
        self._remove(inside)
        return completed, [self._retract(a) for a in inside if id(a) not in matched]

    def retract_outside(self, islands: list[tuple[int, float, float]]) -> list[Change]:
        """Retract the actions that overlap none of these islands (class, start and end in seconds)."""
        outside = [
            a
            for a in self.actions
            if not any(label == a.label and start < a.end and a.start < end for label, start, end in islands)
        ]
        if outside:
            self._remove(outside)
        return [self._retract(a) for a in outside]

    def _remove(self, actions: list[ReportedAction]) -> None:
        removed = {id(a) for a in actions}
        self.actions = [a for a in self.actions if id(a) not in removed]

    def _retract(self, action: ReportedAction) -> Change:
        action.revision += 1
        action.ended = True
        return Change(_copy(action), "retracted")

    @staticmethod
    def _revise(action: ReportedAction, start: float, end: float, score: float, ended: bool) -> None:
        action.start, action.end, action.score, action.ended = start, end, score, ended
        action.revision += 1

    @staticmethod
    def _match(actions: list[ReportedAction], segments: Spans, now_s: float) -> list[ReportedAction | None]:
        """For each segment, best first, the action not yet matched that overlaps it most; None below SAME_IOU.

        A running action reaches up to now_s: the tick, or the end of a closed island.
        """
        matches: list[ReportedAction | None] = [None] * len(segments)
        if not actions:
            return matches
        free = [(a.start, a.end if a.ended else max(a.end, now_s), a) for a in actions]
        for k, (start, end) in enumerate(segments):
            if not free:
                break
            overlaps = [_overlap(start, end, low, high) for low, high, _ in free]
            most = max(overlaps)
            if most >= SAME_IOU:
                matches[k] = free.pop(overlaps.index(most))[2]
        return matches


def _overlap(start: float, end: float, low: float, high: float) -> float:
    """Intersection over union, as `kernels.segment_iou` computes it, for the few segments that are compared here."""
    intersection = min(end, high) - max(start, low)
    if intersection <= 0.0:
        return 0.0
    union = (end - start) + (high - low) - intersection
    return intersection / union if union > 0.0 else 0.0


def _copy(action: ReportedAction) -> ReportedAction:
    return ReportedAction(
        action.id, action.label, action.start, action.end, action.score, action.ended, action.revision
    )


def _has_changed(action: ReportedAction, start: float, end: float, score: float, ended: bool) -> bool:
    """Whether a segment differs enough from the last report to be reported."""
    if action.ended != ended or abs(score - action.score) > CHANGED_SCORE:
        return True
    known_end = action.end if ended else end  # the end of a running action moves with the clock
    intersection = min(known_end, end) - max(action.start, start)
    union = max(known_end, end) - min(action.start, start)
    return intersection < CHANGED_IOU * union
