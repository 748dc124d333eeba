"""Which actions are not found: by class, length, distance to the next action, and brightness of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..evaluation.clicks import Share
from .judge import Flags, Judgment

F64 = npt.NDArray[np.float64]
GROUPS = 4
SMALLEST = 8
"""Actions per group at least; with fewer there are fewer groups."""
BRIGHTNESS = (10.0, 20.0, 40.0)
"""Limits of the groups in percent of white: dark rooms are few, and would vanish in groups of equal size."""


@dataclass(frozen=True, slots=True)
class Group:
    """Actions that have something in common.

    Attributes:
        factor: "class", "length", "gap" or "brightness".
        name: Name of the class, or the range of values.
        found: Those that are found.
    """

    factor: str
    name: str
    found: Share

    def to_record(self) -> dict[str, Any]:
        """For JSON."""
        return {"factor": self.factor, "group": self.name, "actions": self.found.total, "found": self.found.to_record()}


def groups_of(judged: Judgment, found: Flags, brightness: F64 | None) -> tuple[Group, ...]:
    """The groups of all factors that can be told.

    Args:
        judged: The actions.
        found: Which of them are found, bool [G].
        brightness: Mean brightness of the picture at each action, 0 to 1; NaN where unknown. None: not measured.
    """
    truth = judged.truth
    groups = []
    for c, label in enumerate(truth.labels):
        mine = truth.label == c
        if mine.any():
            groups.append(Group("class", label, _share(found, mine)))
    if not judged.by_clicks:
        groups += _by_value("length", truth.segments[:, 1] - truth.segments[:, 0], found, "s")
    groups += _by_value("gap", gaps(judged), found, "s")
    if brightness is not None:
        groups += _in_ranges("brightness", brightness * 100, found, "%", BRIGHTNESS)
    return tuple(groups)


def gaps(judged: Judgment) -> F64:
    """Seconds from each action to the nearest other one of its video, 0 where they overlap; NaN without another."""
    truth = judged.truth
    result = np.full(len(truth.label), np.nan)
    order = np.lexsort((truth.segments[:, 0], truth.video))
    bounds = np.flatnonzero(np.diff(truth.video[order])) + 1
    for rows in np.split(order, bounds):
        if len(rows) < 2:
            continue
        start, end = truth.segments[rows].T
        ended = np.maximum.accumulate(end)  # of all actions that have begun
        before = np.concatenate([[np.inf], start[1:] - ended[:-1]])
        after = np.concatenate([start[1:] - end[:-1], [np.inf]])
        result[rows] = np.maximum(np.minimum(before, after), 0.0)
    return result


def _by_value(factor: str, values: F64, found: Flags, unit: str) -> list[Group]:
    """Groups of about equal size; none if all values are alike or there are too few."""
    known = np.isfinite(values)
    count = min(GROUPS, int(known.sum()) // SMALLEST)
    if count < 2:
        return []
    inner = np.quantile(values[known], np.arange(1, count) / count)
    return _in_ranges(factor, values, found, unit, sorted({float(f"{edge:.2g}") for edge in inner}))


def _in_ranges(factor: str, values: F64, found: Flags, unit: str, edges: Sequence[float]) -> list[Group]:
    """Groups between these limits; none if all values are in one."""
    known = np.isfinite(values)
    place = np.searchsorted(edges, values, side="right")
    groups = []
    for k in range(len(edges) + 1):
        mine = known & (place == k)
        if mine.any():
            groups.append(Group(factor, _range(edges, k, unit), _share(found, mine)))
    return groups if len(groups) > 1 else []


def _range(edges: Sequence[float], k: int, unit: str) -> str:
    if k == 0:
        return f"below {edges[0]:g} {unit}"
    if k == len(edges):
        return f"{edges[-1]:g} {unit} or more"
    return f"{edges[k - 1]:g} to {edges[k]:g} {unit}"


def _share(found: Flags, mine: Flags) -> Share:
    return Share(int((found & mine).sum()), int(mine.sum()))
