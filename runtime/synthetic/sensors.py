"""Procedural untrimmed sensor sequences: six kinds of action on a drifting, noisy background with near misses.

A fictional wearable sensor with eight channels at 10 snippets per second. Each class has a pattern over channels and
time; duration, strength and offset vary. Near misses use the channels of a class with a different course in time.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datatypes import by_value
from ..files.atomic import atomic_folder

F32 = npt.NDArray[np.float32]
LABELS = ("lift", "swipe", "shake", "press", "twist", "wave")
CHANNELS = 8
STRIDE_S = 0.1
_SECONDS = (1.6, 0.8, 2.4, 0.6, 1.4, 3.2)  # typical length per class
_LONGER = (2.6, 1.4, 3.4, 1.6, 2.4, 4.2)  # the same for actions that touch


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sequence:
    """Features float32 [T, 8], and the true actions (label index, start_s, end_s) in time order."""

    features: F32
    actions: tuple[tuple[int, float, float], ...]


def _course(label: int, phase: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """Strength of the four channels of a class over its phase (0 to 1), [n, 4]."""
    bump = np.sin(np.pi * phase)
    swing = np.sin(2 * np.pi * phase)
    fast = np.sin(2 * np.pi * 5 * phase)
    slow = np.sin(2 * np.pi * 2 * phase)
    return {
        0: np.stack([bump, phase, bump**2, 0.3 * swing], 1),
        1: np.stack([swing, bump, -swing, 0.2 * bump], 1),
        2: np.stack([fast * bump, bump, 0.5 * fast, bump], 1),
        3: np.stack([bump**3, -bump, 0.5 * bump, bump], 1),
        4: np.stack([swing * bump, -bump, phase * bump, bump], 1),
        5: np.stack([slow, bump, 0.6 * slow, -bump], 1),
    }[label]


def make_sequence(seed: int, *, seconds: float = 90.0, back_to_back: bool = False) -> Sequence:
    """Make a sequence. The same arguments give the same sequence.

    Args:
        seed: Seed of the generator.
        seconds: Length.
        back_to_back: Each action begins where the one before ends. There are no near misses; actions are longer, their
            lengths vary more, and there is more noise.
    """
    typical, spread, noise = (_LONGER, 0.4, 0.6) if back_to_back else (_SECONDS, 0.25, 0.45)
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(20260101).normal(
        0, 1, (len(LABELS), 4, CHANNELS)
    )  # the sensor, which is the same for all sequences
    total = round(seconds / STRIDE_S)
    times = (np.arange(total) + 0.5) * STRIDE_S
    drift = np.cumsum(rng.normal(0, 0.03, (total, CHANNELS)), axis=0)
    signal = drift - drift.mean(axis=0) + rng.normal(0, noise, (total, CHANNELS))
    actions: list[tuple[int, float, float]] = []
    clock = rng.uniform(1.0, 4.0)
    while clock < seconds - 6.0:
        label = int(rng.integers(len(LABELS)))
        length = typical[label] * math.exp(rng.normal(0, spread))
        inside = (times >= clock) & (times < clock + length)
        phase = (times[inside] - clock) / length
        strength = rng.uniform(0.8, 1.4)
        if not back_to_back and rng.random() < 0.25:  # near miss: same channels, wrong course
            shape = np.full((len(phase), 4), rng.normal(0, 0.5, 4)) * np.sin(np.pi * phase)[:, None]
        else:
            shape = _course(label, phase)
            actions.append((label, float(clock), float(clock + length)))
        signal[inside] += strength * shape @ mixing[label]
        clock += length if back_to_back else length + rng.gamma(2.0, 1.2) + 0.2
    return Sequence(signal.astype(np.float32), tuple(actions))


def write_demo_dataset(
    folder: str | Path, *, videos: int, seed: int, seconds: float = 90.0, back_to_back: bool = False
) -> None:
    """Write a data set of synthetic sequences, three quarters for training, with one simulated click per action.

    The position of a click in its action is normally distributed with a standard deviation of 0.2 of the length.

    Args:
        folder: The folder to write.
        videos: Number of sequences.
        seed: Seed of the generator.
        seconds: Length of each sequence.
        back_to_back: As in `make_sequence`.
    """
    rng = np.random.default_rng(seed)
    fps = 1.0 / STRIDE_S
    names = [f"seq_{seed}_{i:03d}" for i in range(videos)]
    database, rows = {}, ["class,video_id,point"]
    with atomic_folder(folder) as draft:
        (draft / "features").mkdir()
        for i, name in enumerate(names):
            sequence = make_sequence(seed * 100_000 + i, seconds=seconds, back_to_back=back_to_back)
            np.save(draft / "features" / f"{name}.npy", sequence.features)
            database[name] = {
                "duration": seconds,
                "annotations": [
                    {"label": LABELS[c], "segment": [round(a, 4), round(b, 4)]} for c, a, b in sequence.actions
                ],
            }
            for c, a, b in sequence.actions:
                place = float(np.clip(rng.normal(0.5, 0.2), 0.02, 0.98))
                rows.append(f"{LABELS[c]},{name},{(a + place * (b - a)) * fps:.2f}")
        info = {"name": "demo", "classes": list(LABELS), "fps": fps, "snippet_frames": 1, "feature_dim": CHANNELS}
        (draft / "dataset.json").write_text(json.dumps(info, indent=1) + "\n")
        (draft / "gt.json").write_text(json.dumps({"database": database}) + "\n")
        (draft / "points.csv").write_text("\n".join(rows) + "\n")
        cut = max(1, round(0.75 * videos))
        (draft / "train.txt").write_text("\n".join(names[:cut]) + "\n")
        (draft / "test.txt").write_text("\n".join(names[cut:]) + "\n")
