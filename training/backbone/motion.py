"""Motion maps: the input of the backbone, so that so small a network does not have to learn motion itself.

Optical flow by least squares (Lucas and Kanade, IJCAI 1981) on two scales, regularized towards zero where there is
little structure. Beside the flow: the strength of the change, the part of it that the flow does not explain, the
amount of structure, and local contrast. Intensity enters as its logarithm minus the mean over the picture, so exposure
and flicker have no effect. Nothing here has weights.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as fn

CHANNELS = 11
MAPS_VERSION = 1
FLOWS = ((0, 1), (5, 6))
"""Channels of the flow to the right and down, on the fine and the coarse scale: cells per frame, below 4."""
CHANGES = (2, 7)
"""Channels of the logarithm of the strength of the change, on the fine and the coarse scale."""
_GAIN = 4.0  # keeps squares of small slopes in the range of half precision
_REST = 0.008  # regularization of the flow: about the squared slopes of noise
_BEND = 0.01  # regularization relative to the slopes: motion along a straight edge is not visible
_MAX_FLOW = 4.0  # cells per frame
_EPSILON = 1.6e-4  # added before logarithms


def log_light(frames: Tensor, floor: float) -> Tensor:
    """Intensity in 0..1 -> its logarithm. floor: intensity treated as black."""
    return torch.log(frames.clamp(min=0.0) + floor)


def motion_maps(light: Tensor) -> Tensor:
    """Log intensity [N, F, H, W], H and W even -> one map per pair of frames [N, F - 1, CHANNELS, H / 2, W / 2]."""
    fine = _GAIN * _smooth(light - light.mean((2, 3), keepdim=True))
    coarse = fn.avg_pool2d(fine, 2)
    level = coarse
    for _ in range(4):
        level = _box(level)
    return torch.stack([*_flow(fine, halve=True), *_flow(coarse, halve=False), (coarse - level)[:, 1:] / _GAIN], dim=2)


def _flow(light: Tensor, *, halve: bool) -> list[Tensor]:
    """Frames [N, F, h, w] -> five maps [N, F - 1, h, w]: flow, change, residual, structure; halve: half size."""
    middle, moved = (light[:, 1:] + light[:, :-1]) / 2, light[:, 1:] - light[:, :-1]
    right, down = _slopes(middle)
    moments = torch.cat([right * right, down * down, right * down, right * moved, down * moved, moved * moved], dim=1)
    moments = _box(fn.avg_pool2d(moments, 2) if halve else moments)
    xx, yy, xy, xt, yt, tt = moments.chunk(6, dim=1)
    rest = _REST + _BEND * (xx + yy)
    scale = (xx + rest) * (yy + rest) - xy * xy
    x, y = (xy * yt - (yy + rest) * xt) / scale, (xy * xt - (xx + rest) * yt) / scale
    left = (tt + x * xt + y * yt).clamp(min=0.0)
    bound = 1.0 / (1.0 + torch.sqrt(x * x + y * y) / _MAX_FLOW)
    logs = [0.5 * torch.log(part + _EPSILON) + 3.0 for part in (tt, left)]
    return [x * bound, y * bound, *logs, 0.5 * torch.log(xx + yy + 10 * _EPSILON) + 2.0]


def _slopes(light: Tensor) -> tuple[Tensor, Tensor]:
    wide = fn.pad(light, (1, 1, 1, 1), mode="replicate")
    return (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2, (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2


def _smooth(x: Tensor) -> Tensor:
    """Smoothing with weights 1, 2, 1 in both directions."""
    x = fn.pad(x, (1, 1, 1, 1), mode="replicate")
    x = x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]
    return (x[..., :-2, :] + 2 * x[..., 1:-1, :] + x[..., 2:, :]) / 16


def _box(x: Tensor) -> Tensor:
    """Mean over 3 x 3 cells."""
    x = fn.pad(x, (1, 1, 1, 1), mode="replicate")
    x = x[..., :-2] + x[..., 1:-1] + x[..., 2:]
    return (x[..., :-2, :] + x[..., 1:-1, :] + x[..., 2:, :]) / 9
