"""The rows of an ablation table: each is a training recipe, and rules for the events of its networks.

Rows that differ in their rules only share one training. Trainings that differ in the center scorer only share one
locator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from punctum.runtime.bundle.config import Fusion, PostProcess
from punctum.runtime.errors import InputError

from ..config import CenterConfig, CenterObjective, TrainConfig
from ..engine.post import post_of
from ..recipes import with_epochs, with_lacp, with_published_head

FULL = "full"
"""The row that the others are compared with."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        name: for `--rows` and files.
        title: in the table.
        training: name of the training whose networks it uses; rows with the same name share them.
        recipe: of that training.
        post: rules for the events.
    """

    name: str
    title: str
    training: str
    recipe: TrainConfig
    post: PostProcess


def all_rows(recipe: TrainConfig) -> list[Row]:
    """Every row for a recipe. Those that the recipe makes equal to an earlier one are included.

    Args:
        recipe: the full method.
    """
    # Calibration changes no ranking, and takes most of the time; without it, nothing is chosen by folds.
    recipe = recipe.model_copy(update={"folds": 0, "choose": ()})
    clicks = _learned_from_clicks(recipe, update="absolute")
    fixed = _learned_from_clicks(recipe, update="none")
    published, lacp = with_published_head(recipe), with_lacp(recipe)
    attention = Fusion(class_probability=1.0, attention=1.0, contrast=0.0)
    return [
        _row(FULL, "full method", "default", recipe),
        _row("no-center-score", "no center score (CSL)", "default", recipe, contrast=True),
        _row("no-aba", "no boundary adaptation (ABA)", "default", recipe, adapt=False),
        _row("base", "base locator alone: no center score, no ABA", "default", recipe, contrast=True, adapt=False),
        _row("click-labels", "center label from the clicks, point update", "click-labels", clicks),
        _row("no-point-update", "center label from the clicks, no saliency point update", "no-point-update", fixed),
        _row("published", "published head, labels, losses and fusion", "published", published),
        _row("published-no-aba", "... no ABA", "published", published, adapt=False),
        _row("published-base", "... no center score, no ABA", "published", published, fusion=attention, adapt=False),
        _row("lacp", "LACP as base locator", "lacp", lacp),
        _row("lacp-base", "LACP alone: no center score, no ABA", "lacp", lacp, contrast=True, adapt=False),
    ]


def choose_rows(
    recipe: TrainConfig, names: Sequence[str] | None, epochs: int | None = None
) -> tuple[list[Row], dict[str, str]]:
    """The rows of a table.

    Args:
        recipe: the full method.
        names: the rows wanted besides the full method; None: all that differ.
        epochs: of every stage; None: those of the recipes.

    Returns:
        The rows in the order of `ROWS`, and those left out because the recipe makes them equal to another: name -> the
        other.

    Raises:
        InputError: a name is unknown, or a row that is named has no effect.
    """
    for name in names or ():
        if name not in ROWS:
            raise InputError("ablation-row", f"There is no row {name!r}", ", ".join(ROWS), "correct `rows`")
    kept: list[Row] = []
    equal: dict[str, str] = {}
    for row in all_rows(recipe):
        same = next((k for k in kept if (k.recipe, k.post) == (row.recipe, row.post)), None)
        if same is not None:
            equal[row.name] = same.name
            if names is not None and row.name in names:
                raise InputError(
                    "ablation-row",
                    f"Row {row.name!r} has no effect: with this recipe it is row {same.name!r}",
                    "rows that differ",
                    f"leave {row.name} out, or change the recipe",
                )
        else:
            kept.append(row)
    if names is not None:
        kept, equal = [row for row in kept if row.name in (FULL, *names)], {}
    if epochs is not None:
        kept = [replace(row, recipe=with_epochs(row.recipe, epochs)) for row in kept]
    return kept, equal


def _learned_from_clicks(recipe: TrainConfig, *, update: str) -> TrainConfig:
    """Center score learning: the label of a proposal is how centrally the click lies in it."""
    head, rule = recipe.center, recipe.center_objective
    if head is None or not isinstance(rule, CenterObjective):
        head, rule = CenterConfig(), CenterObjective()
    return recipe.model_copy(update={"center": head, "center_objective": rule.model_copy(update={"update": update})})


def _row(
    name: str,
    title: str,
    training: str,
    recipe: TrainConfig,
    *,
    contrast: bool = False,
    fusion: Fusion | None = None,
    adapt: bool | None = None,
) -> Row:
    """A row with other rules. contrast: ranked without the center scorer."""
    post = post_of(recipe, center=recipe.center is not None and not contrast)
    changes: dict[str, object] = {} if adapt is None else {"adapt": adapt}
    if fusion is not None:
        changes["fusion"] = fusion
    return Row(name, title, training, recipe, post.model_copy(update=changes))


ROWS = tuple(row.name for row in all_rows(TrainConfig()))
"""Names of all rows."""
