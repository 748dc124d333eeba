"""Fights of two to five people, and what looks similar: talk and embraces."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .acts import get_up, lie, use_arms
from .falls import fall
from .person import FPS, STAND, Person
from .skeleton import F64, FREE, INDEX, pose

if TYPE_CHECKING:
    from .scenario import Stage

_MANNERS = ("box", "wrestle", "push")
_FRIENDLY = 0.25  # share of encounters without a fight


def brawl(place: Stage, afterwards: Callable[[Stage, Person], None]) -> None:
    """People come together, fight or talk for 2 to 12 s, and then do what `afterwards` says."""
    rng = place.rng
    count, center = int(rng.choice([2, 3, 4, 5], p=[0.6, 0.2, 0.12, 0.08])), place.spot()
    begin = round(rng.uniform(0, 0.5) * place.frames) if rng.random() < 0.75 else 0
    end = min(place.frames, begin + round(rng.uniform(2, 12) * FPS))
    friendly = rng.random() < _FRIENDLY
    for i in range(count):
        person = _arrive(place, center, begin, i, count)
        if friendly:
            _meet(person, end)
        else:
            _fight(person, center, end)
        if person.state != "stand" and person.frames < place.frames:
            lie(person, rng.uniform(0.5, 2))
            get_up(person)
        afterwards(place, person)
        place.people.append(person)


def _arrive(place: Stage, center: F64, begin: int, number: int, count: int) -> Person:
    """A person that stands in its place of the circle at the frame `begin`, facing the center."""
    rng = place.rng
    angle = 2 * np.pi * number / count + rng.normal(0, 0.3)
    radius = rng.uniform(0.3, 0.55) * (1 if count == 2 else 1.3)
    target = center + np.array([np.cos(angle), np.sin(angle)]) * radius
    person = Person(rng, place.spot() if begin > 2 * FPS else target + rng.normal(0, 0.2, 2), angle + np.pi)
    while person.frames < begin - 4 * FPS:
        if rng.random() < 0.6:
            person.walk(place.spot(), None, (begin - person.frames) / FPS - 2.5)
        else:
            person.hold(rng.uniform(0.5, 2), ["standing"], 0.05)
    if begin > 3 * FPS:
        person.walk(target, rng.choice([1.0, 1.5, 2.5]))
    person.face(center, 0.3)
    if person.frames < begin:
        person.hold((begin - person.frames) / FPS, ["standing"], 0.06)
    return person


def _meet(person: Person, end: int) -> None:
    rng = person.rng
    if rng.random() < 0.5:
        embrace = STAND + 0
        embrace[[INDEX["shoulder_l"], INDEX["shoulder_r"]]] = 1.2
        embrace[[INDEX["lift_l"], INDEX["lift_r"]]] = 0.5
        person.move(embrace, 0.6, ["hug"])
        person.hold(rng.uniform(0.5, 2), ["hug"], 0.04)
        person.move(STAND, 0.6, ["hug"])
    while person.frames < end:
        person.hold(rng.uniform(1, 3), ["standing"], 0.08)
        use_arms(person, str(rng.choice(["wave", "reach", "dance"])))


def _fight(person: Person, center: F64, end: int) -> None:
    rng = person.rng
    manner = rng.choice(_MANNERS)
    while person.frames < end:
        first = person.frames
        if rng.random() < 0.15:
            manner = rng.choice(_MANNERS)
        step = np.clip(center - person.places[-1], -0.25, 0.25) * rng.uniform(-0.6, 1) + rng.normal(0, 0.15, 2)
        chance = rng.random()
        if person.state != "stand":
            if rng.random() < 0.5:
                person.hold(rng.uniform(0.3, 1.5), ["fight"], 0.15)
            else:
                get_up(person)
            continue
        if manner == "wrestle" and chance < 0.8:
            _grapple(person, step)
        elif chance < 0.45:
            person.move(STAND + 0.2 * rng.normal(0, 1, len(FREE)) * FREE, 0.2, by=step, turn=rng.normal(0, 0.2))
            for _ in range(rng.integers(1, 4)):
                use_arms(person, "punch")
        elif chance < 0.62:
            _kick(person)
        elif chance < 0.8:
            ahead = person.ahead
            person.move(pose(shoulder=1.3, elbow=1.5, pitch=0.1), 0.2, ["push"], by=ahead * 0.15)
            person.move(pose(shoulder=1.5, elbow=0.1, pitch=0.3), 0.15, ["push"], "gaining", by=ahead * 0.15)
        elif chance < 0.93:
            _recoil(person)
        else:
            fall(person)
        person.also("fight", first)


def _grapple(person: Person, step: F64) -> None:
    rng = person.rng
    held = pose(
        pitch=rng.uniform(0.1, 0.7),
        shoulder=rng.uniform(0.9, 1.5),
        elbow=rng.uniform(0.2, 1),
        hip=rng.uniform(0.1, 0.8),
        knee=rng.uniform(0.2, 0.9),
        spine=rng.uniform(0, 0.4),
        side=rng.normal(0, 0.2),
        lift=rng.uniform(0, 0.5),
    )
    for name in ("hip_l", "hip_r"):
        held[INDEX[name]] += rng.normal(0, 0.3)
    person.move(held, rng.uniform(0.2, 0.5), ["wrestle"], by=step, turn=rng.normal(0, 0.4), noise=0.15)


def _kick(person: Person) -> None:
    raised, side = pose(pitch=-0.2), person.rng.choice(["l", "r"])
    raised[INDEX[f"hip_{side}"]], raised[INDEX[f"knee_{side}"]] = person.rng.uniform(0.8, 1.6), 1.2
    person.move(raised, 0.2, ["kick"])
    stretched = raised + 0
    stretched[INDEX[f"knee_{side}"]] = 0.1
    person.move(stretched, 0.15, ["kick"], "gaining")
    person.move(STAND, 0.3)


def _recoil(person: Person) -> None:
    """Be hit or pushed."""
    rng = person.rng
    hit = pose(
        pitch=rng.uniform(-0.4, 0.3),
        side=rng.normal(0, 0.3),
        shoulder=rng.uniform(0.2, 1.5),
        elbow=rng.uniform(0.2, 1.5),
        knee=0.4,
        hip=0.3,
    )
    by = -person.ahead * rng.uniform(0.1, 0.7)
    person.move(hit, rng.uniform(0.2, 0.4), (), "braking", by=by, turn=rng.normal(0, 0.4))
