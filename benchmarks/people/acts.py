"""What people do where they are: sit, lie, rise, crouch, jump, and use their arms."""

from __future__ import annotations

import numpy as np

from .person import (
    BEND,
    FPS,
    KNEEL,
    ON_BACK,
    ON_FOURS,
    ON_FRONT,
    SIT,
    SIT_ON_FLOOR,
    SLOUCH,
    SQUAT,
    STAND,
    Person,
    on_side,
)
from .skeleton import F64, INDEX

BED_M = 0.42  # height of a bed
_DANCED = (
    "hip_l", "hip_r", "shoulder_l", "shoulder_r", "lift_l", "lift_r", "elbow_l", "elbow_r", "side", "knee_l", "knee_r",
)  # fmt: skip


def sit_down(person: Person) -> None:
    pace = person.rng.uniform(0.5, 1.6)
    person.move(_half_seated(0.5, 0.3), 0.45 * pace, ["sit_down"])
    person.move(SIT if person.rng.random() < 0.7 else SLOUCH, 0.5 * pace, ["sit_down"])
    person.state = "sit"


def stand_up(person: Person) -> None:
    pace = person.rng.uniform(0.6, 1.5)
    person.move(_half_seated(0.6, 0.4), 0.5 * pace, ["stand_up"])
    person.move(STAND, 0.5 * pace, ["stand_up"])
    person.state = "stand"


def _half_seated(pitch: float, more_hip: float) -> F64:
    middle = SIT * 0.6 + STAND * 0.4
    middle[INDEX["pitch"]] = pitch
    middle[[INDEX["hip_l"], INDEX["hip_r"]]] += more_hip
    return middle


def lie_down(person: Person) -> None:
    """From a seat onto the bed behind it, or from standing onto the ground."""
    rng = person.rng
    pace, sign = rng.uniform(0.6, 1.6), rng.choice([-1, 1])
    end = [ON_BACK, ON_FRONT, on_side(sign, rng)][rng.choice(3, p=[0.5, 0.15, 0.35])] + 0
    if person.state == "sit":
        end[INDEX["support"]] = BED_M
        middle = (SIT + end) / 2
        middle[INDEX["support"]] = 0.2
        turn = rng.choice([-1, 1]) * rng.uniform(0.3, 1.5)
        person.move(middle, 0.7 * pace, ["lie_down"], turn=turn)
        person.move(end, 0.8 * pace, ["lie_down"])
        person.mark("lie_down_ends", person.frames)
        person.state = "bed"
        return
    way = rng.random()
    if way < 0.4:
        person.move(SQUAT, 0.7 * pace, ["lie_down"])
        person.move(SIT_ON_FLOOR, 0.6 * pace, ["lie_down"])
    elif way < 0.75:
        person.move(KNEEL, 0.8 * pace, ["lie_down"])
        person.move(ON_FOURS, 0.7 * pace, ["lie_down"])
    else:
        person.move(SQUAT, 0.8 * pace, ["lie_down"])
    person.move(end, rng.uniform(0.6, 1.3) * pace, ["lie_down"])
    person.mark("lie_down_ends", person.frames)
    person.state = "floor"


def lie(person: Person, seconds: float) -> None:
    """Lie, mostly without moving."""
    sway = person.rng.choice([0.0, 0.004, 0.02, 0.06])
    person.hold(seconds, ["lying_on_bed" if person.state == "bed" else "lying"], sway)


def get_up(person: Person) -> None:
    rng = person.rng
    pace = rng.uniform(0.7, 1.5)
    person.mark("rise_begins", person.frames)
    if person.state == "bed":
        person.move(SIT + 0, 1.2 * pace, ["get_up"])
        person.state = "sit"
        stand_up(person)
        return
    if person.now[INDEX["pitch"]] < -0.5:
        person.move(SIT_ON_FLOOR, 0.8 * pace, ["get_up"])
    else:
        person.move(ON_FOURS, 0.9 * pace, ["get_up"])
    person.move(KNEEL if rng.random() < 0.6 else SQUAT, 0.8 * pace, ["get_up"])
    person.move(STAND, 0.8 * pace, ["get_up"])
    person.state = "stand"


def crouch(person: Person) -> None:
    pace = person.rng.uniform(0.5, 1.4)
    person.move(SQUAT if person.rng.random() < 0.7 else KNEEL, 0.7 * pace, ["squat"])
    person.hold(person.rng.uniform(0.2, 3), ["crouching"], 0.04)
    person.move(STAND, 0.7 * pace, ["squat"])


