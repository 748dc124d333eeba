"""Judge what streams say, and when: mAP by the deadline, detection delay, start latency, false alarms, revisions.

All times are media time; compute time is left out and told apart as a real-time factor.

by the deadline   of every event the last report with ended=True that was emitted at most `max_delay_s` after the end
                  that it claims; void if the event was retracted (or said to run on) by then. Later news do not help.
detection delay   per truth: first emission of a report, of any event, that claims an end and overlaps the truth by
                  tIoU >= 0.5 with the right label, minus the true end. Reports that were withdrawn later count: they
                  had been heard. Negative: announced before the action ended. The field's evaluation code (AEDT of
                  On-TAL) averages the same difference over true positives; there a report is never revised.
start latency     per truth: first report of any phase, of an event that at some time matches the truth as above,
                  minus the true start.
in time           truths whose detection delay is at most `max_delay_s`.
false alarm       a report by the deadline that overlaps no truth of its label by tIoU >= 0.5; duplicate: it does,
                  but a better one has taken that truth.
floor             false alarms, duplicates, revisions and the numbers "at the floor" regard reports with at least this
                  score only. Default: the score that maximises F1 at tIoU 0.5 on the final events.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from punctum import kernels

from ..datasets.dataset import Truth
from ..datatypes import by_value
from ..errors import InputError
from ..events.event import Event
from ..events.validate import PHASES
from ..features.features import Features
from ..live import LiveOptions
from .average_precision import THRESHOLDS, Evaluation, best_overlap, evaluate
from .claims import Reports, read_reports
from .detections import Detections

if TYPE_CHECKING:
    from ..localizer import Localizer

__all__ = [
    "Floor",
    "OnlineRow",
    "Reports",
    "best_floor",
    "check_delays",
    "detection_delays",
    "judge_reports",
    "matched",
    "read_reports",
    "replay",
    "start_latencies",
]

F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
TIOU = 0.5


def check_delays(delays: Sequence[float]) -> tuple[float, ...]:
    """Rising, each once. Raises InputError for an empty list and for what is not a positive number of seconds."""
    if not delays or any(not (math.isfinite(d) and d > 0) for d in delays):
        raise InputError(
            "max-delay", f"delays {list(delays)}", "positive seconds, at least one", "for example 0.25,0.5,1,2,5"
        )
    return tuple(sorted({float(d) for d in delays}))


def replay(localizer: Localizer, features: Features, *, stream: str, live: LiveOptions) -> list[Event]:
    """Everything a live session says about one recording, fed tick by tick."""
    session = localizer.session(stream=stream, start_s=features.start_s, live=live)
    step, events = max(live.tick(localizer.plan.stride_s), 1), list[Event]()
    for at in range(0, len(features.data), step):
        events += session.push(features.data[at : at + step])
    return events + session.flush()


def matched(truth: Truth, found: Detections, tiou: float = TIOU) -> npt.NDArray[np.int64]:
    """The truth that each detection takes, one to one, or -1 [N]: best score first, each the best free truth."""
    taken = np.full(len(found), -1, np.int64)
    free = np.ones(len(truth.label), bool)
    width = len(truth.labels)
    groups: dict[int, npt.NDArray[np.int64]] = {
        int(key): np.flatnonzero(truth.video * width + truth.label == key)
        for key in np.unique(truth.video * width + truth.label)
    }
    for k in np.argsort(-found.scores, kind="stable"):
        rivals = groups.get(int(found.video[k] * width + found.label[k]))
        if rivals is None:
            continue
        overlap = np.where(free[rivals], kernels.segment_iou(found.segments[k : k + 1], truth.segments[rivals])[0], -1)
        best = int(np.argmax(overlap))
        if overlap[best] >= tiou:
            taken[k] = rivals[best]
            free[rivals[best]] = False
    return taken


@dataclass(frozen=True, slots=True)
class Floor:
    """score: reports from here on count as said aloud; f1: of final events from there on, at tIoU 0.5."""

    score: float
    f1: float


def best_floor(truth: Truth, finals: Detections, tiou: float = TIOU) -> Floor:
    """The score that maximises F1; the highest of equals. Infinite where nothing matches."""
    order = np.argsort(-finals.scores, kind="stable")
    scores = finals.scores[order]
    hits = np.cumsum(matched(truth, finals, tiou)[order] >= 0)
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + max(len(truth.label), 1))
    cuts = np.flatnonzero(np.diff(scores, append=-np.inf) != 0)  # a floor keeps or drops all of one score
    if not len(cuts) or not hits[-1]:
        return Floor(math.inf, 0.0)
    best = cuts[int(np.argmax(f1[cuts]))]
    return Floor(float(scores[best]), float(f1[best]))


def _links(truth: Truth, reports: Reports, floor: float, tiou: float) -> list[tuple[int, npt.NDArray[np.int64]]]:
    """For every truth, the rows of the claims that match it."""
    rows = np.flatnonzero(reports.claims & (reports.scores >= floor))
    width = len(truth.labels)
    keys = reports.video[rows] * width + reports.label[rows]
    order = np.argsort(keys, kind="stable")
    rows, keys = rows[order], keys[order]
    links = []
    for g in range(len(truth.label)):
        key = truth.video[g] * width + truth.label[g]
        mine = rows[np.searchsorted(keys, key) : np.searchsorted(keys, key, side="right")]
        if len(mine):
            overlap = kernels.segment_iou(truth.segments[g : g + 1], reports.segments[mine])[0]
            mine = mine[overlap >= tiou]
        links.append((g, mine))
    return links


def detection_delays(truth: Truth, reports: Reports, *, floor: float = -math.inf, tiou: float = TIOU) -> F64:
    """Seconds from every truth's end to the first report of it [G], NaN where there was none; see the module's head."""
    found = np.full(len(truth.label), np.nan)
    for g, rows in _links(truth, reports, floor, tiou):
        if len(rows):
            found[g] = reports.emitted_at[rows].min() - truth.segments[g, 1]
    return found


def start_latencies(truth: Truth, reports: Reports, *, floor: float = -math.inf, tiou: float = TIOU) -> F64:
    """Seconds from every truth's start to the first sign of it [G], NaN where there was none; see the module's head."""
    found, first = np.full(len(truth.label), np.nan), reports.first
    for g, rows in _links(truth, reports, floor, tiou):
        if len(rows):
            found[g] = reports.emitted_at[first[reports.event[rows]]].min() - truth.segments[g, 0]
    return found


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OnlineRow:
    """What one deadline gives. max_delay_s infinite: final events only. Rates are None where media time is unknown.

    delays, sure_delays, latencies: float64 [G] seconds, NaN for truths never reported (any score; at the floor; at
    the floor). events: events that were ever said at the floor; opened, revised, retracted: how many of these were
    first seen as `open`, reports after the first, how many were withdrawn.
    """

    max_delay_s: float
    result: Evaluation
    delays: F64
    sure_delays: F64
    latencies: F64
    false_alarms: int
    duplicates: int
    events: int
    opened: int
    revised: int
    retracted: int
    hours: float | None
    real_time_factor: float | None = None

    def to_record(self, *, per_class: bool = False) -> dict[str, Any]:
        """For JSON: null where a number does not exist; `max_delay_s` null is offline."""
        judged = self.result.to_record(per_class=per_class)
        events, hours = max(self.events, 1), self.hours
        return {
            "max_delay_s": None if math.isinf(self.max_delay_s) else self.max_delay_s,
            "map": judged["map"],
            "detections": self.result.detections,
            "in_time": float((self.sure_delays <= self.max_delay_s).mean()),
            "detection_delay_s": _spread(self.sure_delays),
            "detection_delay_any_score_s": _spread(self.delays),
            "start_latency_s": _spread(self.latencies),
            "false_alarms_per_hour": self.false_alarms / hours if hours else None,
            "duplicates_per_hour": self.duplicates / hours if hours else None,
            "events": self.events,
            "first_seen_open": self.opened / events,
            "revisions_per_event": self.revised / events,
            "retractions_per_event": self.retracted / events,
            "real_time_factor": self.real_time_factor,
            **({"per_class": judged["per_class"]} if per_class else {}),
        }


def _spread(seconds: F64) -> dict[str, float | None]:
    """mean, median, p95 over the truths that were reported, and the share of those that never were."""
    known = seconds[~np.isnan(seconds)]
    never = 1.0 - len(known) / max(len(seconds), 1)
    if not len(known):
        return {"mean": None, "median": None, "p95": None, "never": never}
    middle, high = np.percentile(known, (50, 95))
    return {"mean": float(known.mean()), "median": float(middle), "p95": float(high), "never": never}


def judge_reports(
    truth: Truth,
    reports: Reports,
    max_delay_s: float,
    *,
    floor: float,
    hours: float | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    real_time_factor: float | None = None,
) -> OnlineRow:
    """Judge what had been reported by the deadline; infinite: the final events. hours: media time of all streams.

    Raises InputError as `evaluate` does. With an infinite deadline `result` equals `evaluate` of the final events.
    """
    if math.isnan(max_delay_s) or max_delay_s < 0:
        raise InputError("max-delay", f"max_delay_s={max_delay_s}", "0 or more seconds, or infinity", "set max_delay_s")
    said = reports.by_deadline(max_delay_s)
    result = evaluate(truth, said, thresholds)
    aloud = said.scores >= floor
    wanted = Detections(truth.video, truth.label, truth.segments, np.ones(len(truth.label)))
    everything = np.ones(len(truth.label), bool)
    overlap = best_overlap(said.video, said.label, said.segments, wanted, everything)
    free = matched(truth, said) < 0
    if math.isinf(max_delay_s):  # finals alone, so what was said before them does not count here
        reports = _finals(reports)
    first, last = reports.first, reports.last
    loud = np.zeros(len(first), bool)
    loud[reports.event[reports.scores >= floor]] = True
    return OnlineRow(
        max_delay_s=max_delay_s,
        result=result,
        delays=detection_delays(truth, reports),
        sure_delays=detection_delays(truth, reports, floor=floor),
        latencies=start_latencies(truth, reports, floor=floor),
        false_alarms=int((aloud & (overlap < TIOU)).sum()),
        duplicates=int((aloud & (overlap >= TIOU) & free).sum()),
        events=int(loud.sum()),
        opened=int((reports.phase[first][loud] == PHASES.index("open")).sum()),
        revised=int((last - first)[loud].sum()),
        retracted=int((reports.phase[last][loud] == PHASES.index("retracted")).sum()),
        hours=hours,
        real_time_factor=real_time_factor,
    )


def _finals(reports: Reports) -> Reports:
    rows = np.flatnonzero(reports.phase == PHASES.index("final"))
    return Reports(
        reports.video[rows],
        np.arange(len(rows)),
        reports.label[rows],
        reports.segments[rows],
        reports.scores[rows],
        reports.emitted_at[rows],
        reports.ended[rows],
        reports.phase[rows],
        reports.place[rows],
        reports.ignored_videos,
    )
