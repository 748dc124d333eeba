"""What a backbone as small as this should not have to learn: where what moves, which way and how fast.

Optical flow by least squares (Lucas and Kanade, 1981) on two scales: within a small window, the one motion that
explains the changes best, drawn towards rest where there is little structure. Beside the flow, how much changes, how
much of that no motion explains, how much structure there is, and local contrast. Light is a logarithm less its mean
over the picture, so neither exposure nor flicker counts. Nothing here has weights.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as fn

CHANNELS = 11
MAPS_VERSION = 1
FLOWS = ((0, 1), (5, 6))
"""Channels of the flow to the right and down: fine, coarse. Cells of their scale a frame, bounded below 4."""
CHANGES = (2, 7)
"""Channels of the logarithm of how much changes: fine, coarse."""
_GAIN = 4.0  # so that squares of small slopes are numbers that half precision holds
_REST = 0.008  # squared slopes below which flow is drawn towards rest: about the grain's
_BEND = 0.01  # the same as a part of the slopes: along a straight edge nobody sees motion
_FASTEST = 4.0
_LEAST = 1.6e-4  # added before logarithms


def log_light(frames: Tensor, floor: float) -> Tensor:
    """Intensity in 0..1 -> its logarithm; `floor` is taken for black."""
    return torch.log(frames.clamp(min=0.0) + floor)


def motion_maps(light: Tensor) -> Tensor:
    """Log intensity [N, F, H, W], even H and W -> [N, F - 1, CHANNELS, H / 2, W / 2], one map a pair of frames."""
    fine = _GAIN * _smooth(light - light.mean((2, 3), keepdim=True))
    coarse = fn.avg_pool2d(fine, 2)
    level = coarse
    for _ in range(4):
        level = _box(level)
    return torch.stack([*_flow(fine, halve=True), *_flow(coarse, halve=False), (coarse - level)[:, 1:] / _GAIN], dim=2)


def _flow(light: Tensor, *, halve: bool) -> list[Tensor]:
    """Five maps [N, F - 1, h, w] of frames [N, F, h, w]; `halve`: of half the size."""
    middle, moved = (light[:, 1:] + light[:, :-1]) / 2, light[:, 1:] - light[:, :-1]
    right, down = _slopes(middle)
    moments = torch.cat([right * right, down * down, right * down, right * moved, down * moved, moved * moved], dim=1)
    moments = _box(fn.avg_pool2d(moments, 2) if halve else moments)
    xx, yy, xy, xt, yt, tt = moments.chunk(6, dim=1)
    rest = _REST + _BEND * (xx + yy)
    scale = (xx + rest) * (yy + rest) - xy * xy
    x, y = (xy * yt - (yy + rest) * xt) / scale, (xy * xt - (xx + rest) * yt) / scale
    left = (tt + x * xt + y * yt).clamp(min=0.0)
    bound = 1.0 / (1.0 + torch.sqrt(x * x + y * y) / _FASTEST)
    logs = [0.5 * torch.log(part + _LEAST) + 3.0 for part in (tt, left)]
    return [x * bound, y * bound, *logs, 0.5 * torch.log(xx + yy + 10 * _LEAST) + 2.0]


def _slopes(light: Tensor) -> tuple[Tensor, Tensor]:
    wide = fn.pad(light, (1, 1, 1, 1), mode="replicate")
    return (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2, (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2


def _smooth(x: Tensor) -> Tensor:
    """Weights 1, 2, 1 both ways."""
    x = fn.pad(x, (1, 1, 1, 1), mode="replicate")
    x = x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]
    return (x[..., :-2, :] + 2 * x[..., 1:-1, :] + x[..., 2:, :]) / 16


def _box(x: Tensor) -> Tensor:
    """Mean of 3 x 3."""
    x = fn.pad(x, (1, 1, 1, 1), mode="replicate")
    x = x[..., :-2] + x[..., 1:-1] + x[..., 2:]
    return (x[..., :-2, :] + x[..., 1:-1, :] + x[..., 2:, :]) / 9
