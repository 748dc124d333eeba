"""Several locator networks as one: the mean of their tracks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .locator import LocatorNet


class LocatorEnsemble(nn.Module):
    """Features [T, D] or [B, T, D] -> class track and actionness, averaged over the trained networks.

    Each network has its own normalization, depth and look-ahead. Networks with different receptive fields make
    different errors: a short one locates boundaries better, a long one recognizes actions better.
    """

    def __init__(self, nets: Sequence[LocatorNet]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)
        self.dim, self.classes = nets[0].dim, nets[0].classes
        # Weight of each network; 0 for those that an interrupted run has not trained.
        self.register_buffer("share", torch.zeros(len(nets)))

    def set_trained(self, trained: int) -> None:
        """Average the first `trained` networks."""
        self.share.zero_()
        self.share[:trained] = 1.0 / max(trained, 1)

    @property
    def receptive_field(self) -> tuple[int, int]:
        """Snippets before and after a snippet that its scores depend on: the largest of all networks."""
        fields = [net.receptive_field for net in self.nets]
        return max(left for left, _ in fields), max(right for _, right in fields)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        tracks = [net(features) for net in self.nets]
        p = torch.stack([t for t, _ in tracks])
        a = torch.stack([t for _, t in tracks])
        shares = (-1,) + (1,) * (a.dim() - 1)
        return (p * self.share.reshape(*shares, 1)).sum(0), (a * self.share.reshape(shares)).sum(0)


Locator = LocatorNet | LocatorEnsemble


def set_trained(locator: Locator, trained: int) -> None:
    """Set how many networks of an ensemble are trained; no effect on a single network."""
    if isinstance(locator, LocatorEnsemble):
        locator.set_trained(trained)


def nets_of(locator: Locator) -> list[LocatorNet]:
    """The networks of a locator."""
    return list(locator.nets) if isinstance(locator, LocatorEnsemble) else [locator]
