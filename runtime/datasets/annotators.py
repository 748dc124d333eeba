"""Clicks of several annotators: which of them mark the same action, how well they agree, and one click per action."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple

SAME_ACTION_S = 1.5
"""Two annotators' clicks of one class mark the same action if they are at most this far apart."""


class Mark(NamedTuple):
    """A click of an annotator. key identifies it for the caller."""

    annotator: str
    label: Hashable
    time_s: float
    key: Hashable = None


class Pair(NamedTuple):
    """Two clicks of two annotators at about the same time; `same`: of one class."""

    first: Mark
    second: Mark

    @property
    def same(self) -> bool:
        return self.first.label == self.second.label


@dataclass(frozen=True, slots=True)
class Agreement:
    """The clicks of two annotators in one video.

    Attributes:
        agreed: Pairs of one class.
        classes: Pairs at about the same time with different classes.
        alone: Clicks that the other annotator does not have.
    """

    agreed: tuple[Pair, ...]
    classes: tuple[Pair, ...]
    alone: tuple[Mark, ...]

    @property
    def share(self) -> float:
        """Actions on which both agree, of all actions that either marked; 1 if there are none."""
        every = len(self.agreed) + len(self.classes) + len(self.alone)
        return len(self.agreed) / every if every else 1.0


def compare(first: Sequence[Mark], second: Sequence[Mark], *, within_s: float = SAME_ACTION_S) -> Agreement:
    """Match the clicks of two annotators one to one, the nearest first; clicks of one class before all others."""
    agreed, left_a, left_b = _match(first, second, within_s, same=True)
    classes, left_a, left_b = _match(left_a, left_b, within_s, same=False)
    return Agreement(tuple(agreed), tuple(classes), tuple(sorted([*left_a, *left_b], key=lambda m: m.time_s)))


def _match(
    first: Sequence[Mark], second: Sequence[Mark], within_s: float, *, same: bool
) -> tuple[list[Pair], list[Mark], list[Mark]]:
    """Pair marks one to one, the nearest first. Returns the pairs, and the marks of each that are left."""
    a, b = sorted(first, key=lambda m: m.time_s), sorted(second, key=lambda m: m.time_s)
    places: dict[Hashable, tuple[list[int], list[int]]] = {}
    for side, marks in enumerate((a, b)):
        for k, mark in enumerate(marks):
            places.setdefault(mark.label if same else None, ([], []))[side].append(k)
    found = [pair for mine, theirs in places.values() for pair in _nearest(a, b, mine, theirs, within_s)]
    used_a, used_b = {i for i, _ in found}, {j for _, j in found}
    pairs = [Pair(a[i], b[j]) for i, j in sorted(found)]
    rest_a = [mark for i, mark in enumerate(a) if i not in used_a]
    return pairs, rest_a, [mark for j, mark in enumerate(b) if j not in used_b]


def _nearest(
    a: Sequence[Mark], b: Sequence[Mark], mine: list[int], theirs: list[int], within_s: float
) -> list[tuple[int, int]]:
    """Pairs of places in `a` and `b`, the nearest first, in n log n steps.

    The nearest two marks of different sides are neighbors in time. Each pair that is taken makes new neighbors.
    """
    at: dict[tuple[float, int], deque[int]] = {}  # marks of one side at one time
    for side, marks, some in ((0, a, mine), (1, b, theirs)):
        for k in some:
            at.setdefault((marks[k].time_s, side), deque()).append(k)
    keys = sorted(at)
    waiting = [at[key] for key in keys]
    before, after = list(range(-1, len(keys) - 1)), [*range(1, len(keys)), -1]
    heap: list[tuple[float, int, int, int, int]] = []

    def offer(left: int, right: int) -> None:
        if left < 0 or right < 0 or keys[left][1] == keys[right][1]:
            return
        one, other = (left, right) if keys[left][1] == 0 else (right, left)
        time_s, other_s = keys[one][0], keys[other][0]
        if time_s - within_s <= other_s <= time_s + within_s:
            heappush(heap, (abs(time_s - other_s), waiting[one][0], waiting[other][0], left, right))

    for k in range(len(keys) - 1):
        offer(k, k + 1)
    found = []
    while heap:
        _, i, j, left, right = heappop(heap)
        if not waiting[left] or not waiting[right]:
            continue
        one, other = (left, right) if keys[left][1] == 0 else (right, left)
        if (waiting[one][0], waiting[other][0]) != (i, j):  # one of them has been taken
            offer(left, right)
            continue
        found.append((waiting[one].popleft(), waiting[other].popleft()))
        for node in (left, right):
            if not waiting[node]:
                if before[node] >= 0:
                    after[before[node]] = after[node]
                if after[node] >= 0:
                    before[after[node]] = before[node]
        if waiting[left] and waiting[right]:
            offer(left, right)
        else:
            start = left if waiting[left] else before[left]
            end = after[start] if start >= 0 else -1
            offer(start, end)
    return found


def one_per_action(marks: Iterable[Mark]) -> list[tuple[Hashable, float]]:
    """Class and time of each action that at least one annotator marked in a video, in time order.

    Clicks of several annotators that mark the same action count once, at their mean time. Clicks of one annotator are
    never joined.
    """
    by: dict[str, list[Mark]] = {}
    for mark in marks:
        by.setdefault(mark.annotator, []).append(mark)
    groups: list[list[Mark]] = []
    for clicks in by.values():
        centers = [Mark("", group[0].label, _mean(group), k) for k, group in enumerate(groups)]
        pairs, _, alone = _match(centers, clicks, SAME_ACTION_S, same=True)
        for pair in pairs:
            groups[int(str(pair.first.key))].append(pair.second)
        groups += [[mark] for mark in alone]
    return sorted(((group[0].label, _mean(group)) for group in groups), key=lambda pair: (pair[1], str(pair[0])))


def _mean(group: Sequence[Mark]) -> float:
    return sum(mark.time_s for mark in group) / len(group)
