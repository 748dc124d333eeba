"""The training objective of the backbone: clicks if there are any, and the footage itself.

Clicks: cross-entropy at clicked snippets and at background between clicks, by the rules of
training/objectives/points.py, through a small temporal head that is discarded after training. Footage: the features of
a snippet predict where and how strongly the picture changes in later snippets. Optionally VICReg (Bardes, Ponce and
LeCun, ICLR 2022), which makes the features of two augmented views of a clip similar and those of different clips
different.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from ..arrays import F16, F32, I64
from ..data.videos import Sample
from ..objectives.point_targets import even_targets
from ..records import Record
from .augment import augment
from .config import BackboneConfig
from .frames import span_maps
from .motion import CHANGES
from .net import GRID, BackboneNet, channel_grid, recent_maps
from .spans import ClickedSpan

_AHEAD = (1, 2, 4, 8)  # snippets ahead whose motion is predicted


class ClickHead(nn.Module):
    """Features [B, S, D] -> logits [B, S, C + 1]; each covers `head_kernel` snippets. Used in training only."""

    def __init__(self, config: BackboneConfig, classes: int) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.norm = nn.BatchNorm1d(config.dim)
        self.hidden = nn.Conv1d(config.dim, config.hidden, config.head_kernel, padding=config.head_kernel // 2)
        self.output = nn.Conv1d(config.hidden, classes + 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        x = fn.dropout(self.norm(features.transpose(1, 2)), self.dropout, self.training)
        x = fn.dropout(fn.relu(self.hidden(x)), self.dropout, self.training)
        logits: Tensor = self.output(x).transpose(1, 2)
        return logits


class BackboneModule(nn.Module):
    """The network and the heads that only training uses."""

    def __init__(self, config: BackboneConfig, classes: int) -> None:
        super().__init__()
        self.net = BackboneNet(config)
        self.click = ClickHead(config, classes) if classes and config.click_weight else None
        self.ahead = nn.Linear(config.dim, len(_AHEAD) * GRID[0] * GRID[1]) if config.motion_weight else None
        self.project = None
        if config.view_weight:
            self.project = nn.Sequential(
                nn.Linear(config.dim, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 128)
            )


class BackboneTask:
    """Trains a `BackboneModule`; implements `engine.task.Task`. Windows are drawn evenly over all snippets."""

    name = "backbone"

    def __init__(
        self, module: BackboneModule, parts: Sequence[ClickedSpan], classes: int, config: BackboneConfig
    ) -> None:
        self.module, self.config, self.parts, self.classes = module, config, parts, classes
        size = config.snippet_frames
        self.maps: list[F16] = [span_maps(part.span, config.floor) for part in parts]
        self.length: I64 = np.array([len(p.span.frames) // size for p in parts], np.int64)
        clicks = sum(len(p.clicks) for p in parts) if classes else 0
        self.steps = config.planned_steps(int(self.length.sum()), clicks)
        self.targets = self._targets() if module.click is not None else None
        self.describe: Record = {
            "spans": len(parts),
            "snippets": int(self.length.sum()),
            "clicks": sum(len(p.clicks) for p in parts),
        }

    def step_loss(self, step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        config, module = self.config, self.module
        picked = rng.choice(len(self.parts), config.batch, p=self.length / self.length.sum())
        first = [self._first(int(i), rng) for i in picked]
        maps = torch.stack([self._window(int(i), at, rng) for i, at in zip(picked, first, strict=True)])
        features = self._embed(maps)
        loss, terms = features.new_zeros(()), {}
        if module.click is not None:
            part = self._click_loss(module.click(features), picked, first)
            loss, terms["click"] = loss + config.click_weight * part, float(part.detach())
        if module.ahead is not None:
            part = self._motion_loss(module.ahead(features), maps)
            loss, terms["motion"] = loss + config.motion_weight * part, float(part.detach())
        if module.project is not None:
            other = torch.stack([self._window(int(i), at, rng) for i, at in zip(picked, first, strict=True)])
            again = self._embed(other)
            part = vicreg(module.project(features.flatten(0, 1)), module.project(again.flatten(0, 1)))
            loss, terms["views"] = loss + config.view_weight * part, float(part.detach())
        return loss, terms

    def criterion(self) -> float:
        """Unused: the weights of the last step are kept."""
        return 0.0

    def extra_state(self) -> dict[str, Tensor]:
        return {}

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        """No state passes from step to step."""

    def _first(self, index: int, rng: np.random.Generator) -> int:
        """First snippet of a window: inside the span if that is long enough, else around it."""
        spare = int(self.length[index]) - self.config.window
        return int(rng.integers(min(0, spare), max(0, spare) + 1))

    def _embed(self, maps: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.bfloat16):
            features: Tensor = self.module.net.embed(maps)
        return features.float()

    def _window(self, index: int, first: int, rng: np.random.Generator) -> Tensor:
        """Augmented motion maps [F, CHANNELS, h, w] of a window; beyond the span nothing moves."""
        config, maps = self.config, self.maps[index]
        end = (first + config.window) * config.snippet_frames
        begin = (first + 1) * config.snippet_frames - config.reach
        low, high = min(max(begin, 0), len(maps) - 1), min(max(end, 1), len(maps))
        inside = torch.from_numpy(np.asarray(maps[low:high], np.float32))
        at = np.clip(np.arange(begin, end) - low, 0, high - low - 1)
        return augment(inside, config.augmentation, rng)[torch.from_numpy(at)]

    def _click_loss(self, logits: Tensor, picked: I64, first: Sequence[int]) -> Tensor:
        targets = np.zeros((len(picked), self.config.window, self.classes + 1), np.float32)
        for row, (index, at) in enumerate(zip(picked, first, strict=True)):
            rows = self._rows(int(index))
            inside = slice(max(at, 0), min(at + self.config.window, len(rows)))
            targets[row, inside.start - at : inside.stop - at] = rows[inside]
        target = torch.from_numpy(targets)
        summed = -(target * torch.log_softmax(logits, dim=-1)).sum()
        return summed / target.sum().clamp(min=1e-3)

    def _rows(self, index: int) -> F32:
        if self.targets is None:
            raise RuntimeError("the module has no click head")
        return self.targets[index]

    def _motion_loss(self, predicted: Tensor, maps: Tensor) -> Tensor:
        with torch.no_grad():
            grids = channel_grid(recent_maps(maps, self.config), CHANGES[-1])
            grids = (grids - grids.mean()) / (grids.std() + 0.1)
        predicted = predicted.unflatten(-1, (len(_AHEAD), -1))
        ahead = [h for h in _AHEAD if h < self.config.window]
        parts = [fn.mse_loss(predicted[:, :-h, k], grids[:, h:]) for k, h in enumerate(ahead)]
        return torch.stack(parts).mean()

    def _targets(self) -> list[F32]:
        """Click targets [T, C + 1] of every span; zero in unlabeled footage."""
        labeled = [i for i, part in enumerate(self.parts) if part.labeled]
        samples = []
        for i in labeled:
            part = self.parts[i]
            no_features = np.zeros((int(self.length[i]), 1), np.float32)
            samples.append(
                Sample(part.span.video, no_features, part.span.start_s, part.clicks, part.background, part.partly)
            )
        targets = [np.zeros((int(n), self.classes + 1), np.float32) for n in self.length]
        for i, rows in zip(labeled, even_targets(samples, self.config.objective, self.classes), strict=True):
            targets[i] = rows
        return targets


def vicreg(a: Tensor, b: Tensor) -> Tensor:
    """VICReg of two views [N, D]: invariance, variance and covariance terms, the published weights divided by 25."""
    loss = fn.mse_loss(a, b)
    for z in (a, b):
        z = z - z.mean(0)
        loss = loss + 0.5 * fn.relu(1.0 - torch.sqrt(z.var(0) + 1e-4)).mean()
        covariance = (z.T @ z) / max(len(z) - 1, 1)
        off = covariance.pow(2).sum() - covariance.diagonal().pow(2).sum()
        loss = loss + 0.02 * off / z.shape[1]
    return loss
