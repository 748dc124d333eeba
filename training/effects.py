"""Recipe fields that would have no effect beside the others: refused by name, instead of being ignored in silence.

A field counts only where it differs from its default, so that the recipe which a run records can be used again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from punctum.runtime.bundle.config import PostProcess
from punctum.runtime.errors import InputError
from pydantic import BaseModel

from .config import (
    CenterConfig,
    CenterObjective,
    LacpObjective,
    LocatorConfig,
    Normalisation,
    OptimConfig,
    PointsObjective,
    TrainConfig,
)

if TYPE_CHECKING:
    from .backbone.config import BackboneConfig

Idle = tuple[str, str]
"""A field and why it has no effect."""

_CROPS = ("balance", "background_weight", "hide_future")
_OWN_HEAD = ("use_tracks", "use_length", "embed", "hidden", "members", "attention")
_SITES = ("smoothness", "label_smoothing", "noise", "hide_future", "batch", "window")


def refuse_idle(path: Path, fields: Iterator[Idle]) -> None:
    """Raises InputError for the first field without effect."""
    for field, reason in fields:
        raise InputError(
            "config-idle", f"{path}: {field} has no effect: {reason}", "fields that act", f"remove {field}, or {_HINT}"
        )


_HINT = "change what makes it idle"


def train_fields(recipe: TrainConfig) -> Iterator[Idle]:
    """Fields of a training recipe without effect."""
    for index, network in enumerate(recipe.networks):
        place = "" if index == 0 else f"partners.{index - 1}."
        yield from _locator(network.locator, f"{place}locator")
        yield from _objective(network.objective, network.locator, f"{place}objective")
        yield from _optim(network.optim, "locator_optim" if index == 0 else f"{place}optim")
    if recipe.center is not None:  # a recipe whose head is taken away may keep how it was trained
        yield from _head(recipe.center)
        yield from _optim(recipe.center_optim, "center_optim")
        if recipe.post.context not in (recipe.center.context, PostProcess().context):
            yield "post.context", f"the head was pooled with center.context, {recipe.center.context:g}"
    rule = recipe.center_objective
    if isinstance(rule, CenterObjective) and rule.update == "none":
        yield from _idle(rule, ("update_every", "update_threshold"), "center_objective", "points are not updated")
    if recipe.select == "last":
        yield from _idle(recipe, ("evaluate_every",), "", 'select is "last"')
    yield from _post(recipe.post)


def backbone_fields(recipe: BackboneConfig) -> Iterator[Idle]:
    """Fields of a backbone's recipe without effect."""
    yield from _idle(recipe.optim, ("epochs",), "optim", "the field epochs of the recipe itself counts")
    yield from _idle(recipe.objective, _SITES, "objective", "a backbone is trained on whole windows of its own size")
    if recipe.objective.sampling != "crops":
        yield "objective.sampling", "a backbone is trained on whole windows"
    if recipe.objective.background_at == "auto":
        yield "objective.background_at", "there are no features yet to read it off; give a number"
    if not recipe.click_weight:
        for name in ("objective", "steps_per_click", "hidden", "head_kernel", "dropout"):
            if _changed(recipe, name):
                yield name, "clicks have no weight (click_weight is 0)"


def _locator(config: LocatorConfig, place: str) -> Iterator[Idle]:
    if not config.hidden:
        yield from _idle(config, ("dropout",), place, "there is no hidden layer")


def _objective(rule: PointsObjective | LacpObjective, locator: LocatorConfig, place: str) -> Iterator[Idle]:
    if isinstance(rule, LacpObjective):
        return
    if rule.sampling == "sites":
        yield from _idle(rule, _CROPS, place, 'sampling is "sites"')
    if locator.output == "sigmoid":
        yield from _idle(rule, ("label_smoothing",), place, "the output is a sigmoid")


def _optim(optim: OptimConfig, place: str) -> Iterator[Idle]:
    if optim.steps is not None:
        yield from _idle(optim, ("epochs",), place, f"{place}.steps is given")


def _head(head: CenterConfig) -> Iterator[Idle]:
    if head.kind == "center":
        return
    yield from _idle(head, _OWN_HEAD, "center", "the published head has none of it")
    if head.input_dropout not in (0.0, CenterConfig().input_dropout):
        yield "center.input_dropout", "the published head has none of it"
    if head.normalisation not in (Normalisation(), Normalisation(standardise=False, clip=None)):
        yield "center.normalisation", "the published head takes features as they are"


def _post(post: PostProcess) -> Iterator[Idle]:
    if not post.adapt:
        yield from _idle(post, ("adapt_iou",), "post", "adapt is off")
    if post.suppression != "soft":
        yield from _idle(post, ("sigma",), "post", 'suppression is not "soft"')
    if post.suppression != "hard":
        yield from _idle(post, ("nms_iou",), "post", 'suppression is not "hard"')
    if post.gate == "none":
        yield from _idle(post, ("gate_threshold",), "post", 'gate is "none"')


def _idle(model: BaseModel, names: tuple[str, ...], place: str, reason: str) -> Iterator[Idle]:
    for name in names:
        if _changed(model, name):
            yield f"{place}.{name}" if place else name, reason


def _changed(model: BaseModel, name: str) -> bool:
    default: Any = type(model).model_fields[name].get_default(call_default_factory=True)
    return bool(getattr(model, name) != default)
