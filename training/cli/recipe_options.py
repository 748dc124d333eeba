"""The recipe that the options of `punctum train` describe."""

from __future__ import annotations

from pathlib import Path

from punctum.runtime.errors import InputError

from .. import recipes
from ..config import OwnObjective, TrainConfig
from .common import exclusive


def recipe_of(
    file: Path | None,
    *,
    default: TrainConfig | None = None,
    seed: int | None = None,
    objective: str | None = None,
    epochs: int | None = None,
    center: bool = True,
    adapt: bool = True,
    point_update: bool = True,
    published: bool = False,
    calibrate: bool = True,
) -> TrainConfig:
    """The recipe file (or `default`, or the default recipe) with the command's options applied.

    Args:
        file: recipe file (JSON).
        default: used without a file.
        seed: as in the recipe.
        objective: of the locator: "points", "lacp", or package.module:factory.
        epochs: of every stage.
        center: whether there is a center scorer.
        adapt: whether post-processing adapts boundaries (ABA).
        point_update: whether the saliency point update runs.
        published: use the published head with its labels, losses, update and fusion.
        calibrate: whether further networks are trained for the calibration of scores.

    Raises:
        InputError: the file is wrong, or options exclude each other or have no effect.
    """
    recipe = (default or TrainConfig()) if file is None else recipes.load_config(file)
    if not center and (published or not point_update):
        raise exclusive("--published-head" if published else "--no-point-update", "--no-center")
    own = objective is not None and ":" in objective
    if not own and objective not in (None, "points", "lacp"):
        raise InputError(
            "objective-unknown",
            f"--objective is {objective}",
            "points, lacp, or package.module:factory",
            "choose one of them",
        )
    for network in recipe.networks:  # code is imported only if the command itself names it
        if isinstance(network.objective, OwnObjective) and network.objective.factory != objective:
            raise InputError(
                "objective-unknown",
                f"{file} names the objective {network.objective.factory}, which is code that training would run",
                "the same name on the command line",
                f"add --objective {network.objective.factory} if you trust it",
            )
    if own and objective is not None:
        recipe = recipes.with_own(recipe, objective)
    elif objective == "lacp" and recipe.objective.kind != "lacp":
        recipe = recipes.with_lacp(recipe)
    elif objective == "points" and recipe.objective.kind != "points":
        recipe = recipes.with_points(recipe)
    if published:
        recipe = recipes.with_published_head(recipe)
    if not point_update:
        if recipe.center_objective.kind != "points":
            raise InputError(
                "flags-idle",
                f'--no-point-update has no effect: the objective "{recipe.center_objective.kind}" never moves a click',
                required='a center scorer that learns from clicks (center_objective.kind = "points")',
                next_step="leave it out, or add --published-head",
            )
        recipe = recipes.without_point_update(recipe)
    if seed is not None:
        recipe = recipe.model_copy(update={"seed": seed})
    if epochs is not None:
        recipe = recipes.with_epochs(recipe, epochs)
    if not center:
        recipe = recipes.without_center(recipe)
    if not calibrate:
        recipe = recipe.model_copy(update={"folds": 0})
    if not adapt:
        recipe = recipes.without_adapt(recipe)
    return recipe
