"""A deterministic engine with a receptive field, for tests of everything around the graphs."""

from __future__ import annotations

import numpy as np
from punctum.runtime import Localizer, PostProcess
from punctum.runtime.bundle.config import Fusion

LABELS = ("a", "b", "c")
DIM = 4


class SmoothingBackend:
    """Class track c = logistic of a smoothed channel c; the edges are padded with zeros, like a convolution's."""

    requested = actual = "fake"
    left, right = 3, 2

    def locate(self, features):
        kernel = np.array([0.1, 0.15, 0.2, 0.25, 0.2, 0.1])  # reaches 3 back and 2 ahead
        padded = np.pad(features.astype(np.float64), ((self.left, self.right), (0, 0)))
        smooth = sum(w * padded[k : k + len(features)] for k, w in enumerate(kernel))
        track = 1 / (1 + np.exp(-4 * (smooth[:, :3] - 0.5)))
        return track.astype(np.float32), track.max(axis=1).astype(np.float32)

    def score(self, features, tracks, segments, labels):
        length = np.maximum(segments[:, 1] - segments[:, 0], 1e-3)
        center = np.exp(-0.02 * length)
        probability = np.tile(np.linspace(0.5, 1.0, len(LABELS)), (len(labels), 1))
        return probability.astype(np.float32), np.ones(len(labels), np.float32), center.astype(np.float32)


CONTEXT = SmoothingBackend.left + SmoothingBackend.right


def step(features, states, ahead):
    """The same engine in steps. Its state is the context."""
    new, left = features.shape[1], SmoothingBackend.left
    rows = np.concatenate([states.reshape(len(states), CONTEXT, DIM), features], axis=1)
    found = [SmoothingBackend().locate(window) for window in rows]
    kept = slice(left, left + new + (SmoothingBackend.right if ahead else 0))
    tracks, actionness = (np.stack([part[kept] for part in parts]) for parts in zip(*found, strict=True))
    return tracks, actionness, rows[:, new:].reshape(states.shape)


class Stepper:
    """See `engine.Stepper`. run: such as `step`."""

    state_size = CONTEXT * DIM

    def __init__(self, run, *, ahead):
        self._run, self._ahead = run, ahead
        self.ahead = SmoothingBackend.right if ahead else 0

    def step(self, features, states):
        return self._run(features, states, self._ahead)


class SteppingBackend(SmoothingBackend):
    """The engine with windows and steps. shapes: of the features, by method."""

    def __init__(self):
        self.shapes = {"locate": [], "step": []}

    def locate(self, features):
        self.shapes["locate"].append(features.shape)
        return super().locate(features)

    def stepper(self, *, ahead):
        return Stepper(self.run_step, ahead=ahead)

    def run_step(self, features, states, ahead):
        self.shapes["step"].append(features.shape)
        return step(features, states, ahead)


def localizer(backend=None, *, overhang_s=0.0, **post) -> Localizer:
    """Around the fake engine, at 10 snippets a second."""
    settings = {"right_context_s": 0.5, "max_island_s": 3.0, "class_thresholds": (0.2, 0.4, 0.6, 0.8)} | post
    backend = backend or SmoothingBackend()
    return Localizer.from_parts(
        backend,
        labels=LABELS,
        dim=DIM,
        stride_s=0.1,
        post=PostProcess(**settings),
        receptive_field=(SmoothingBackend.left, SmoothingBackend.right),
        bundle_id="fake-1",
        overhang_s=overhang_s,
    )


WITH_HEAD = Fusion(class_probability=1, attention=1, center=1, contrast=1)


def recording(seed: int, length: int) -> np.ndarray:
    """Noise with plateaus: islands of every length, some longer than the longest allowed."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 0.3, (length, DIM))
    clock = 0
    while clock < length:
        size = int(rng.choice([1, 3, 8, 20, 70]))
        features[clock : clock + size, rng.integers(3)] += rng.uniform(0.5, 1.5)
        clock += size + int(rng.integers(0, 15))
    return features.astype(np.float32)
