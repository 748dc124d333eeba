"""Whether confidences are probabilities: mean score against the share of right events.

The calibration error is taken over the 2N highest events of N true actions: the thousands of events with scores near 0
are nearly all wrong, and would make any confidence look calibrated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datasets.dataset import Truth
from ..datatypes import by_value
from ..errors import InputError
from .detections import Detections
from .online import TIOU, matched

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
BINS = 15
EVENTS_PER_ACTION = 2
_MOST_EXACT = 300  # scores of a group beyond which their sum counts as normally distributed


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Reliability:
    """Groups of events by increasing score: B groups of about equal size.

    Attributes:
        score: Mean score, float64 [B].
        share: Share of right events, float64 [B].
        count: Number of events, int64 [B].
        tiou: Smallest tIoU of a right event.
        bounded: Whether all scores lie between 0 and 1; others are no probabilities.
        error_if_exact: Calibration error to expect of scores that are exact probabilities: with few events in a group,
            the share of right events differs from their mean score by chance (compare Bröcker and Smith, Increasing the
            Reliability of Reliability Diagrams, 2007). Events count as independent. NaN if `error` is.
    """

    score: F64
    share: F64
    count: I64
    tiou: float
    bounded: bool = True
    error_if_exact: float = math.nan

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini et al., 2015): the mean of |score - share| over the events.

        NaN without events, and for scores beyond 0 and 1.
        """
        events = int(self.count.sum())
        if not events or not self.bounded:
            return float("nan")
        return float((self.count * np.abs(self.score - self.share)).sum() / events)

    def to_record(self) -> dict[str, Any]:
        """For JSON: null for an undefined number."""
        error = self.error
        return {
            "tiou": self.tiou,
            "events": int(self.count.sum()),
            "error": None if np.isnan(error) else error,
            "error_if_exact": None if np.isnan(self.error_if_exact) else self.error_if_exact,
            "mean_score": [float(x) for x in self.score],
            "share_right": [float(x) for x in self.share],
        }


def reliability(truth: Truth, found: Detections, *, tiou: float = TIOU, bins: int = BINS) -> Reliability:
    """Compare the scores of the highest events with the share of them that are right.

    An event is right if it overlaps an action of its class by at least `tiou` that no higher event has taken.

    Args:
        truth: The actions; N of them.
        found: The events; the 2N highest are used.
        tiou: Smallest tIoU of a right event.
        bins: Number of groups of equal size.

    Raises:
        InputError: `bins` is less than 1.
    """
    if bins < 1:
        raise InputError("bins", f"`bins` is {bins}", "1 or more")
    top = np.argsort(-found.scores, kind="stable")[: EVENTS_PER_ACTION * len(truth.label)]
    chosen = Detections(found.video[top], found.label[top], found.segments[top], found.scores[top])
    right = matched(truth, chosen, tiou) >= 0
    groups = [g for g in np.array_split(np.arange(len(top))[::-1], bins) if len(g)]
    bounded = bool(((chosen.scores >= 0) & (chosen.scores <= 1)).all())
    by_chance = [len(g) * _deviation(chosen.scores[g]) for g in groups] if bounded else []
    return Reliability(
        np.array([chosen.scores[g].mean() for g in groups]),
        np.array([right[g].mean() for g in groups]),
        np.array([len(g) for g in groups], np.int64),
        tiou,
        bounded,
        sum(by_chance) / len(top) if by_chance else math.nan,
    )


def _deviation(scores: F64) -> float:
    """Expected difference between the mean of scores and the share of right events, if each is right with the
    probability that its score states."""
    count, mean = len(scores), float(scores.sum())
    if count > _MOST_EXACT:
        return math.sqrt(2 / math.pi * float((scores * (1 - scores)).sum())) / count
    right = np.ones(1)  # distribution of the number of right events
    for score in scores:
        right = np.convolve(right, (1 - score, score))
    return float((right * np.abs(np.arange(count + 1) - mean)).sum()) / count
