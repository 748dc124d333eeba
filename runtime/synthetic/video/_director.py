"""The timeline of a scene: actions, near misses and slow moves, with pauses between them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from ._cast import furnish
from ._moves import MOVES, settle
from ._stage import F32, Stage

Segments = tuple[tuple[int, float, float], ...]
_NEAR_SHARE = 0.3  # of all attempts
_OVERLAP = 0.22  # probability that a motion begins during another one
_PAUSE_S = 2.3  # mean pause; sets the share of action


@dataclass(slots=True)
class Plan:
    """The actions and near misses of a scene. Segments as in Scene."""

    actions: Segments = ()
    near_misses: Segments = ()
    actors: tuple[tuple[int, ...], ...] = ()


@dataclass(slots=True)
class _Deck:
    """Labels in an order in which each occurs equally often. A label that cannot be used now remains first."""

    rng: np.random.Generator
    count: int
    cards: list[int] = field(default_factory=list)

    def order(self) -> list[int]:
        while len(self.cards) < self.count:
            self.cards += [int(label) for label in self.rng.permutation(self.count)]
        return list(dict.fromkeys(self.cards))

    def played(self, label: int) -> None:
        self.cards.remove(label)


def direct(rng: np.random.Generator, stage: Stage, background: F32, labels: tuple[str, ...]) -> Plan:
    """Fill the stage and add motions. background: mean colors behind the bodies, float32 [n, 3]."""
    furnish(stage, rng, background)
    seconds = stage.total / stage.fps
    decks = {near: _Deck(rng, len(labels)) for near in (False, True)}
    done: dict[bool, list[tuple[int, float, float]]] = {False: [], True: []}
    actors: list[tuple[int, ...]] = []
    clock, busy, alone = float(rng.uniform(0.4, 2.0)), 0.0, True
    while clock < seconds - 0.8:
        near = bool(rng.random() < _NEAR_SHARE)
        running = {c for part in done.values() for c, _, end in part if end > clock}
        for label in decks[near].order():
            move, *lengths = MOVES[labels[label]]
            low, high = lengths[near]
            end = clock + math.exp(rng.uniform(math.log(low), math.log(high)))
            if label in running or end > seconds - 0.3:
                continue
            before = [body.free_at for body in stage.bodies]
            if move(stage, rng, clock, end, near):
                decks[near].played(label)
                done[near].append((label, clock, end))
                if not near:
                    who = (i for i, body in enumerate(stage.bodies) if body.free_at != before[i])
                    actors.append(tuple(who))
                busy = max(busy, end)
                break
        else:
            clock += 0.3
            continue
        if alone and rng.random() < _OVERLAP:
            clock, alone = clock + float(rng.uniform(0.2, 0.8)) * (end - clock), False
        else:
            clock, alone = busy + 0.25 + float(rng.gamma(1.6, _PAUSE_S / 1.6)), True
            _stroll(stage, rng, busy)
    return Plan(tuple(done[False]), tuple(done[True]), tuple(actors))


def _stroll(stage: Stage, rng: np.random.Generator, start: float) -> None:
    """Sometimes move an idle body slowly to another place, because real bodies do not stand still."""
    if rng.random() > 0.5:
        return
    for body in stage.free(rng, start):
        frame, seconds = stage.frame(start), float(rng.uniform(2.5, 5.0))
        way, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.03, 0.075) * seconds
        x, y = length * math.cos(way), length * math.sin(way)
        there = (body.x[frame] + x, body.y[frame] + y)
        if stage.holds(*there, body.reach(frame)) and not stage.crowd(body, *there, stage.frame(start + seconds)):
            frames, weight = settle(stage, body, start, seconds)
            body.x[frames] += x * (1 - weight)
            body.y[frames] += y * (1 - weight)
            return
