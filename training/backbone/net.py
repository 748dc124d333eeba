"""The backbone: a clip of grey frames -> one feature row. Small enough to learn on a CPU in minutes.

What a network this small should not have to learn is built into the graph: light (logarithm of the intensity, minus
its local mean, over its spread in the clip) and motion (differences of successive frames). A plain 2-D network then
reads appearance and differences side by side as channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from .config import BackboneConfig

_STILL = 3e-3  # change of the log intensity below which nothing moves
MAP = (4, 5)  # cells of the map of motion
_SPREAD = 0.01  # variance that a clip is taken to have at least


class ClipFront(nn.Module):  # type: ignore[misc]
    """Log intensity [N, T, H, W] -> channels [N, K, H, W]: three normalised stills, then T - 1 differences."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.window, self.gain = config.local_window, config.motion_gain
        self.stills = sorted({0, config.clip_frames // 2, config.clip_frames - 1})
        self.channels = len(self.stills) + config.clip_frames - 1

    def forward(self, light: Tensor) -> Tensor:
        middle = light.mean(1, keepdim=True)
        local = fn.avg_pool2d(middle, self.window, 1, self.window // 2, count_include_pad=False)
        spread = torch.sqrt(((middle - local) ** 2).mean((2, 3), keepdim=True) + _SPREAD)
        stills = torch.cat([light[:, i : i + 1] for i in self.stills], dim=1)
        moved = (light[:, 1:] - light[:, :-1]) * self.gain
        return torch.cat([(stills - local) / spread, moved], dim=1)


class BackboneNet(nn.Module):  # type: ignore[misc]
    """clips [N, T, 1, H, W] in 0..1 -> features [N, dim], and a map of motion beside them where asked for."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.config, width = config, config.channels
        self.front = ClipFront(config)
        self.body = nn.Sequential(
            _layer(self.front.channels, width, kernel=5, stride=2),
            _layer(width, 2 * width, stride=2),
            _layer(2 * width, 3 * width, stride=2),
            _layer(3 * width, 4 * width),
        )
        self.out = nn.Linear(8 * width, config.dim)

    def forward(self, clips: Tensor) -> Tensor:
        return self.describe(self.light(clips[:, :, 0]))

    def light(self, frames: Tensor) -> Tensor:
        """What happens to every frame alone, so that training computes it once for overlapping clips."""
        return torch.log(frames.clamp(min=0.0) + self.config.floor)

    def describe(self, light: Tensor) -> Tensor:
        """`embed`, and after it the map of motion that needs no learning, so that few clicks cannot spoil it."""
        if not self.config.motion_map:
            return self.embed(light)
        moved = motion_map(light, self.config.snippet_frames)
        return torch.cat([self.embed(light), moved, moved.logsumexp(1, keepdim=True)], dim=1)

    def embed(self, light: Tensor) -> Tensor:
        """Log intensity [N, T, H, W] -> features [N, dim]: mean and maximum over the image, mixed."""
        maps = self.body(self.front(light))
        mixed: Tensor = self.out(torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1))
        return mixed


def motion_map(light: Tensor, frames: int) -> Tensor:
    """Log intensity [N, T, H, W] -> [N, 20]: how much the last `frames` changes amount to, by place, as a logarithm."""
    moved = (light[:, -frames:] - light[:, -frames - 1 : -1]).abs().mean(1, keepdim=True)
    return torch.log(fn.adaptive_avg_pool2d(moved, MAP).flatten(1) + _STILL)


def _layer(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())
