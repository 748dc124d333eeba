"""Losses of labeled snippets, and how probable a network takes the labels of held-out videos to be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as fn

from ..arrays import F32
from ..data.videos import Sample
from ..models.locator import LocatorNet
from .point_targets import gaps_of


def label_loss(
    logits: Tensor, target: Tensor, output: str, label_smoothing: float, excluded: Tensor | None = None
) -> Tensor:
    """Weighted cross-entropy, summed over members. The weight of a row is its sum, at most 1.

    In a snippet with several classes, softmax divides the probability among them, and sigmoid requires all of them.

    Args:
        logits: [K, N, C + 1].
        target: [N, C + 1].
        output: "softmax" or "sigmoid".
        label_smoothing: of the softmax.
        excluded: [N, C], weights of -log(1 - p) of single classes, which are known not to occur in a row; rows that
            have nothing else have a target of zeros.
    """
    weight = torch.clamp(target.sum(1), max=1.0)
    if excluded is not None:
        denied = _denied(logits, excluded, output)
        known = weight > 0
        total = weight.sum() + excluded.sum()
        if not bool(known.any()):
            return (denied.sum(1) / torch.clamp(total, min=1e-6)).sum()
        own = label_loss(logits[:, known], target[known], output, label_smoothing) * weight.sum()
        return (own + denied.sum()) / torch.clamp(total, min=1e-6)
    if output == "softmax":
        y = target / target.sum(1, keepdim=True)
        if label_smoothing:
            y = (1.0 - label_smoothing) * y + label_smoothing / y.shape[1]
        rows = -(y * torch.log_softmax(logits, dim=-1)).sum(-1)
    else:
        y = (target > 0).to(target.dtype).expand_as(logits)
        rows = fn.binary_cross_entropy_with_logits(logits, y, reduction="none").sum(-1)
    return ((rows * weight).sum(1) / torch.clamp(weight.sum(), min=1e-6)).sum()


def _denied(logits: Tensor, excluded: Tensor, output: str) -> Tensor:
    """Weighted -log(1 - p) of the excluded classes, [K, N]."""
    classes = excluded.shape[1]
    if output == "softmax":
        log_p = torch.log_softmax(logits, dim=-1)[..., :classes]
        rows = -torch.log(torch.clamp(-torch.expm1(log_p), min=1e-6))
    else:
        rows = fn.softplus(logits[..., :classes])
    return (rows * excluded).sum(-1)


def point_log_likelihood(net: LocatorNet, samples: Sequence[Sample], *, share: float, at_part: float = 0.5) -> float:
    """Mean of two means: log P[label] over clicks, and log background over the centers of gaps."""
    device = next(net.parameters()).device
    click: list[F32] = []
    empty: list[F32] = []
    training = net.training
    net.eval()
    with torch.no_grad():
        for sample in samples:
            p, a = (t.cpu().numpy() for t in net(torch.from_numpy(sample.features).to(device)))
            click.append(p[sample.clicks.snippet, sample.clicks.label])
            middle = gaps_of(sample, share=share, at_part=at_part, edges=False).mean(1)
            empty.append(1.0 - a[np.clip(np.rint(middle).astype(int), 0, len(a) - 1)])
    net.train(training)
    parts = [np.log(np.maximum(np.concatenate(x), 1e-6)).mean() for x in (click, empty) if sum(map(len, x))]
    return float(np.mean(parts)) if parts else 0.0
