"""Fields of a training recipe that have no effect beside the others."""

from __future__ import annotations

from collections.abc import Iterator

from punctum.runtime.bundle.config import PostProcess

from .config import (
    CenterConfig,
    CenterObjective,
    LocatorConfig,
    LocatorObjective,
    Normalisation,
    OptimConfig,
    PointsObjective,
    TrainConfig,
)
from .recipe import IdleField, idle_fields

_CROPS_ONLY = ("balance", "background_weight", "hide_future")
_NOT_PUBLISHED = ("use_tracks", "use_length", "embed", "hidden", "members", "attention")


def train_fields(recipe: TrainConfig) -> Iterator[IdleField]:
    """Yield every field of the recipe that has no effect, with the reason."""
    for index, network in enumerate(recipe.networks):
        place = "" if index == 0 else f"partners.{index - 1}."
        yield from _locator(network.locator, f"{place}locator")
        yield from _objective(network.objective, network.locator, f"{place}objective")
        yield from _optim(network.optim, "locator_optim" if index == 0 else f"{place}optim")
    if recipe.center is not None:  # a recipe without the center scorer may keep the settings of its training
        yield from _head(recipe.center)
        yield from _optim(recipe.center_optim, "center_optim")
        if recipe.post.context not in (recipe.center.context, PostProcess().context):
            yield "post.context", f"the center scorer pools with center.context, {recipe.center.context:g}"
    rule = recipe.center_objective
    if isinstance(rule, CenterObjective) and rule.update == "none":
        yield from idle_fields(rule, ("update_every", "update_threshold"), "center_objective", "update is none")
    if recipe.select == "last":
        yield from idle_fields(recipe, ("evaluate_every",), "", 'select is "last"')
    yield from _post(recipe.post)


def _locator(config: LocatorConfig, place: str) -> Iterator[IdleField]:
    if not config.hidden:
        yield from idle_fields(config, ("dropout",), place, "there is no hidden layer")


def _objective(rule: LocatorObjective, locator: LocatorConfig, place: str) -> Iterator[IdleField]:
    if not isinstance(rule, PointsObjective):
        return
    if rule.sampling == "sites":
        yield from idle_fields(rule, _CROPS_ONLY, place, 'sampling is "sites"')
    if locator.output == "sigmoid":
        yield from idle_fields(rule, ("label_smoothing",), place, 'output is "sigmoid"')


def _optim(optim: OptimConfig, place: str) -> Iterator[IdleField]:
    if optim.steps is not None:
        yield from idle_fields(optim, ("epochs", "least_steps"), place, f"{place}.steps is set")


def _head(head: CenterConfig) -> Iterator[IdleField]:
    if head.kind == "center":
        return
    yield from idle_fields(head, _NOT_PUBLISHED, "center", "the published head does not have it")
    if head.input_dropout not in (0.0, CenterConfig().input_dropout):
        yield "center.input_dropout", "the published head does not have it"
    if head.normalisation not in (Normalisation(), Normalisation(standardise=False, clip=None)):
        yield "center.normalisation", "the published head does not normalize features"


def _post(post: PostProcess) -> Iterator[IdleField]:
    if not post.adapt:
        yield from idle_fields(post, ("adapt_iou",), "post", "adapt is false")
    if post.suppression != "soft":
        yield from idle_fields(post, ("sigma",), "post", 'suppression is not "soft"')
    if post.suppression != "hard":
        yield from idle_fields(post, ("nms_iou",), "post", 'suppression is not "hard"')
    if post.gate == "none":
        yield from idle_fields(post, ("gate_threshold",), "post", 'gate is "none"')
