"""The locator: features [T, D] -> class track [T, C] and actionness [T], with a known receptive field.

The input is padded once, by the receptive field, and every convolution after that is unpadded. A window cut from a
video together with its context therefore gives exactly the values of the whole video, in training and in streaming.
With padding in each layer, the first `left` snippets of every window would differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from ..arrays import F32
from ..config import LocatorConfig, Normalisation

_BLOCK = 1 << 21  # values normalized at a time


class LocatorOutput(NamedTuple):
    """Of K members: logits [K, B, C + 1, W] (the last channel is background) and embedding [K, B, H, W]."""

    logits: Tensor
    embedding: Tensor


class FeatureNormalizer(nn.Module):
    """Scales x [..., D] to unit length (optional), then computes (x - mean) / deviation, clipped."""

    def __init__(self, config: Normalisation, *, dim: int) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("deviation", torch.ones(dim))

    def fit(self, features: list[Tensor]) -> None:
        """Take the statistics of training videos [T_i, D]. A constant dimension keeps deviation 1."""
        if not self.config.standardise:
            return
        count = sum(len(f) for f in features)
        mean = sum(part.sum(0) for part in self._blocks(features)) / count
        square = sum(((part - mean) ** 2).sum(0) for part in self._blocks(features)) / count
        deviation = torch.sqrt(square)
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation)))

    def _blocks(self, features: list[Tensor]) -> Iterator[Tensor]:
        """Rows as float64, a few at a time: all of them at once would take three times the features."""
        for rows in features:
            for part in rows.split(max(_BLOCK // rows.shape[1], 1)):
                yield self._unit(part.to(self.mean.device)).double()

    def normalized(self, features: F32) -> Tensor:
        """Features [T, D] as `forward` gives them, without intermediate results of their size."""
        out = torch.empty(features.shape, device=self.mean.device)
        size = max(_BLOCK // features.shape[1], 1)
        with torch.no_grad():
            for at in range(0, len(features), size):
                out[at : at + size] = self(torch.from_numpy(features[at : at + size]).to(out.device))
        return out

    def _unit(self, x: Tensor) -> Tensor:
        if not self.config.unit_length:
            return x
        return x / (torch.sqrt((x * x).sum(-1, keepdim=True)) + 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = self._unit(x)
        if self.config.standardise:
            x = (x - self.mean) / self.deviation
        if self.config.clip is not None:
            x = torch.clamp(x, -self.config.clip, self.config.clip)
        return x


class _Member(nn.Module):
    """One network: [B, D, left + W + right] -> logits [B, C + 1, W] and last hidden layer [B, H, W]."""

    def __init__(self, config: LocatorConfig, *, dim: int, classes: int, shifts: list[tuple[int, int]]) -> None:
        super().__init__()
        self.config, self.shifts = config, shifts
        width = config.embed or dim
        self.embed = nn.Conv1d(dim, config.embed, 1) if config.embed else None
        self.hidden, self.mix = nn.ModuleList(), nn.ModuleList()
        for layer in config.hidden:
            self.hidden.append(nn.Conv1d(width, layer.units, layer.kernel, dilation=layer.dilation))
            self.mix.append(nn.Conv1d(layer.units, layer.units, 1) if layer.residual else nn.Identity())
            width = layer.units
        self.output = nn.Conv1d(width, classes + 1, config.linear_kernel, bias=config.output_bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        config = self.config
        if self.training and config.input_dropout:
            keep = torch.rand(x.shape[0], x.shape[1], 1, device=x.device) >= config.input_dropout
            x = x * keep / (1.0 - config.input_dropout)
        h = x if self.embed is None else self.embed(x)
        for conv, mix, layer, (left, right) in zip(self.hidden, self.mix, config.hidden, self.shifts, strict=True):
            y = mix(fn.relu(conv(h)))
            if layer.residual:
                y = h[:, :, left : h.shape[2] - right] + fn.dropout1d(y, config.dropout, self.training)
            h = y
        dropped = fn.dropout(h, config.dropout, self.training) if config.hidden else h
        return self.output(dropped), h


class LocatorNet(nn.Module):
    """Features [T, D] -> class track P [T, C] and actionness A [T], both in 0..1.

    With a softmax over C classes and background (default), P are the class probabilities and A = 1 - background. With
    the sigmoid output of LACP (Lee and Byun, ICCV 2021), P = S * (1 - S_background) and
    A = 1 - S_background.
    """

    def __init__(self, config: LocatorConfig, *, dim: int, classes: int) -> None:
        super().__init__()
        self.config, self.dim, self.classes = config, dim, classes
        self.normalise = FeatureNormalizer(config.normalisation, dim=dim)
        spans = [(layer.kernel - 1) * layer.dilation for layer in config.hidden] + [config.linear_kernel - 1]
        budget = config.max_right
        # Smoothing gets its look-ahead first: without it, thresholds would cut at noise.
        self._smooth_right = []
        for _ in range(config.smooth):
            right, budget = _spend(2, budget)
            self._smooth_right.append(right)
        shifts = []
        for span in spans:
            right, budget = _spend(span, budget)
            shifts.append((span - right, right))
        self.left, self.right = sum(a for a, _ in shifts), sum(b for _, b in shifts)
        self.members = nn.ModuleList(
            _Member(config, dim=dim, classes=classes, shifts=shifts[:-1]) for _ in range(config.members)
        )

    @property
    def receptive_field(self) -> tuple[int, int]:
        """Snippets before and after a snippet that its scores depend on, including smoothing."""
        smooth = sum(self._smooth_right)
        return self.left + 2 * self.config.smooth - smooth, self.right + smooth

    @property
    def embedding_width(self) -> int:
        """Channels of the last hidden layer."""
        if self.config.hidden:
            return self.config.hidden[-1].units
        return self.config.embed or self.dim

    def windows(self, x: Tensor) -> LocatorOutput:
        """Normalized windows with context [B, left + W + right, D] -> outputs of the inner W snippets."""
        x = x.transpose(1, 2)
        outputs = [member(x) for member in self.members]
        return LocatorOutput(torch.stack([z for z, _ in outputs]), torch.stack([h for _, h in outputs]))

    def whole(self, x: Tensor) -> LocatorOutput:
        """Normalized videos [T, D] or [B, T, D] -> outputs [K, B, ., T]; features beyond the ends are 0."""
        padded = fn.pad(x, (0, 0, self.left, self.right))
        return self.windows(padded if x.dim() == 3 else padded[None])

    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits [..., C + 1, W] -> class probabilities and background, of the same shape."""
        if self.config.output == "softmax":
            return torch.softmax(logits, dim=-2)
        s = torch.sigmoid(logits)
        background = s[..., self.classes :, :]
        return torch.cat([s[..., : self.classes, :] * (1.0 - background), background], dim=-2)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features [T, D] -> [T, C] and [T]; a batch of windows of one length [B, T, D] -> [B, T, C] and [B, T]."""
        logits = self.whole(self.normalise(features)).logits
        tracks = self.probabilities(logits).mean(0)  # [B, C+1, T]
        for right in self._smooth_right:
            padded = fn.pad(tracks, (2 - right, right), mode="replicate")
            tracks = (padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]) / 3.0
        tracks = tracks.transpose(1, 2)
        if features.dim() == 2:
            tracks = tracks[0]
        return tracks[..., : self.classes], 1.0 - tracks[..., self.classes]


def _spend(span: int, budget: int | None) -> tuple[int, int | None]:
    """The part of a span of context that looks ahead, within the budget, and the budget that remains."""
    right = span // 2
    if budget is None:
        return right, None
    right = min(right, budget)
    return right, budget - right
