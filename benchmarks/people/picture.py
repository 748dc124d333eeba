"""What a camera records of a clip: exposure, darkness, noise, denoising, compression and low frame rates."""

from __future__ import annotations

import numpy as np

from .clip import RATE
from .labels import LABEL
from .raster import F32

_DARK = 0.35  # share of dark recordings


def develop(frames: F32, labels: F32, rng: np.random.Generator) -> tuple[F32, F32]:
    """Frames in 0..1 as recorded, and the labels with those of the picture added.

    Args:
        frames: light [T, 48, 64].
        labels: [T, L].
        rng: source of all draws.
    """
    labels, dark = labels.copy(), rng.random() < _DARK
    gain = np.exp(rng.uniform(np.log(0.05), np.log(0.35))) if dark else rng.uniform(0.45, 1.3)
    light = _with_lamps(frames, labels, rng)
    gamma = rng.uniform(0.7, 1.15) if dark else rng.uniform(0.55, 1.3)
    image = np.clip(light * gain, 0, 1) ** gamma
    if rng.random() < 0.3:  # contrast, or stray light in the dark
        image = image + rng.uniform(0, 0.06) if dark else np.clip((image - 0.5) * rng.uniform(0.6, 1.4) + 0.5, 0, 1)
    sigma = np.exp(rng.uniform(np.log(0.0008), np.log(0.012))) * (1.5 if dark else 1)
    image = image + rng.normal(0, 1, image.shape) * np.sqrt(sigma * sigma * (0.4 + 2 * image))
    return _encoded(np.clip(image, 0, 1).astype(np.float32), rng), labels


def _with_lamps(light: F32, labels: F32, rng: np.random.Generator) -> F32:
    """Light that changes once, a screen that flickers, or lamps on alternating current."""
    count = len(light)
    if rng.random() < 0.15:
        at, slow = rng.integers(count), max(1, int(rng.choice([1, 3, 15])))
        change = 1 + (rng.uniform(0.3, 2.5) - 1) * np.clip((np.arange(count) - at) / slow, 0, 1)
        light = light * change[:, None, None]
        labels[max(0, at - 2) : at + slow + 2, LABEL["light_change"]] = 1
    if rng.random() < 0.12:
        top, left = rng.integers(0, 36), rng.integers(0, 52)
        strength = np.repeat(rng.uniform(0.4, 1.6, count), rng.integers(1, 8))[:count]
        light = light.copy()
        light[:, top : top + rng.integers(4, 12), left : left + rng.integers(4, 12)] *= strength[:, None, None]
        labels[:, LABEL["flicker"]] = 1
    if rng.random() < 0.25:
        wave = 1 + 0.03 * np.sin(2 * np.pi * rng.uniform(0.1, 4) * np.arange(count) / RATE)
        light = light * wave[:, None, None]
    return np.clip(light, 0, None).astype(np.float32)


def _encoded(image: F32, rng: np.random.Generator) -> F32:
    """Denoising over time, blur, changes that the encoder leaves out, repeated frames, and few shades of gray."""
    count = len(image)
    if rng.random() < 0.35:
        share = rng.uniform(0.4, 0.85)
        for i in range(1, count):
            image[i] = share * image[i] + (1 - share) * image[i - 1]
    if rng.random() < 0.3:
        image = (image + np.roll(image, 1, 1) + np.roll(image, 1, 2) + np.roll(image, (1, 1), (1, 2))) / 4
    if rng.random() < 0.5:
        least = np.exp(rng.uniform(np.log(0.004), np.log(0.03))) * (image.mean() * 1.5 + 0.2)
        every, side = int(rng.choice([5, 12, 30, 120])), int(rng.choice([1, 2, 4]))
        for i in range(1, count):
            if i % every:
                changed = np.abs(image[i] - image[i - 1]).reshape(48 // side, side, 64 // side, side).mean((1, 3))
                same = np.kron(changed < least / (1 if side == 1 else 1.5), np.ones((side, side), bool))
                image[i] = np.where(same, image[i - 1], image[i])
    if rng.random() < 0.12:
        repeated = int(rng.choice([2, 3]))
        image = image[np.arange(count) // repeated * repeated]
    shades = 255.0 if rng.random() < 0.7 else 64.0
    return np.clip(np.round(image * shades) / shades, 0, 1).astype(np.float32)
