"""Changes of a window of frames that an action survives: place, size, light, grain, a hidden patch."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as fn

from .config import Augmentation


def augment(frames: Tensor, rule: Augmentation, rng: np.random.Generator) -> Tensor:
    """frames float32 [T, H, W] in 0..1 -> the same shape. Every draw comes from `rng`; one change for all frames."""
    height, width = frames.shape[1:]
    grid = fn.affine_grid(_placement(rule, rng)[None], [1, 1, height, width], align_corners=False)
    frames = fn.grid_sample(frames[None], grid, padding_mode="reflection", align_corners=False)[0]
    gamma = math.exp(rng.uniform(-rule.gamma, rule.gamma))
    light = math.exp(rng.uniform(-rule.darken, min(rule.darken, 0.4))) if rng.random() < 0.5 else 1.0
    frames = frames.clamp(1e-4, 1.0) ** gamma * light
    grain = rng.uniform(0.0, rule.grain)
    if grain > 0:
        noise = torch.from_numpy(rng.standard_normal(frames.shape, dtype=np.float32))
        frames = frames + grain * noise
    if rng.random() < rule.hide:
        top, left = int(rng.integers(0, 3 * height // 4)), int(rng.integers(0, 3 * width // 4))
        frames[:, top : top + height // 4, left : left + width // 4] = frames.mean()
    return frames.clamp(0.0, 1.0)


def _placement(rule: Augmentation, rng: np.random.Generator) -> Tensor:
    """Where each pixel of the result lies in the source: [2, 3], in units of half the image."""
    scale, shape = math.exp(rng.uniform(-rule.zoom, rule.zoom)), math.exp(rng.uniform(-rule.aspect, rule.aspect))
    angle = rng.uniform(-rule.turn, rule.turn)
    mirror = -1.0 if rule.mirror and rng.random() < 0.5 else 1.0
    x, y = rng.uniform(-rule.shift, rule.shift, 2)
    c, s = math.cos(angle) * scale, math.sin(angle) * scale
    return torch.tensor([[mirror * c * shape, -s, x], [mirror * s, c / shape, y]], dtype=torch.float32)
