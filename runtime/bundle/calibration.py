"""Calibration: from the raw score of an event to the probability that its action happened, and the default threshold.

The map of a class is piecewise linear and strictly increasing, so it changes no ranking within the class. It is learned
when a run is trained, see `punctum.training`; the native library computes it with the same operations.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

from pydantic import Field, field_validator, model_validator

from . import limits
from .config import Model

FOOTAGE = ("hours", "clicks")
"""Fields of a calibration that state the size of its footage. They change no event."""


class ScoreMap(Model):
    """The map of one class, and its default threshold.

    Attributes:
        raw: Raw scores at the knots, strictly increasing.
        score: Calibrated scores at the knots, strictly increasing.
        min_score: Default minimum of the calibrated score: nearly the best expected F1 on the footage of the maps.
    """

    raw: tuple[float, ...] = Field(min_length=2, max_length=limits.KNOTS)
    score: tuple[float, ...]
    min_score: float = Field(default=0.0, ge=0, le=1)

    @field_validator("raw", "score")
    @classmethod
    def _increasing(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 <= x <= 1 for x in value) or any(a >= b for a, b in pairwise(value)):
            raise ValueError("knots must rise strictly and lie between 0 and 1")
        return value

    @model_validator(mode="after")
    def _paired(self) -> ScoreMap:
        if len(self.raw) != len(self.score):
            raise ValueError(f"{len(self.raw)} raw scores and {len(self.score)} calibrated ones")
        return self

    def __call__(self, raw: float) -> float:
        """The calibrated score of a raw score. Beyond the knots the value of the nearest one."""
        x, y = self.raw, self.score
        k = bisect_right(x, raw)
        if k == 0:
            return y[0]
        if k == len(x):
            return y[-1]
        return y[k - 1] + (y[k] - y[k - 1]) / (x[k] - x[k - 1]) * (raw - x[k - 1])

    def least_raw(self, score: float) -> float:
        """A raw score below which the calibrated score is lower than `score`: that of the knot before it."""
        k = bisect_left(self.score, score)
        return math.inf if k == len(self.score) else self.raw[k - 1] if k else 0.0


class Choice(Model):
    """What a minimum score gives, estimated on training videos by networks that had not seen them.

    Attributes:
        min_score: Minimum of the calibrated score, for all classes.
        precision: Share of events that are right.
        recall: Share of actions that are found.
        false_alarms_per_hour: Events that are wrong, per hour of media.
    """

    min_score: float = Field(ge=0, le=1)
    precision: float = Field(ge=0, le=1)
    recall: float = Field(ge=0, le=1)
    false_alarms_per_hour: float = Field(ge=0, le=limits.RATE)


class Calibration(Model):
    """The maps of a bundle.

    Attributes:
        classes: A map per class, in the order of the labels.
        reduced: Likewise for events scored with reduced effort under overload; empty: `classes` holds for them, too.
        choices: Minimum scores, rising, and what they give.
        right_share: Share of right events among all events of the footage on which the maps were learned.
        hours: Duration of this footage; None where the bundle does not say.
        clicks: Likewise the number of its clicks.
    """

    classes: tuple[ScoreMap, ...] = Field(min_length=1, max_length=limits.LABELS)
    reduced: tuple[ScoreMap, ...] = Field(default=(), max_length=limits.LABELS)
    choices: tuple[Choice, ...] = Field(default=(), max_length=limits.KNOTS)
    right_share: float = Field(default=0.5, gt=0, lt=1)
    hours: float | None = Field(default=None, gt=0, le=limits.RATE)
    clicks: int | None = Field(default=None, ge=0, le=int(limits.RATE))

    @field_validator("choices")
    @classmethod
    def _rising(cls, value: tuple[Choice, ...]) -> tuple[Choice, ...]:
        if any(a.min_score >= b.min_score for a, b in pairwise(value)):
            raise ValueError("the minimum scores must rise")
        return value

    def with_minimum(self, min_score: float) -> Calibration:
        """A copy whose default minimum score is this one in all classes.

        Args:
            min_score: The minimum score, 0 to 1.
        """
        lists = {
            name: tuple(each.model_copy(update={"min_score": min_score}) for each in getattr(self, name))
            for name in ("classes", "reduced")
        }
        return self.model_copy(update=lists)

    def score(self, label: int, raw: float, *, degraded: bool = False) -> float:
        """The calibrated score of an event.

        Args:
            label: Index of the class.
            raw: Raw score.
            degraded: The event was scored with reduced effort.
        """
        maps = self.reduced if degraded and self.reduced else self.classes
        return maps[label](raw)

    def least_raw(self, score: float) -> float:
        """A raw score below which the calibrated score of every class is lower than `score`; infinity if all are."""
        return min(each.least_raw(score) for each in (*self.classes, *self.reduced))

    def min_scores(self, labels: Sequence[str]) -> dict[str, float]:
        """Default minimum score of each class."""
        return {label: each.min_score for label, each in zip(labels, self.classes, strict=True)}
