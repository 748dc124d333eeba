"""Augmentation of motion maps: shift, scale, mirror, rotation, noise, a hidden patch."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as fn

from .config import Augmentation
from .motion import FLOWS


def augment(maps: Tensor, rule: Augmentation, rng: np.random.Generator) -> Tensor:
    """Augment one window; the flow channels are rotated, scaled and mirrored with the picture.

    Args:
        maps: float32 [T, CHANNELS, h, w].
        rule: the recipe's augmentation.
        rng: source of all draws; one draw holds for all times.

    Returns:
        The same shape.
    """
    count, channels, height, width = maps.shape
    place, flow = _placement(rule, rng, height / width)
    grid = fn.affine_grid(place[None], [1, 1, height, width], align_corners=False)
    flat = maps.reshape(1, count * channels, height, width)
    moved = fn.grid_sample(flat, grid, padding_mode="reflection", align_corners=False).view(maps.shape)
    result = moved.clone()
    for x, y in FLOWS:
        result[:, x] = flow[0, 0] * moved[:, x] + flow[0, 1] * moved[:, y]
        result[:, y] = flow[1, 0] * moved[:, x] + flow[1, 1] * moved[:, y]
    if rule.grain > 0:
        noise = torch.from_numpy(rng.standard_normal(result.shape, dtype=np.float32))
        result += rng.uniform(0.0, rule.grain) * noise
    if rng.random() < rule.hide:
        top, left = int(rng.integers(0, 3 * height // 4)), int(rng.integers(0, 3 * width // 4))
        patch = result[:, :, top : top + height // 4, left : left + width // 4]
        patch[:] = result.mean((0, 2, 3))[None, :, None, None]
    return result


def _placement(rule: Augmentation, rng: np.random.Generator, shape: float) -> tuple[Tensor, Tensor]:
    """A random affine map.

    Args:
        rule: the recipe's augmentation.
        rng: source of all draws.
        shape: height over width; keeps angles in a rotation.

    Returns:
        The map from pixels of the result to the source [2, 3], in half images, and the map of flow vectors [2, 2].
    """
    scale, aspect = math.exp(rng.uniform(-rule.zoom, rule.zoom)), math.exp(rng.uniform(-rule.aspect, rule.aspect))
    angle = rng.uniform(-rule.turn, rule.turn)
    mirror = -1.0 if rule.mirror and rng.random() < 0.5 else 1.0
    x, y = rng.uniform(-rule.shift, rule.shift, 2)
    c, s = math.cos(angle) * scale, math.sin(angle) * scale
    pixels = np.array([[mirror * c * aspect, -s], [mirror * s, c / aspect]])
    units = pixels * np.array([[1.0, shape], [1.0 / shape, 1.0]])
    place = torch.tensor(np.column_stack([units, [x, y]]), dtype=torch.float32)
    return place, torch.tensor(np.linalg.inv(pixels), dtype=torch.float32)
