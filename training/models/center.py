"""The center scorer: features, tracks and proposals -> class probability, attention, center score.

`CenterHead` is ours; `PublishedCenterHead` is the head of TSPNet (Xia et al., CVPR 2024; docs/method/tspnet.md) on
integral pooling instead of RoIAlign. Both have the signature of a bundle's center graph.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from ..config import CenterConfig
from .locator import FeatureNormalizer
from .pooling import SegmentPool


class Pooled(NamedTuple):
    """The input of a head for M proposals, pooled into B bins.

    Attributes:
        features: [M, B, D].
        tracks: [M, B, 2], the track of the proposal's class and actionness.
        length: [M, 1], in snippets.
    """

    features: Tensor
    tracks: Tensor
    length: Tensor

    def rows(self, index: Tensor) -> Pooled:
        """The proposals `index`."""
        return Pooled(self.features[index], self.tracks[index], self.length[index])


class HeadLogits(NamedTuple):
    """Outputs before softmax and sigmoid: classes [M, C + 1] (the last is background), attention [M], center [M]."""

    classes: Tensor
    attention: Tensor
    center: Tensor


class ProposalHead(nn.Module):
    """Pooling and output activations of both heads; a subclass computes logits from `Pooled`."""

    def __init__(self, config: CenterConfig, *, dim: int, classes: int, max_context: float) -> None:
        """Set up pooling.

        Args:
            config: the recipe's section.
            dim: columns of the features.
            classes: number of classes C.
            max_context: upper bound of the pooling context on each side, in snippets.
        """
        super().__init__()
        self.config, self.dim, self.classes = config, dim, classes
        self.pooling = SegmentPool(
            bins=config.bins,
            context=config.context,
            max_context=max_context,
            double=config.accumulate == "float64",
        )

    def prepare(self, features: Tensor) -> Tensor:
        """Features [T, D] as they enter pooling."""
        return features

    def pool(self, features: Tensor, tracks: Tensor, segments: Tensor, labels: Tensor) -> Pooled:
        """Pool features [T, D] and tracks [T, C + 1] over segments [M, 2] with labels [M]."""
        x = self.prepare(features)
        return self.split(self.pooling(torch.cat([x, tracks], dim=1), segments), segments, labels)

    def split(self, both: Tensor, segments: Tensor, labels: Tensor) -> Pooled:
        """Split pooled features and tracks [M, B, D + C + 1] of segments [M, 2] into what a head uses."""
        rest = both[:, :, self.dim :]
        own = torch.gather(rest, 2, labels[:, None, None].expand(-1, self.config.bins, 1))
        length = segments[:, 1:2] - segments[:, 0:1]
        return Pooled(both[:, :, : self.dim], torch.cat([own, rest[:, :, self.classes :]], dim=2), length)

    def member_logits(self, pooled: Pooled) -> list[HeadLogits]:
        """Logits of every member of the head."""
        raise NotImplementedError

    def center_score(self, pooled: Pooled) -> Tensor:
        """Center scores [M], the mean over members."""
        return torch.stack([torch.sigmoid(z.center) for z in self.member_logits(pooled)]).mean(0)

    def forward(
        self, features: Tensor, tracks: Tensor, segments: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Score proposals.

        Args:
            features: [T, D].
            tracks: [T, C + 1], class tracks and actionness.
            segments: [M, 2] in snippet-center coordinates.
            labels: [M], class indices.

        Returns:
            Class probability [M, C], attention [M], center score [M], all in 0..1.
        """
        logits = self.member_logits(self.pool(features, tracks, segments, labels))
        probability = torch.stack([torch.softmax(z.classes, dim=1) for z in logits]).mean(0)[:, : self.classes]
        attention = torch.stack([torch.sigmoid(z.attention) for z in logits]).mean(0)
        return probability, attention, torch.stack([torch.sigmoid(z.center) for z in logits]).mean(0)


