"""Networks of a recipe, untrained."""

from __future__ import annotations

from ..config import TrainConfig
from .center import ProposalHead, build_head
from .ensemble import Locator, LocatorEnsemble
from .locator import LocatorNet


def build_locator(config: TrainConfig, *, dim: int, classes: int) -> Locator:
    """The locator of a recipe for features of `dim` columns."""
    nets = [LocatorNet(recipe.locator, dim=dim, classes=classes) for recipe in config.networks]
    return LocatorEnsemble(nets) if len(nets) > 1 else nets[0]


def build_center(config: TrainConfig, *, dim: int, classes: int, stride_s: float) -> ProposalHead | None:
    """The center scorer of a recipe, or None if the recipe has none. stride_s: seconds per snippet."""
    if config.center is None:
        return None
    return build_head(config.center, dim=dim, classes=classes, max_context=max_context(config, stride_s))


def max_context(config: TrainConfig, stride_s: float) -> float:
    """Upper bound of a pooling context in snippets, the same in training, offline and live."""
    seconds = config.post.right_context_s
    if config.center is not None and config.center.max_context_s is not None:
        seconds = min(seconds, config.center.max_context_s)
    return seconds / stride_s
