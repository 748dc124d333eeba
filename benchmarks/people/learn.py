"""Learning the network from labeled footage: several labels per snippet, and numbers that describe the people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from punctum.training.backbone.config import BackboneConfig
from punctum.training.backbone.net import BackboneNet
from torch import Tensor, nn
from torch.nn import functional as fn

from .footage import Footage

# Centers and scales of the measures.
_MEAN, _SCALE = (0.8, -0.4, 2.0, 0.6, 0.5), (0.4, 1.5, 2.0, 1.5, 0.3)
_PEOPLE = 2  # the measure that holds without anybody in view
_DIRECT = 0.4  # weight of what is read from single snippets
_LABELS, _MEASURES = 4.0, 0.3  # weights of the losses
_HEAVIEST = 8.0  # bound of the weight of rare labels


@dataclass(frozen=True, slots=True)
class Domain:
    """Footage with labels of its own, and how many windows of a step come from it."""

    footage: tuple[Footage, ...]
    windows: int
    weight: float = 1.0


class Head(nn.Module):
    """Features [B, S, D] -> two predictions [B, S, C]: from nine snippets, and linearly from single ones."""

    def __init__(self, dim: int, outputs: int, *, kernel: int = 9, hidden: int = 96, dropout: float = 0.3) -> None:
        super().__init__()
        self.dropout, self.norm = dropout, nn.BatchNorm1d(dim)
        self.hidden = nn.Conv1d(dim, hidden, kernel, padding=kernel // 2)
        self.output, self.direct = nn.Conv1d(hidden, outputs, 1), nn.Conv1d(dim, outputs, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        normed = self.norm(features.transpose(1, 2))
        x = fn.relu(self.hidden(fn.dropout(normed, self.dropout, self.training)))
        x = self.output(fn.dropout(x, self.dropout, self.training))
        return x.transpose(1, 2), self.direct(normed).transpose(1, 2)


def learn(
    net: BackboneNet,
    domains: Sequence[Domain],
    config: BackboneConfig,
    *,
    steps: int,
    rate: float,
    say: Callable[[str], None] = print,
) -> None:
    """Train `net` in place.

    Args:
        net: the network.
        domains: footage; all of one domain has the same labels.
        config: augmentation, window and seed.
        steps: of AdamW, with a one-cycle schedule.
        rate: largest learning rate; that of the heads is at least 2e-3.
        say: takes a line now and then.
    """
    rng = np.random.default_rng(config.seed)
    torch.manual_seed(config.seed)
    heads = [Head(config.dim, _outputs(domain)) for domain in domains]
    weights = [_label_weights(domain) for domain in domains]
    parameters = [p for head in heads for p in head.parameters()]
    rates = [rate, max(rate, 2e-3)]
    groups = [{"params": list(net.parameters())}, {"params": parameters}]
    optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps, pct_start=0.15)
    net.train()
    for step in range(steps):
        drawn = [[_draw(domain, rng) for _ in range(domain.windows)] for domain in domains]
        maps = torch.stack([window[0] for windows in drawn for window in windows])
        with torch.autocast("cpu", torch.bfloat16):
            features = net.embed(maps)
        loss, first, said = features.new_zeros((), dtype=torch.float32), 0, []
        for domain, windows, head, weight in zip(domains, drawn, heads, weights, strict=True):
            part = _loss(head(features[first : first + domain.windows].float()), windows, weight)
            loss, first = loss + domain.weight * part, first + domain.windows
            said.append(f"{part.item():.3f}")
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*net.parameters(), *parameters], 5.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 50 == 0:
            say(f"step {step + 1} of {steps}: {' '.join(said)}")
    net.eval()


def _outputs(domain: Domain) -> int:
    first = domain.footage[0]
    return first.labels.shape[1] + (0 if first.measures is None else first.measures.shape[1])


def _label_weights(domain: Domain) -> Tensor:
    """Weights of the positive snippets of each label: rare ones weigh more."""
    share = np.mean([each.labels.mean(0) for each in domain.footage], axis=0)
    return torch.from_numpy(np.clip(np.sqrt((1 - share) / (share + 1e-3)), 1, _HEAVIEST).astype(np.float32))


def _draw(domain: Domain, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor | None]:
    return domain.footage[int(rng.integers(len(domain.footage)))].window(rng)


def _loss(
    predictions: tuple[Tensor, Tensor], windows: Sequence[tuple[Tensor, Tensor, Tensor | None]], weights: Tensor
) -> Tensor:
    labels = torch.stack([window[1] for window in windows])
    count, total = labels.shape[-1], torch.zeros(())
    for share, found in zip((1.0, _DIRECT), predictions, strict=True):
        part = fn.binary_cross_entropy_with_logits(found[..., :count], labels, pos_weight=weights)
        total = total + share * _LABELS * part
        measures = [window[2] for window in windows if window[2] is not None]
        if measures:
            total = total + share * _MEASURES * _measure_loss(found[..., count:], torch.stack(measures))
    return total


def _measure_loss(found: Tensor, measures: Tensor) -> Tensor:
    wanted = (measures - torch.tensor(_MEAN)) / torch.tensor(_SCALE)
    losses = fn.smooth_l1_loss(found, wanted, reduction="none")
    anybody = (measures[..., _PEOPLE] >= 0.5).float()
    others = torch.cat([losses[..., :_PEOPLE], losses[..., _PEOPLE + 1 :]], dim=-1).mean(-1)
    return (losses[..., _PEOPLE] + others * anybody).mean()
