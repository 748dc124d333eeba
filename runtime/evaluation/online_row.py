"""The result of online evaluation at one deadline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datatypes import by_value
from .average_precision import Evaluation

F64 = npt.NDArray[np.float64]


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OnlineRow:
    """The result at one deadline.

    Attributes:
        max_delay_s: Infinite: final events only.
        result: Average precision at the deadline.
        delays: Detection delay of each action at any score, seconds, NaN if never reported, float64 [G].
        sure_delays: The same for claims with at least the minimum score.
        latencies: Start latency of each action, for claims with at least the minimum score.
        false_alarms: Number of false alarms.
        duplicates: Number of duplicates.
        events: Number of events that ever had at least the minimum score.
        opened: How many of these were first reported as `open`.
        revised: Number of claims about these after the first.
        retracted: How many of these were withdrawn.
        hours: Media time of all streams; None if it is unknown.
        real_time_factor: Compute time per media time.
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
        """The row for JSON: null for undefined numbers; `max_delay_s` is null for the offline row."""
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
    """Mean, median and p95 over the actions that were reported, and the share of those that never were."""
    known = seconds[~np.isnan(seconds)]
    never = 1.0 - len(known) / max(len(seconds), 1)
    if not len(known):
        return {"mean": None, "median": None, "p95": None, "never": never}
    middle, high = np.percentile(known, (50, 95))
    return {"mean": float(known.mean()), "median": float(middle), "p95": float(high), "never": never}
