"""Falls: the body topples about its feet or collapses, hits the ground, and comes to rest."""

from __future__ import annotations

import numpy as np

from .person import KNEEL, ON_BACK, ON_FOURS, ON_FRONT, SQUAT, STAND, Person, on_side
from .skeleton import F64, FREE, INDEX, pose

KINDS = ("forward", "back", "side", "slump")
_SHARES = (0.35, 0.2, 0.2, 0.25)
_LABELS = {"forward": "fall_forward", "back": "fall_back", "side": "fall_side", "slump": "slump"}


def fall(person: Person) -> None:
    """Fall from standing or from a seat, in one of four ways, sometimes after stumbling."""
    rng, first = person.rng, person.frames
    kind = rng.choice(KINDS, p=_SHARES)
    sign, seconds, turn = rng.choice([-1, 1]), rng.uniform(0.5, 1.3), rng.normal(0, 0.3)
    ahead = person.ahead
    across = np.array([-ahead[1], ahead[0]])
    labels, seated = ["fall", _LABELS[kind]], person.state == "sit"
    end = _ends(rng, sign)[kind]
    middle = _middle(rng, kind, sign, seated)
    if rng.random() < 0.35 and not seated:
        stumble = STAND + rng.normal(0, 0.15, len(FREE)) * FREE
        step_s, by = rng.uniform(0.2, 0.6), ahead * rng.uniform(-0.3, 0.4) + across * rng.normal(0, 0.15)
        person.move(stumble, step_s, labels, by=by, turn=rng.normal(0, 0.3))
    share = rng.uniform(0.4, 0.65)
    way = rng.uniform(-0.1, 0.5) * ahead * (1 if kind == "forward" else -0.5 if kind == "back" else 0)
    way = way + (across * -sign * 0.2 if kind == "side" else 0)
    person.move(middle, seconds * share, labels, "gaining", by=way * 0.5, turn=turn * 0.5, noise=0.12)
    ease = "even" if rng.random() < 0.6 else "smooth"
    person.move(end, seconds * (1 - share), labels, ease, by=way * 0.5, turn=turn * 0.5, noise=0.12)
    impact = person.frames
    person.move(end, rng.uniform(0.2, 0.5), labels, "braking", noise=0.15)
    person.mark("fall_begins", first)
    person.mark("fall_ends", impact)
    person.state = "floor"


def fall_out_of_bed(person: Person) -> None:
    rng, first, labels = person.rng, person.frames, ["fall", "fall_side"]
    yaw = person.yaw[-1] + np.pi / 2
    across = np.array([np.cos(yaw), np.sin(yaw)])
    edge = on_side(rng.choice([-1, 1]), rng)
    edge[INDEX["support"]] = 0.3
    person.move(edge, 0.5, labels, by=across * 0.4)
    person.move(ON_FRONT, 0.35, labels, "gaining", by=across * 0.3)
    person.mark("fall_begins", first)
    person.mark("fall_ends", person.frames)
    person.state = "floor"


def _ends(rng: np.random.Generator, sign: float) -> dict[str, F64]:
    """How the person lies afterwards, for every kind of fall."""

    def bent(base: F64, low: float = 0.0, high: float = 0.9) -> F64:
        result = base.copy()
        ranges = {
            "hip": (low, high),
            "knee": (low, high * 1.5),
            "shoulder": (0, 1.2),
            "lift": (0, 0.8),
            "elbow": (0, 1.0),
        }
        for name, (least, most) in ranges.items():
            for each in ("l", "r"):
                result[INDEX[f"{name}_{each}"]] += rng.uniform(least, most)
        return result

    forward = bent(ON_FRONT if rng.random() < 0.6 else on_side(sign, rng))
    back, side = bent(ON_BACK), bent(on_side(sign, rng), 0, 0.3)
    slump = bent([ON_FRONT, ON_BACK, on_side(sign, rng), on_side(sign, rng)][rng.integers(4)], 0.2, 1.2)
    return {"forward": forward, "back": back, "side": side, "slump": slump}


def _middle(rng: np.random.Generator, kind: str, sign: float, seated: bool) -> F64:
    """The pose halfway down."""
    if kind == "forward":
        middle = pose(
            pitch=rng.uniform(0.5, 0.9),
            hip=rng.uniform(0, 0.7) + (1.0 if seated else 0),
            knee=rng.uniform(0.2, 1.3),
            shoulder=rng.uniform(0.6, 1.6),
            elbow=rng.uniform(0.2, 0.8),
            spine=0.2,
        )
        return ON_FOURS * rng.uniform(0.7, 1) if rng.random() < 0.4 else middle
    if kind == "back":
        return pose(
            pitch=rng.uniform(-0.7, -0.3),
            hip=rng.uniform(0.3, 1.3),
            knee=rng.uniform(0.3, 1.4),
            shoulder=rng.uniform(0.3, 1.5),
            lift=rng.uniform(0.2, 1),
            elbow=0.4,
        )
    if kind == "side":
        return pose(
            roll=sign * rng.uniform(0.4, 0.8),
            hip=rng.uniform(0, 0.6) + (1 if seated else 0),
            knee=rng.uniform(0.1, 0.9) + (0.8 if seated else 0),
            lift=rng.uniform(0.3, 1.3),
            side=sign * 0.2,
        )
    middle = (SQUAT if rng.random() < 0.6 else KNEEL) + 0
    middle[INDEX["pitch"]] += rng.uniform(-0.3, 0.5)
    middle[INDEX["roll"]] += rng.normal(0, 0.25)
    return middle
