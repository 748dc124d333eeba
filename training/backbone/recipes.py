"""Recipes of backbones: from a file, and from single settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from punctum.runtime.errors import InputError

from ..recipe import IdleField, differs, idle_fields, read_recipe, refuse_idle
from .config import BackboneConfig

_SITES_ONLY = ("smoothness", "label_smoothing", "noise", "hide_future", "batch", "window")


def load_backbone_config(path: Path) -> BackboneConfig:
    """Read a recipe file: the fields of `BackboneConfig`, all optional.

    Raises:
        InputError: a field is wrong or has no effect (named in the message).
    """
    recipe = read_recipe(path, BackboneConfig)
    refuse_idle(path, backbone_fields(recipe))
    return recipe


def backbone_recipe(
    file: Path | None = None,
    *,
    seed: int | None = None,
    minutes: float | None = None,
    epochs: float | None = None,
    size: str | None = None,
) -> BackboneConfig:
    """The recipe file (or the default recipe) with single settings replaced.

    Args:
        file: recipe file (JSON); None: the default recipe.
        seed: as in the recipe.
        minutes: bound of the computing time, see `BackboneConfig.planned_steps`.
        epochs: passes over the footage.
        size: "HEIGHTxWIDTH" of the frames that the network takes.

    Raises:
        InputError: the file or a setting is wrong.
    """
    recipe = BackboneConfig() if file is None else load_backbone_config(file)
    changes: dict[str, Any] = {} if seed is None else {"seed": seed}
    for name, value in (("minutes", minutes), ("epochs", epochs)):
        if value is not None:
            if not 0 < value < float("inf"):
                raise InputError("option", f"`{name}` is {value}", "a positive number", f"correct `{name}`")
            changes[name] = value
    if size is not None:
        parts = re.fullmatch(r"(\d{2,4})x(\d{2,4})", size.strip().lower())
        if parts is None or not all(16 <= int(n) <= 1024 and int(n) % 8 == 0 for n in parts.groups()):
            raise InputError(
                "size",
                f"`size` is {size!r}",
                "HEIGHTxWIDTH, each a multiple of 8 from 16 to 1024",
                "for example 48x64",
            )
        changes |= {"height": int(parts[1]), "width": int(parts[2])}
    if (minutes is not None or epochs is not None) and recipe.optim.steps is not None:
        changes["optim"] = recipe.optim.model_copy(update={"steps": None})  # steps would override both
    return recipe.model_copy(update=changes)


def backbone_fields(recipe: BackboneConfig) -> Iterator[IdleField]:
    """Yield every field of the recipe that has no effect, with the reason."""
    yield from idle_fields(recipe.optim, ("epochs",), "optim", "the recipe's own field epochs is used")
    yield from idle_fields(recipe.optim, ("least_steps",), "optim", "the length follows from epochs and minutes")
    yield from idle_fields(
        recipe.objective, _SITES_ONLY, "objective", "a backbone is trained on windows of its own size"
    )
    if recipe.objective.sampling != "crops":
        yield "objective.sampling", "a backbone is trained on whole windows"
    if recipe.objective.background_at == "auto":
        yield "objective.background_at", "there are no features yet to estimate it from; set a number"
    if not recipe.click_weight:
        for name in ("objective", "steps_per_click", "hidden", "head_kernel", "dropout"):
            if differs(recipe, name):
                yield name, "click_weight is 0, so clicks are not used"
