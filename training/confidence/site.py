"""Calibration of an existing bundle on footage that it has not been trained on, such as that of another site.

With clicks the maps are fitted as for a new run; a bundle that is calibrated already keeps its maps as far as the
clicks do not contradict them. Without clicks only the share of right events can be adapted, and only if the user knows
how many actions there are. The scores alone do not show it: at another site those of right events are lower, too, and
what estimates the share from their distribution (Saerens et al., 2002) takes that for fewer actions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from punctum.runtime.bundle.calibration import Calibration, ScoreMap

from ..arrays import F64
from .choose import choices, default_minimum
from .fit import KNOTS, Prior, fit_maps, fit_weights, logit, map_of, sigmoid
from .judge import JudgedEvents

KNOWN = Prior(slopes=(1.0,), spread=(0.3,), least=(0.2,), intercept=2.0, offset=0.5)
"""Beside existing maps: other sites have other shares of right events, and classes differ little in that."""
LARGE_SHIFT = 2.5
"""A shift of log-odds from which a wrong rate, or actions without any event, are more likely than another site."""


@dataclass(frozen=True, slots=True)
class Footage:
    """What is known of the footage.

    Attributes:
        events: judged events; without clicks `right` is not used.
        clicks: number of clicks; None without clicks.
        hours: duration.
        reduced: events of reduced scoring, judged likewise; None: not known.
    """

    events: JudgedEvents
    clicks: int | None
    hours: float
    reduced: JudgedEvents | None = None


def calibrate_by_clicks(footage: Footage, classes: int, before: Calibration | None) -> Calibration:
    """Maps, default minimum and table of choices for footage with clicks.

    Maps for reduced scoring are adapted like the others where the bundle has them, and learned where it has none.

    Args:
        footage: with clicks; of its events at least one is right and one is wrong.
        classes: number of classes.
        before: calibration of the bundle.
    """
    judged, clicks = footage.events, footage.clicks or 0
    reduced: tuple[ScoreMap, ...] = ()
    if before is None:
        maps = fit_maps(judged, classes)
    else:
        known = _scores(before.classes, judged)
        weights = fit_weights(logit(known)[:, None], judged, classes, KNOWN)
        slope, shifts = float(weights[1]), weights[0] + weights[2:]
        maps = _shifted(before.classes, slope=slope, shifts=shifts)
        reduced = _shifted(before.reduced, slope=slope, shifts=shifts) if before.reduced else ()
    if not reduced and footage.reduced is not None and footage.reduced.can_be_fitted:
        reduced = fit_maps(footage.reduced, classes)
    scores = _scores(maps, judged)
    least = default_minimum(scores, clicks)
    return Calibration(
        classes=tuple(each.model_copy(update={"min_score": least}) for each in maps),
        reduced=reduced,
        choices=choices(scores, judged, clicks, footage.hours),
        right_share=float(judged.right.mean()),
        hours=footage.hours,
        clicks=clicks,
    )


def calibrate_by_rate(footage: Footage, before: Calibration, *, actions: float) -> tuple[Calibration, float]:
    """Shift the maps for footage without clicks.

    Args:
        footage: without clicks.
        before: calibration of the bundle.
        actions: number of actions in the footage. As many of them have a right event, whatever its score, as on the
            footage of the present calibration.

    Returns:
        The calibration, and the shift of log-odds. Minimum scores and choices stay: they are probabilities, too.
    """
    events, classes = footage.events, len(before.classes)
    found = before.choices[0].recall if before.choices else 1.0  # those with a right event of any score

    def expected(shift: float) -> float:
        """Number of right events by the shifted maps, as they are stored: linear between knots."""
        return float(_scores(_shifted(before.classes, slope=1.0, shifts=np.full(classes, shift)), events).sum())

    shift = _shift_for(expected, actions * found) if len(events.raw) else 0.0
    shifts = np.full(classes, shift)
    maps = _shifted(before.classes, slope=1.0, shifts=shifts)
    kept = [new.model_copy(update={"min_score": old.min_score}) for new, old in zip(maps, before.classes, strict=True)]
    reduced = _shifted(before.reduced, slope=1.0, shifts=shifts) if before.reduced else ()
    share = before.right_share
    if len(events.raw):
        share = float(np.clip(_scores(maps, events).mean(), 1e-6, 1 - 1e-6))
    update = {"classes": tuple(kept), "reduced": reduced, "right_share": share}
    return before.model_copy(update=update), shift


def _scores(maps: tuple[ScoreMap, ...], events: JudgedEvents) -> F64:
    scores = np.zeros(len(events.raw))
    for c in np.unique(events.label).tolist():
        own = events.label == c
        scores[own] = np.interp(events.raw[own], maps[c].raw, maps[c].score)  # as ScoreMap, all at once
    return scores


def _shifted(maps: tuple[ScoreMap, ...], *, slope: float, shifts: F64) -> tuple[ScoreMap, ...]:
    """The maps followed by p -> sigmoid(slope * logit(p) + shift of the class)."""
    found = []
    for each, shift in zip(maps, shifts, strict=True):
        known = np.array([each(x) for x in KNOTS])
        found.append(map_of(sigmoid(slope * logit(known) + shift)))
    return tuple(found)


def _shift_for(expected: Callable[[float], float], right: float) -> float:
    """The shift with which the expected number of right events is `right`, by bisection."""
    low, high = -15.0, 15.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if expected(middle) < right else (low, middle)
    return (low + high) / 2