def bend(person: Person) -> None:
    pace = person.rng.uniform(0.5, 1.4)
    person.move(BEND * person.rng.uniform(0.5, 1.1), 0.6 * pace, ["bend"])
    person.hold(person.rng.uniform(0.1, 1.0), ["bend"], 0.06)
    person.move(STAND, 0.6 * pace, ["bend"])


def jump(person: Person) -> None:
    person.move(SQUAT * 0.4 + STAND * 0.6, 0.25, ["jump"])
    u = np.arange(1, 11) / 10
    poses = person.now + (STAND - person.now) * u[:, None]
    poses[:, INDEX["jump"]] = person.rng.uniform(0.2, 0.45) * 4 * u * (1 - u)
    person.add(poses, ["jump"])
    person.move(STAND, 0.3, ["jump"])


def use_arms(person: Person, kind: str) -> None:
    """Reach, wave, throw, punch, sweep or dance, and back to the pose before."""
    rng, before = person.rng, person.now + 0
    side = rng.choice(["l", "r"])

    def changed(**angles: float) -> F64:
        result = before.copy()
        for name, value in angles.items():
            result[INDEX[f"{name}_{side}" if name in ("shoulder", "lift", "elbow") else name]] = value
        return result

    if kind == "reach":
        person.move(changed(shoulder=rng.uniform(1.2, 2.6), elbow=0.1, spine=0.2), rng.uniform(0.4, 0.9), ["reach"])
        person.hold(rng.uniform(0.1, 1), ["reach"], 0.03)
    elif kind == "wave":
        up = changed(shoulder=rng.uniform(0.3, 2.2), lift=rng.uniform(0.6, 1.6), elbow=rng.uniform(0.5, 1.2))
        person.move(up, 0.35, ["wave"])
        times = np.arange(round(rng.uniform(0.8, 3) * FPS)) / FPS
        poses = np.tile(person.now, (len(times), 1))
        poses[:, INDEX[f"elbow_{side}"]] += 0.5 * np.sin(2 * np.pi * rng.uniform(1.2, 2.5) * times)
        poses[:, INDEX[f"lift_{side}"]] += 0.3 * np.sin(2 * np.pi * 1.7 * times)
        person.add(poses, ["wave"])
    elif kind == "throw":
        person.move(changed(shoulder=-0.6, lift=0.8, elbow=1.6, pitch=-0.15), 0.35, ["throw"])
        person.move(changed(shoulder=1.7, elbow=0.1, pitch=0.3), 0.2, ["throw"], "gaining")
    elif kind == "punch":
        person.move(changed(shoulder=0.4, elbow=2.0), 0.15, ["punch"])
        person.move(changed(shoulder=1.5, elbow=0.1, pitch=0.15), 0.15, ["punch"], "gaining")
    elif kind == "sweep":
        times = np.arange(round(rng.uniform(2, 5) * FPS)) / FPS
        wave = np.sin(2 * np.pi * rng.uniform(0.5, 1.1) * times)
        poses = np.tile(changed(pitch=0.2, spine=0.2), (len(times), 1))
        poses[:, [INDEX["shoulder_l"], INDEX["shoulder_r"]]] = 0.7
        poses[:, [INDEX["elbow_l"], INDEX["elbow_r"]]] = 0.6
        for name, share in (("side", 0.25), ("roll", 0.1), (f"shoulder_{side}", 0.3), (f"lift_{side}", 0.3)):
            poses[:, INDEX[name]] += share * wave
        edge = np.minimum(1, times / 0.4)[:, None]
        person.add(before * (1 - edge) + poses * edge, ["sweep"])
    else:
        _dance(person)
    person.move(before, rng.uniform(0.25, 0.6), [kind], noise=0.02)


def _dance(person: Person) -> None:
    rng = person.rng
    times = np.arange(round(rng.uniform(2, 5) * FPS)) / FPS
    beat, poses = rng.uniform(0.8, 2), np.tile(person.now + 0, (len(times), 1))
    for name in _DANCED:
        edge, size = np.minimum(1, times / 0.4), rng.uniform(0.1, 0.6)
        poses[:, INDEX[name]] += (
            edge * size * np.sin(2 * np.pi * beat * rng.choice([0.5, 1]) * times + rng.uniform(0, 6))
        )
    knees = [INDEX["knee_l"], INDEX["knee_r"]]
    poses[:, knees] = np.maximum(poses[:, knees], 0)
    person.add(poses, ["dance"])
