"""The minimum score that holds, in words: where it comes from, and how far its footage can support a target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..text.display import amount, counted, shown
from .operating_point import MinScore, OperatingPoint

if TYPE_CHECKING:
    from .calibration import Calibration, Choice
    from .manifest import Manifest


@dataclass(frozen=True, slots=True)
class ChosenMinimum:
    """The minimum score that follows from the user's choice and a bundle.

    Attributes:
        min_score: The minimum score, of all classes or of each.
        number: It in words.
        text: It and its reason, for one line.
        doubt: Why the footage of the calibration cannot show that the target is met; empty: no known reason.
    """

    min_score: MinScore
    number: str
    text: str
    doubt: str


def choose_minimum(point: OperatingPoint, manifest: Manifest, labels: Sequence[str]) -> ChosenMinimum:
    """The minimum score for a bundle, with its reason.

    Args:
        point: What the user asks for.
        manifest: Of the bundle.
        labels: Classes of the bundle.

    Raises:
        InputError: As `OperatingPoint.of`.
    """
    calibration = manifest.calibration
    least = point.of(calibration, labels)
    number = _number(least)
    text = f"minimum score {number} ({_reason(point, manifest)})"
    return ChosenMinimum(least, number, text, _doubt(point, calibration, least))


def footage_of(manifest: Manifest) -> str:
    """The videos of the calibration: those of `punctum calibrate`, or the training videos."""
    facts: Any = manifest.provenance.get("calibration")
    if isinstance(facts, Mapping) and facts.get("clicks", 0) is None:  # shifted without clicks: nothing was measured
        return "the videos of its calibration with clicks, not of this site"
    if isinstance(facts, Mapping) and isinstance(facts.get("dataset"), str):
        return f"the videos of {shown(facts['dataset'], 60)}, by which it was calibrated"
    return "held-out training videos"


def choice_at(calibration: Calibration | None, least: MinScore) -> Choice | None:
    """Precision, recall and false alarms of a minimum score; None if the calibration has no row for it."""
    value = next(iter(least.values()), 0.0) if isinstance(least, Mapping) else least
    if calibration is None or (isinstance(least, Mapping) and len(set(least.values())) > 1):
        return None
    found = min(calibration.choices, key=lambda c: abs(c.min_score - value), default=None)
    return found if found is not None and abs(found.min_score - value) < 1e-9 else None


def _number(least: MinScore) -> str:
    values = sorted(set(least.values())) if isinstance(least, Mapping) else [least]
    if len(values) > 1:
        return f"{values[0]:.3g} to {values[-1]:.3g} by class"
    return f"{values[0] if values else 0.0:.3g}"


def _reason(point: OperatingPoint, manifest: Manifest) -> str:
    footage = footage_of(manifest)
    if point.target_precision is not None:
        return f"precision of at least {point.target_precision:g} on {footage}"
    if point.target_recall is not None:
        return f"recall of at least {point.target_recall:g} on {footage}"
    if point.false_alarms_per_hour is not None:
        return f"at most {counted_rate(point.false_alarms_per_hour)} per hour on {footage}"
    if point.min_score is not None:
        return "as asked for"
    return "the bundle is not calibrated" if manifest.calibration is None else "the default of the bundle"


def counted_rate(rate: float) -> str:
    """A number of false alarms."""
    return f"{rate:g} false alarm{'' if rate == 1 else 's'}"


def _doubt(point: OperatingPoint, calibration: Calibration | None, least: MinScore) -> str:
    if calibration is None or calibration.hours is None or calibration.clicks is None:
        return ""  # a bundle of an earlier version does not say
    rate, hours = point.false_alarms_per_hour, calibration.hours
    if rate is not None and rate * hours < 1:
        return (
            f"the calibration has {hours:.2g} h of footage, where one false alarm is {amount(1 / hours)} per hour: the "
            f"minimum is the lowest without any there, and {rate:g} per hour cannot be verified"
        )
    choice = choice_at(calibration, least)
    if choice is None:
        return ""
    target, of = point.target_precision, "precision"
    number = round(choice.recall * calibration.clicks / choice.precision) if choice.precision else 0
    if point.target_recall is not None:
        target, of, number = point.target_recall, "recall", calibration.clicks
    if target is None or target >= 1:
        needed = math.inf if target is not None else 0  # no number of events verifies 1
    else:
        needed = 1 / (1 - target)
    if number >= needed:
        return ""
    thing = counted(number, "event" if of == "precision" else "click")
    enough = "" if math.isinf(needed) else f"; it takes at least {math.ceil(needed - 1e-9)}"
    return f"the {of} at this minimum rests on {thing} of the calibration, too few to verify {target:g}{enough}"
