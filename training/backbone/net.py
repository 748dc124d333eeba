"""The backbone: a clip of gray frames -> one feature row. Small enough to train on a CPU in minutes.

Motion maps (motion.py) are followed by convolutions that alternate between space and time. Motion of the last one or
two seconds is combined at each place before the picture is pooled, so several people who move at the same time stay
apart. The network is convolutional in time: a window of maps gives one row per snippet, a clip exactly one, and the
values are the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from .config import BackboneConfig
from .motion import CHANGES, CHANNELS, FLOWS, log_light, motion_maps

GRID = (4, 4)
"""Rows and columns of the grid on which the strength of changes is averaged."""
_TOP_SHARE = 64  # the mean of a channel's largest values is taken over 1 / 64 of the cells


class BackboneNet(nn.Module):
    """clips [N, T, 1, H, W] in 0..1 -> features [N, D]; the last 72 columns are not learned (`motion_summary`)."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.config, width = config, config.channels
        self.norm = nn.BatchNorm2d(CHANNELS, affine=False)
        self.layers = nn.ModuleList(
            [
                _space(CHANNELS, 2 * width, stride=2),
                _time(2 * width, 3 * width, kernel=2 * config.snippet_frames, stride=config.snippet_frames),
                _space(3 * width, 3 * width),
                _time(3 * width, 3 * width),
                _space(3 * width, 4 * width, stride=2),
                _time(4 * width, 4 * width),
                _space(4 * width, 4 * width),
                _time(4 * width, 6 * width),
            ]
        )
        self.out = nn.Linear(12 * width, config.dim)

    def forward(self, clips: Tensor) -> Tensor:
        return self.describe(motion_maps(log_light(clips[:, :, 0], self.config.floor)))[:, 0]

    def describe(self, maps: Tensor) -> Tensor:
        """Motion maps [N, F, CHANNELS, h, w] -> features [N, S, D], one row per snippet."""
        learned = self.embed(maps)
        return torch.cat([learned, motion_summary(recent_maps(maps, self.config))], dim=2)

    def embed(self, maps: Tensor) -> Tensor:
        """The learned columns [N, S, dim]: a linear map of the mean and maximum over the picture."""
        x = self.norm(maps.flatten(0, 1)).unflatten(0, maps.shape[:2])
        for layer in self.layers:
            x = layer(x)
        mixed: Tensor = self.out(torch.cat([x.mean((3, 4)), x.amax((3, 4))], dim=2))
        return mixed


def recent_maps(maps: Tensor, config: BackboneConfig) -> Tensor:
    """Maps [N, F, CHANNELS, h, w] -> their mean over each snippet [N, S, CHANNELS, h, w]."""
    size = config.snippet_frames
    return maps[:, config.reach - size :].unflatten(1, (-1, size)).mean(2)


def motion_summary(maps: Tensor) -> Tensor:
    """The columns that are not learned, so few clicks cannot degrade them.

    Mean over the picture and over the cells with the largest values, of every channel and of flow in each direction;
    standard deviation of the coarse flow over the picture; strength of changes on a grid.

    Args:
        maps: [N, S, CHANNELS, h, w], one map per snippet.

    Returns:
        [N, S, 72].
    """
    ways = [fn.relu(sign * maps[:, :, c]) for flow in FLOWS for c in flow for sign in (1.0, -1.0)]
    wide = torch.cat([maps, torch.stack(ways, dim=2)], dim=2).flatten(3)
    top = wide.topk(max(wide.shape[3] // _TOP_SHARE, 1), dim=3).values.mean(3)
    last = FLOWS[-1]
    flow = maps[:, :, last[0] : last[1] + 1].flatten(3)
    spread = (flow - flow.mean(3, keepdim=True)).square().mean(3).add(1e-6).sqrt()
    return torch.cat([wide.mean(3), top, spread, *(channel_grid(maps, c) for c in CHANGES)], dim=2)


def channel_grid(maps: Tensor, channel: int) -> Tensor:
    """Maps [N, S, CHANNELS, h, w] -> means of one channel over the cells of a grid [N, S, GRID[0] * GRID[1]]."""
    cells: Tensor = fn.adaptive_avg_pool2d(maps[:, :, channel], GRID).flatten(2)
    return cells


class _Space(nn.Sequential):
    """Convolution over the picture, for every time: [N, F, C, h, w]."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = super().forward(x.flatten(0, 1))
        return y.unflatten(0, x.shape[:2])


class _Time(nn.Sequential):
    """Convolution over time without padding, for every place: run on pictures of F x (h w), which is fast on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = super().forward(x.transpose(1, 2).flatten(3))
        return y.unflatten(3, x.shape[3:]).transpose(1, 2)


def _space(inputs: int, outputs: int, *, stride: int = 1) -> _Space:
    return _Space(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def _time(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> _Time:
    convolution = nn.Conv2d(inputs, outputs, (kernel, 1), (stride, 1), bias=False)
    return _Time(convolution, nn.BatchNorm2d(outputs), nn.ReLU())
