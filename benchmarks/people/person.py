"""A person on a timeline: poses, places and labels, built up by one movement after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .labels import LABEL, LABELS
from .skeleton import F64, FREE, INDEX, pose

FPS = 20
"""Poses per second."""
STAND = pose()
SIT = pose(hip=1.5, knee=1.5, spine=0.12, shoulder=0.35, elbow=0.9, spread=0.12)
SLOUCH = pose(hip=1.2, knee=1.3, pitch=-0.35, spine=0.3, shoulder=0.3, elbow=0.6)
SQUAT = pose(hip=2.0, knee=2.2, pitch=0.35, spine=0.3, shoulder=0.8, elbow=0.6)
BEND = pose(pitch=1.1, hip=1.1, spine=0.5, shoulder=1.4, elbow=0.1, knee=0.25)
KNEEL = pose(knee=1.65, hip=0.05, pitch=0.05, shoulder=0.2)
ON_FOURS = pose(pitch=1.35, hip=1.4, knee=1.55, shoulder=1.4, elbow=0.15)
SIT_ON_FLOOR = pose(pitch=-0.15, hip=1.45, knee=0.4, shoulder=0.1, elbow=0.4, lift=0.3)
ON_BACK = pose(pitch=-1.52, lift=0.4, nod=0.2, spread=0.15)
ON_FRONT = pose(pitch=1.52, lift=0.8, shoulder=1.0, elbow=0.9)

_STEADY, _LIMBS = 0.08, (("hip_l", "knee_l", "shoulder_r", 0.0), ("hip_r", "knee_r", "shoulder_l", np.pi))


def on_side(sign: float, rng: np.random.Generator) -> F64:
    """Lying on one side, more or less curled up."""
    return pose(
        roll=sign * 1.5,
        hip=rng.uniform(0.1, 1.2),
        knee=rng.uniform(0.2, 1.6),
        shoulder=rng.uniform(0.2, 1.4),
        elbow=rng.uniform(0.2, 1.6),
        spine=rng.uniform(0, 0.5),
    )


class Person:
    """Lists with one entry per frame: `poses`, `places` (meters), `yaw` (radians) and `labels`.

    state: "stand", "sit", "bed" or "floor", what the person can do next depends on it.
    """

    def __init__(self, rng: np.random.Generator, place: F64, yaw: float) -> None:
        self.rng = rng
        self.poses, self.places, self.yaw = [STAND + 0], [np.array(place, float)], [yaw]
        self.labels = [np.zeros(len(LABELS), np.float32)]
        self.height = rng.uniform(1.5, 1.95) if rng.random() < 0.9 else rng.uniform(1.05, 1.5)
        self.state, self.carries = "stand", False

    @property
    def frames(self) -> int:
        return len(self.poses)

    @property
    def now(self) -> F64:
        """The last pose."""
        return self.poses[-1]

    @property
    def ahead(self) -> F64:
        """Unit vector of the direction that the person faces."""
        return np.array([np.cos(self.yaw[-1]), np.sin(self.yaw[-1])])

    def add(self, poses: F64, labels: Sequence[str] = (), places: F64 | None = None, yaw: F64 | None = None) -> None:
        """Append frames; without `places` or `yaw` the person stays where it is."""
        row = np.zeros(len(LABELS), np.float32)
        for name in labels:
            row[LABEL[name]] = 1
        place, direction = self.places[-1], self.yaw[-1]
        for i, each in enumerate(poses):
            self.poses.append(each)
            self.labels.append(row.copy())
            self.places.append(place if places is None else places[i])
            self.yaw.append(direction if yaw is None else yaw[i])

    def move(
        self,
        target: F64,
        seconds: float,
        labels: Sequence[str] = (),
        ease: str = "smooth",
        *,
        by: F64 | None = None,
        turn: float = 0.0,
        noise: float = _STEADY,
    ) -> None:
        """Move to a pose.

        Args:
            target: the pose; noise is added.
            seconds: how long it takes.
            labels: of the frames.
            ease: "smooth", "gaining" (as what topples), "braking" or "even".
            by: meters [2] that the person moves meanwhile.
            turn: radians that the person turns meanwhile.
            noise: standard deviation of the angles.
        """
        count = max(2, round(seconds * FPS))
        u = np.arange(1, count + 1) / count
        if ease == "smooth":
            share = u * u * u * (10 - 15 * u + 6 * u * u)
        elif ease == "gaining":
            share = u ** self.rng.uniform(1.6, 2.8)
        else:
            share = 1 - (1 - u) ** 2 if ease == "braking" else u
        reached = target + self.rng.normal(0, noise, len(FREE)) * FREE
        poses = self.now + (reached - self.now) * share[:, None]
        places = None if by is None else self.places[-1] + np.outer(share, by)
        self.add(poses, labels, places, self.yaw[-1] + share * turn if turn else None)

    def mark(self, label: str, frame: int, half_s: float = 0.2) -> None:
        """Set a label around a frame."""
        for i in range(max(0, int(frame - half_s * FPS)), min(self.frames, int(frame + half_s * FPS) + 1)):
            self.labels[i][LABEL[label]] = 1

    def also(self, label: str, first: int) -> None:
        """Set a label from a frame on to the end."""
        for i in range(first, self.frames):
            self.labels[i][LABEL[label]] = 1

    def hold(self, seconds: float, labels: Sequence[str], sway: float = 0.02) -> None:
        """Stay in the pose, with slow movements of about `sway` radians."""
        count = max(1, round(seconds * FPS))
        times, moved = np.arange(count) / FPS, np.zeros((count, len(FREE)))
        for speed in (0.25, 0.5, 0.85):
            wave = np.sin(2 * np.pi * speed * times + self.rng.uniform(0, 6))
            moved = moved + np.outer(wave, self.rng.normal(0, sway, len(FREE)) * FREE)
        edge = np.minimum(1, np.minimum(times, times[::-1]) / 0.5)[:, None] if count > 2 else 0
        self.add(self.now + moved * edge, labels)

    def face(self, target: F64, seconds: float | None = None) -> None:
        """Turn towards a place."""
        way = np.asarray(target) - self.places[-1]
        if np.hypot(*way) < 0.05:
            return
        turn = (np.arctan2(way[1], way[0]) - self.yaw[-1] + np.pi) % (2 * np.pi) - np.pi
        if abs(turn) > 0.25:
            label = "turn" if abs(turn) > 1 else "walk"
            self.move(STAND, seconds or (0.2 + 0.35 * abs(turn)), [label], turn=turn, noise=0.05)

    def walk(self, target: F64, speed: float | None = None, limit_s: float | None = None) -> None:
        """Walk or, above 2.2 m/s, run to a place, for at most `limit_s` seconds."""
        rng = self.rng
        self.face(target)
        way = np.asarray(target) - self.places[-1]
        distance = np.hypot(*way)
        speed = speed or rng.uniform(0.6, 1.6)
        count = max(3, round(distance / speed * FPS))
        if limit_s:
            count = min(count, round(limit_s * FPS))
        runs, times = speed > 2.2, np.arange(1, count + 1) / FPS
        steps = rng.uniform(1.3, 1.7) if runs else 0.9 + 0.45 * (speed - 1.0)
        phase = 2 * np.pi * steps * times + rng.uniform(0, 6)
        swing = np.clip(0.42 * speed / 1.2, 0.2, 0.9)
        edge = np.minimum(1, np.minimum(times, times[-1] - times + 0.05) / 0.3)
        poses = np.tile(STAND + rng.normal(0, 0.03, len(FREE)) * FREE, (count, 1))
        for hip, knee, shoulder, shift in _LIMBS:
            forward = edge * swing * np.sin(phase + shift)
            poses[:, INDEX[hip]] += forward
            lifted = np.maximum(0, np.cos(phase + shift))
            poses[:, INDEX[knee]] += edge * (swing * 1.1) * lifted * (1.5 if runs else 1)
            poses[:, INDEX[shoulder]] += forward * 0.8
        poses[:, INDEX["pitch"]] += 0.2 if runs else 0.04
        poses[:, [INDEX["hip_l"], INDEX["hip_r"]]] += 0.04
        if runs:
            poses[:, [INDEX["elbow_l"], INDEX["elbow_r"]]] = 1.4
            poses[:, INDEX["jump"]] = edge * 0.06 * np.abs(np.sin(phase))
        if self.carries:
            poses[:, [INDEX["shoulder_l"], INDEX["shoulder_r"]]] = 0.7
            poses[:, [INDEX["elbow_l"], INDEX["elbow_r"]]] = 1.2
        share = np.minimum(1, times / 0.25)[:, None]
        poses = self.now * (1 - share) + poses * share
        done = np.minimum(times * speed / max(distance, 1e-3), 1)
        self.add(poses, ["run" if runs else "walk"], self.places[-1] + np.outer(done, way))
        self.move(STAND, 0.3, ["walk"])
        self.state = "stand"
