"""Online evaluation: mAP at the deadline, detection delay, start latency, false alarms and revisions.

All times are media time. Compute time is not included; it is reported separately as a real-time factor.

at the deadline   For each event, the last claim with ended=True that was emitted at most `max_delay_s` after the end
                  that it states. Void if the event was retracted, or reported as running, by then. Later claims do not
                  count.
detection delay   Per action: emission of the first claim, of any event, that states an end and overlaps the action by
                  tIoU >= 0.5 with the right class, minus the true end. Claims that are withdrawn later count, because
                  they were published. Negative: reported before the action ended. AEDT, the measure of On-TAL, averages
                  the same difference over true positives; there a claim is never revised.
start latency     Per action: first claim of any phase, of an event that matches the action at any time as above, minus
                  the true start.
in time           Actions whose detection delay is at most `max_delay_s`.
false alarm       A claim at the deadline that overlaps no action of its class by tIoU >= 0.5. Duplicate: it does, but a
                  better claim is matched to that action.
minimum score     False alarms, duplicates, revisions and delays count only claims with at least this score. Default:
                  the operating point, the score that maximizes F1 at tIoU 0.5 on the final events.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from punctum import kernels

from ..datasets.dataset import Truth
from ..errors import InputError
from ..events.event import Event
from ..events.validate import PHASES
from ..features.features import Features
from ..live import LiveOptions
from .average_precision import THRESHOLDS, best_overlap, evaluate
from .claims import Claims, read_claims
from .detections import Detections
from .online_row import OnlineRow

if TYPE_CHECKING:
    from ..localizer import Localizer

__all__ = [
    "Claims",
    "OnlineRow",
    "OperatingPoint",
    "best_operating_point",
    "check_delays",
    "detection_delays",
    "evaluate_claims",
    "matched",
    "read_claims",
    "replay",
    "start_latencies",
]

F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
TIOU = 0.5


def check_delays(delays: Sequence[float]) -> tuple[float, ...]:
    """Sort maximum delays and drop repeated ones.

    Raises:
        InputError: The list is empty, or an entry is not a positive number of seconds.
    """
    if not delays or any(not (math.isfinite(d) and d > 0) for d in delays):
        raise InputError(
            "max-delay",
            f"The maximum delays are {list(delays)}",
            "positive seconds, at least one",
            "pass for example 0.25,0.5,1,2,5",
        )
    return tuple(sorted({float(d) for d in delays}))


def replay(localizer: Localizer, features: Features, *, stream: str, live: LiveOptions) -> list[Event]:
    """All events that a live session emits for one recording, fed tick by tick."""
    session = localizer.session(stream=stream, start_s=features.start_s, live=live)
    step, events = max(live.tick(localizer.plan.stride_s), 1), list[Event]()
    for at in range(0, len(features.data), step):
        events += session.push(features.data[at : at + step])
    return events + session.flush()


def matched(truth: Truth, found: Detections, tiou: float = TIOU) -> npt.NDArray[np.int64]:
    """Match detections and actions one to one: in order of score, each detection gets the best unmatched action.

    Returns:
        The index of the action that each detection matches, or -1, int64 [N].
    """
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
class OperatingPoint:
    """A minimum score, and the F1 at tIoU 0.5 of the final events that have at least this score."""

    score: float
    f1: float


def best_operating_point(truth: Truth, finals: Detections, tiou: float = TIOU) -> OperatingPoint:
    """The score that maximizes F1, the highest if there are several. Infinite if nothing matches."""
    order = np.argsort(-finals.scores, kind="stable")
    scores = finals.scores[order]
    hits = np.cumsum(matched(truth, finals, tiou)[order] >= 0)
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + max(len(truth.label), 1))
    cuts = np.flatnonzero(np.diff(scores, append=-np.inf) != 0)  # equal scores are kept or dropped together
    if not len(cuts) or not hits[-1]:
        return OperatingPoint(math.inf, 0.0)
    best = cuts[int(np.argmax(f1[cuts]))]
    return OperatingPoint(float(scores[best]), float(f1[best]))


def _links(truth: Truth, claims: Claims, min_score: float, tiou: float) -> list[tuple[int, npt.NDArray[np.int64]]]:
    """For each action, the rows of the claims that match it."""
    rows = np.flatnonzero(claims.complete & (claims.scores >= min_score))
    width = len(truth.labels)
    keys = claims.video[rows] * width + claims.label[rows]
    order = np.argsort(keys, kind="stable")
    rows, keys = rows[order], keys[order]
    links = []
    for g in range(len(truth.label)):
        key = truth.video[g] * width + truth.label[g]
        mine = rows[np.searchsorted(keys, key) : np.searchsorted(keys, key, side="right")]
        if len(mine):
            overlap = kernels.segment_iou(truth.segments[g : g + 1], claims.segments[mine])[0]
            mine = mine[overlap >= tiou]
        links.append((g, mine))
    return links


def detection_delays(truth: Truth, claims: Claims, *, min_score: float = -math.inf, tiou: float = TIOU) -> F64:
    """Seconds from the end of each action to its first claim, NaN without, float64 [G]. See the module docstring."""
    found = np.full(len(truth.label), np.nan)
    for g, rows in _links(truth, claims, min_score, tiou):
        if len(rows):
            found[g] = claims.emitted_at[rows].min() - truth.segments[g, 1]
    return found


def start_latencies(truth: Truth, claims: Claims, *, min_score: float = -math.inf, tiou: float = TIOU) -> F64:
    """Seconds from the start of each action to its first claim, NaN without, float64 [G]. See the module docstring."""
    found, first = np.full(len(truth.label), np.nan), claims.first
    for g, rows in _links(truth, claims, min_score, tiou):
        if len(rows):
            found[g] = claims.emitted_at[first[claims.event[rows]]].min() - truth.segments[g, 0]
    return found


def evaluate_claims(
    truth: Truth,
    claims: Claims,
    max_delay_s: float,
    *,
    min_score: float,
    hours: float | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    real_time_factor: float | None = None,
) -> OnlineRow:
    """Evaluate what was reported by the deadline.

    Args:
        truth: The ground truth.
        claims: All claims of the streams.
        max_delay_s: The deadline, in seconds after the end of an event. Infinite: the final events; `result` then
            equals `evaluate` of these.
        min_score: Minimum score of claims for everything but average precision.
        hours: Media time of all streams. Without it, rates are None.
        thresholds: tIoU levels.
        real_time_factor: Passed through to the row.

    Raises:
        InputError: As `evaluate`.
    """
    if math.isnan(max_delay_s) or max_delay_s < 0:
        raise InputError("max-delay", f"`max_delay_s` is {max_delay_s}", "0 or more seconds, or infinity")
    known = claims.by_deadline(max_delay_s)
    result = evaluate(truth, known, thresholds)
    strong = known.scores >= min_score
    wanted = Detections(truth.video, truth.label, truth.segments, np.ones(len(truth.label)))
    everything = np.ones(len(truth.label), bool)
    overlap = best_overlap(known.video, known.label, known.segments, wanted, everything)
    free = matched(truth, known) < 0
    if math.isinf(max_delay_s):  # final events only
        claims = _finals(claims)
    first, last = claims.first, claims.last
    strong_events = np.zeros(len(first), bool)
    strong_events[claims.event[claims.scores >= min_score]] = True
    return OnlineRow(
        max_delay_s=max_delay_s,
        result=result,
        delays=detection_delays(truth, claims),
        sure_delays=detection_delays(truth, claims, min_score=min_score),
        latencies=start_latencies(truth, claims, min_score=min_score),
        false_alarms=int((strong & (overlap < TIOU)).sum()),
        duplicates=int((strong & (overlap >= TIOU) & free).sum()),
        events=int(strong_events.sum()),
        opened=int((claims.phase[first][strong_events] == PHASES.index("open")).sum()),
        revised=int((last - first)[strong_events].sum()),
        retracted=int((claims.phase[last][strong_events] == PHASES.index("retracted")).sum()),
        hours=hours,
        real_time_factor=real_time_factor,
    )


def _finals(claims: Claims) -> Claims:
    rows = np.flatnonzero(claims.phase == PHASES.index("final"))
    return Claims(
        claims.video[rows],
        np.arange(len(rows)),
        claims.label[rows],
        claims.segments[rows],
        claims.scores[rows],
        claims.emitted_at[rows],
        claims.ended[rows],
        claims.phase[rows],
        claims.place[rows],
        claims.ignored_videos,
    )