class _Branch(nn.Module):
    """One member: `Pooled` and standardized logarithm of the length [M, 1] -> `HeadLogits`."""

    def __init__(self, config: CenterConfig, *, dim: int, classes: int) -> None:
        super().__init__()
        self.config, self.classes = config, classes
        self.embed = nn.Linear(dim, config.embed) if config.embed else None
        width = config.bins * ((config.embed or dim) + (2 if config.use_tracks else 0))
        self.hidden = nn.Linear(width + (1 if config.use_length else 0), config.hidden)
        self.output = nn.Linear(config.hidden, classes + 2 + (1 if config.attention else 0))

    def forward(self, pooled: Pooled, length: Tensor) -> HeadLogits:
        config, x = self.config, pooled.features
        if self.training and config.input_dropout:
            keep = torch.rand(x.shape[0], 1, x.shape[2], device=x.device) >= config.input_dropout
            x = x * keep / (1.0 - config.input_dropout)
        if self.embed is not None:
            x = self.embed(x)
        flat = [torch.cat([x, pooled.tracks], dim=2).flatten(1) if config.use_tracks else x.flatten(1)]
        if config.use_length:
            flat.append(length)
        hidden = fn.relu(self.hidden(torch.cat(flat, dim=1)))
        out = self.output(fn.dropout(hidden, config.dropout, self.training))
        c = self.classes + 1
        # Without attention the output is constant 1 (sigmoid of 30), so fusion and graphs need no special case.
        attention = out[:, c + 1] if config.attention else 0.0 * out[:, c] + 30.0
        return HeadLogits(out[:, :c], attention, out[:, c])


class CenterHead(ProposalHead):
    """Normalized features and tracks per bin, a small embedding, one hidden layer, outputs averaged over members."""

    def __init__(self, config: CenterConfig, *, dim: int, classes: int, max_context: float) -> None:
        super().__init__(config, dim=dim, classes=classes, max_context=max_context)
        self.normalise = FeatureNormalizer(config.normalisation, dim=dim)
        self.members = nn.ModuleList(_Branch(config, dim=dim, classes=classes) for _ in range(config.members))
        self.register_buffer("length_mean", torch.zeros(()))
        self.register_buffer("length_deviation", torch.ones(()))

    def fit(self, features: list[Tensor], lengths: Tensor) -> None:
        """Take statistics of the training videos [T_i, D] and of the proposals' lengths [N] in snippets."""
        self.normalise.fit(features)
        if len(lengths) > 1:
            logs = torch.log(torch.clamp(lengths, min=1e-3)).double()
            self.length_mean.copy_(logs.mean())
            self.length_deviation.copy_(torch.clamp(logs.std(correction=0), min=1e-3))

    def prepare(self, features: Tensor) -> Tensor:
        return self.normalise(features)

    def member_logits(self, pooled: Pooled) -> list[HeadLogits]:
        log = torch.log(torch.clamp(pooled.length, min=1e-3))
        length = (log - self.length_mean) / self.length_deviation
        return [member(pooled, length) for member in self.members]


class PublishedCenterHead(ProposalHead):
    """TSPNet's network: bin maxima as [mid - left, mid, mid - right], a layer of D, three branches of D // 2."""

    def __init__(self, config: CenterConfig, *, dim: int, classes: int, max_context: float) -> None:
        super().__init__(config, dim=dim, classes=classes, max_context=max_context)
        self.fusion = nn.Linear(3 * dim, dim)
        half = max(dim // 2, 1)
        self.classifier = self._branch(dim, half, classes + 1)
        self.attention = self._branch(dim, half, 1)
        self.center = self._branch(dim, half, 1)

    @staticmethod
    def _branch(dim: int, half: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(dim, half), nn.ReLU(), nn.Linear(half, outputs))

    def fuse(self, bins: Tensor) -> Tensor:
        """Pooled bins [M, B, D] -> fused features [M, D]."""
        q = bins.shape[1] // 6
        left, mid, right = (part.amax(1) for part in (bins[:, :q], bins[:, q : 5 * q], bins[:, 5 * q :]))
        return fn.relu(self.fusion(torch.cat([mid - left, mid, mid - right], dim=1)))

    def member_logits(self, pooled: Pooled) -> list[HeadLogits]:
        x = fn.dropout(self.fuse(pooled.features), self.config.dropout, self.training)
        return [HeadLogits(self.classifier(x), self.attention(x)[:, 0], self.center(x)[:, 0])]


def build_head(config: CenterConfig, *, dim: int, classes: int, max_context: float = math.inf) -> ProposalHead:
    """The head that the recipe names, untrained. max_context: in snippets."""
    kind = CenterHead if config.kind == "center" else PublishedCenterHead
    return kind(config, dim=dim, classes=classes, max_context=max_context)
