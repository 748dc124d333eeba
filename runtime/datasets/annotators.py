"""Clicks of several annotators: which of them mark the same action, how well they agree, and one click per action."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
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
    a, b = sorted(first, key=lambda m: m.time_s), sorted(second, key=lambda m: m.time_s)
    near: list[tuple[float, int, int]] = []
    begin = 0
    for i, one in enumerate(a):
        while begin < len(b) and b[begin].time_s < one.time_s - within_s:
            begin += 1
        for j in range(begin, len(b)):
            if b[j].time_s > one.time_s + within_s:
                break
            if not same or one.label == b[j].label:
                near.append((abs(one.time_s - b[j].time_s), i, j))
    used_a: set[int] = set()
    used_b: set[int] = set()
    pairs = []
    for _, i, j in sorted(near):
        if i not in used_a and j not in used_b:
            used_a.add(i)
            used_b.add(j)
            pairs.append(Pair(a[i], b[j]))
    pairs.sort(key=lambda pair: pair.first.time_s)
    rest_a = [mark for i, mark in enumerate(a) if i not in used_a]
    return pairs, rest_a, [mark for j, mark in enumerate(b) if j not in used_b]


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
        agreement = compare(centers, clicks)
        for pair in agreement.agreed:
            groups[int(str(pair.first.key))].append(pair.second)
        joined = {id(pair.second) for pair in agreement.agreed}
        groups += [[mark] for mark in clicks if id(mark) not in joined]
    return sorted(((group[0].label, _mean(group)) for group in groups), key=lambda pair: (pair[1], str(pair[0])))


def _mean(group: Sequence[Mark]) -> float:
    return sum(mark.time_s for mark in group) / len(group)
