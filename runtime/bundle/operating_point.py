"""The minimum score from which events count: the default of a bundle, or what a precision, recall or rate asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from .calibration import Calibration, Choice

MinScore = float | Mapping[str, float]
"""A minimum score for all classes, or one per class."""


def minimum(min_score: MinScore, label: str) -> float:
    """The minimum score of a class."""
    return min_score.get(label, 0.0) if isinstance(min_score, Mapping) else min_score


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What a user asks for; at most one value is set. Nothing: the default of the bundle.

    Attributes:
        min_score: Minimum score, the same for all classes.
        target_precision: The lowest minimum with at least this precision, to find as much as possible.
        target_recall: The highest minimum with at least this recall, for as few false alarms as possible.
        false_alarms_per_hour: The lowest minimum with at most this many false alarms per hour of media.

    Raises:
        InputError: More than one value, or one that is out of range.
    """

    min_score: float | None = None
    target_precision: float | None = None
    target_recall: float | None = None
    false_alarms_per_hour: float | None = None

    def __post_init__(self) -> None:
        given = [name for name in self.__slots__ if getattr(self, name) is not None]
        if len(given) > 1:
            raise InputError(
                "operating-point",
                f"{' and '.join(f'`{name}`' for name in given)} cannot be combined",
                required="one of them",
                next_step="leave the others out",
            )
        for name in given:
            value, most = getattr(self, name), math.inf if name == "false_alarms_per_hour" else 1.0
            if not (math.isfinite(value) and 0 <= value <= most):
                allowed = "0 to 1" if most == 1.0 else "0 or more"
                code = "min-score" if name == "min_score" else "operating-point"
                percent = most == 1.0 and 1 < value <= 100
                change = f"change `{name}`" + (f", to {value / 100:g} for {value:g} %" if percent else "")
                raise InputError(code, f"`{name}` is {value}", allowed, change)

    def of(self, calibration: Calibration | None, labels: Sequence[str]) -> MinScore:
        """The minimum score for a bundle.

        Args:
            calibration: Of the bundle; None: its default is 0, which keeps every event.
            labels: Classes of the bundle.

        Raises:
            InputError: A target without calibration, or one that no minimum reaches.
        """
        if self.min_score is not None:
            return self.min_score
        targets = (self.target_precision, self.target_recall, self.false_alarms_per_hour)
        if all(target is None for target in targets):
            return 0.0 if calibration is None else calibration.min_scores(labels)
        if calibration is not None and not calibration.choices:
            raise InputError(
                "not-calibrated",
                "The bundle was calibrated without clicks, so it does not know the precision and recall of its scores",
                required="a bundle that was calibrated on clicks",
                next_step="run `punctum calibrate` on footage with clicks, or set `min_score`",
            )
        if calibration is None:
            raise InputError(
                "not-calibrated",
                "The bundle does not know the precision and recall of its scores",
                required="a calibrated bundle",
                next_step="train and export it with this version, or set `min_score`",
            )
        return self._reaching(calibration.choices)

    def _reaching(self, choices: Sequence[Choice]) -> float:
        """The minimum that reaches the target, among choices in order of rising minimum."""
        if self.target_recall is not None:
            reached = [c.min_score for c in choices if c.recall >= self.target_recall]
            if reached:
                return reached[-1]
            best = max(choices, key=lambda c: c.recall)
            raise _out_of_reach("target_recall", "recall", best.recall, "at most", best)
        if self.target_precision is not None:
            for choice in choices:
                if choice.precision >= self.target_precision:
                    return choice.min_score
            best = max(choices, key=lambda c: c.precision)
            raise _out_of_reach("target_precision", "precision", best.precision, "at most", best)
        most = math.inf if self.false_alarms_per_hour is None else self.false_alarms_per_hour
        for choice in choices:
            if choice.false_alarms_per_hour <= most:
                return choice.min_score
        best = min(choices, key=lambda c: c.false_alarms_per_hour)
        what = "number of false alarms per hour"
        raise _out_of_reach("false_alarms_per_hour", what, best.false_alarms_per_hour, "at least", best)


def _out_of_reach(parameter: str, what: str, best: float, bound: str, choice: Choice) -> InputError:
    # Neutral about the footage: for a bundle of `punctum calibrate` it is that of the site.
    at = f"{best:.3g}, at a minimum score of {choice.min_score:g}"
    return InputError(
        "target-out-of-reach",
        f"No minimum score of this bundle reaches `{parameter}`: the {what} on the videos of its calibration was "
        f"{bound} {at}",
        f"{bound} {best:.3g}",
        f"change `{parameter}`, or set `min_score` (0 keeps every event)",
    )
