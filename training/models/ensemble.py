"""Several locators as one: the mean of their tracks, each with its own normalisation, depth and look-ahead."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .locator import LocatorNet


class LocatorEnsemble(nn.Module):  # type: ignore[misc]
    """features [T, D] or [B, T, D] -> mean class track and actionness of the networks that are trained.

    Networks of different reach err differently: a short window is sharp at the borders, a long one knows the action.
    """

    def __init__(self, nets: Sequence[LocatorNet]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)
        self.dim, self.classes = nets[0].dim, nets[0].classes
        # An interrupted run holds networks that have not been trained: they must not vote.
        self.register_buffer("share", torch.zeros(len(nets)))

    def set_trained(self, trained: int) -> None:
        """Let the first `trained` networks vote, evenly."""
        self.share.zero_()
        self.share[:trained] = 1.0 / max(trained, 1)

    @property
    def receptive_field(self) -> tuple[int, int]:
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
    """Set how many networks of an ensemble count; a single network always does."""
    if isinstance(locator, LocatorEnsemble):
        locator.set_trained(trained)


def nets_of(locator: Locator) -> list[LocatorNet]:
    return list(locator.nets) if isinstance(locator, LocatorEnsemble) else [locator]
