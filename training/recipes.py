"""Recipes: from a file, with single settings replaced, of published methods, and for features of video backbones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from punctum.runtime.bundle.config import Fusion
from punctum.runtime.errors import InputError
from punctum.runtime.text.display import shown
from pydantic import ValidationError

from .config import (
    CenterConfig,
    CenterObjective,
    HiddenLayer,
    LacpObjective,
    LocatorConfig,
    NetworkRecipe,
    Normalisation,
    OptimConfig,
    OwnObjective,
    TrainConfig,
)
from .effects import train_fields
from .recipe import read_recipe, refuse_idle

MANY_CLICKS = 200
"""Clicks from which `for_videos` uses the networks of the default recipe as they are."""
COPIES = 3
"""Copies of each network that `for_videos` trains with fewer clicks."""
LEAST_STEPS = 30
"""Steps of each copy, where the epochs amount to fewer."""
AUGMENTED_COPIES = 4
"""Augmented copies of every video, with fewer clicks. Each network is trained on all but one of them."""
AUGMENTED_HOURS = 1.0
"""Hours of video up to which copies are made unless they are asked for: each costs as much as the features."""
_RAW = Normalisation(standardise=False, clip=None)


def load_config(path: Path) -> TrainConfig:
    """Read a recipe file: the fields of `TrainConfig`, all optional.

    Raises:
        InputError: a field is wrong or has no effect (named in the message).
    """
    recipe = read_recipe(path, TrainConfig)
    refuse_idle(path, train_fields(recipe))
    return recipe


def with_lacp(recipe: TrainConfig) -> TrainConfig:
    """LACP's network and training (docs/method/lacp.md), with snippet-center times and without its video gate.

    The published hidden layer is as wide as its features (2048 units); here it has 256 units. The published 2,000
    steps of 16 videos are expressed as epochs.
    """
    locator = LocatorConfig(
        normalisation=recipe.locator.normalisation,
        hidden=(HiddenLayer(kernel=3, units=256),),
        dropout=0.7,
        smooth=0,
        output="sigmoid",
        output_bias=False,
    )
    optim = OptimConfig(epochs=200, rate=1e-4, weight_decay=5e-4, decoupled=False, schedule="constant")
    return recipe.model_copy(
        update={"locator": locator, "objective": LacpObjective(), "locator_optim": optim, "partners": ()}
    )


def with_points(recipe: TrainConfig) -> TrainConfig:
    """The default networks and objective of the locator in place of others."""
    default = TrainConfig()
    names = ("locator", "objective", "locator_optim", "partners")
    return recipe.model_copy(update={name: getattr(default, name) for name in names})


def with_own(recipe: TrainConfig, factory: str) -> TrainConfig:
    """The recipe's networks, trained on an objective from outside of this package.

    Args:
        recipe: the recipe.
        factory: package.module:factory; see objectives/own.py.

    Raises:
        InputError: it is not such a name.
    """
    try:
        own = OwnObjective(factory=factory)
    except ValidationError:
        raise InputError(
            "objective-unknown",
            f"{shown(repr(factory), 120)} does not name an objective",
            "points, lacp, or package.module:factory",
            "correct `objective`",
        ) from None
    partners = tuple(p.model_copy(update={"objective": own}) for p in recipe.partners)
    return recipe.model_copy(update={"objective": own, "partners": partners})


def with_published_head(recipe: TrainConfig) -> TrainConfig:
    """TSPNet's head, labels, losses, oscillating point update and fusion (docs/method/tspnet.md)."""
    return without_choice(recipe, "class_probability").model_copy(
        update={
            "center": CenterConfig(kind="published", normalisation=_RAW, dropout=0.5, input_dropout=0.0),
            "center_objective": CenterObjective(
                inside_logits=True,
                normalize_rows=False,
                several="first",
                foreign="ignore",
                crowded="ignore",
                update="published",
            ),
            "center_optim": OptimConfig(epochs=100, rate=1e-4, weight_decay=1e-3, decoupled=False, schedule="constant"),
            "post": recipe.post.model_copy(
                update={"fusion": Fusion(class_probability=1.0, attention=1.0, center=1.0, contrast=0.0, base=0.0)}
            ),
        }
    )


def without_adapt(recipe: TrainConfig) -> TrainConfig:
    """Post-processing without boundary adaptation (ABA), whatever the folds would choose."""
    post = recipe.post.model_copy(update={"adapt": False})
    return without_choice(recipe, "adapt").model_copy(update={"post": post})


def without_choice(recipe: TrainConfig, name: str) -> TrainConfig:
    """The recipe with one setting less to be chosen by the folds."""
    return recipe.model_copy(update={"choose": tuple(each for each in recipe.choose if each != name)})


def with_epochs(recipe: TrainConfig, epochs: int) -> TrainConfig:
    """The same number of epochs for every stage."""
    length = {"epochs": epochs, "steps": None, "least_steps": 1}
    partners = tuple(p.model_copy(update={"optim": p.optim.model_copy(update=length)}) for p in recipe.partners)
    changes: dict[str, Any] = {
        name: getattr(recipe, name).model_copy(update=length) for name in ("locator_optim", "center_optim")
    }
    return recipe.model_copy(update=changes | {"partners": partners})


def with_one_network(recipe: TrainConfig) -> TrainConfig:
    """The first network of a recipe without its partners, and no calibration: a third of the training time."""
    return recipe.model_copy(update={"partners": (), "folds": 0})


def without_center(recipe: TrainConfig) -> TrainConfig:
    """The locator alone. Settings of the center scorer's training return to their defaults."""
    default = TrainConfig()
    changes = {name: getattr(default, name) for name in ("center_objective", "center_optim")}
    return recipe.model_copy(update=changes | {"center": None})


def without_point_update(recipe: TrainConfig) -> TrainConfig:
    """The saliency point update switched off. The recipe's objective must be center score learning ("points")."""
    return recipe.model_copy(update={"center_objective": recipe.center_objective.model_copy(update={"update": "none"})})


def for_videos(clicks: int = 0, *, clicks_seen: bool = False) -> TrainConfig:
    """The default recipe for features of videos.

    Short recordings have few gaps between clicks, so background is also taken before the first click and in videos
    without clicks; not after the last click, since such recordings tend to end during the last action.

    With fewer than `MANY_CLICKS` clicks, every network is trained `COPIES` times, each time on windows of its own, and
    for at least `LEAST_STEPS` steps: with so little footage the result depends on which windows are drawn much more
    than on the initial weights, so networks that see the same windows (`locator.members`) make the same errors, and
    averaging them gains nothing.

    Args:
        clicks: in the training videos.
        clicks_seen: the backbone was trained on these clicks. The deeper networks then memorize few clicks, so only the
            network with the short receptive field remains.
    """
    recipe = TrainConfig()
    edges = {"edge_background": "before"}
    networks = [n.model_copy(update={"objective": n.objective.model_copy(update=edges)}) for n in recipe.networks]
    if clicks < MANY_CLICKS:
        shapes = networks[:1] if clicks_seen else networks
        networks = [_single(network) for network in shapes for _ in range(COPIES)]
    first = networks[0]
    return recipe.model_copy(
        update={
            "locator": first.locator,
            "objective": first.objective,
            "locator_optim": first.optim,
            "partners": tuple(networks[1:]),
        }
    )


def default_copies(clicks: int, hours: float, *, shipped: bool = True) -> int:
    """Augmented copies of each video (`training.augmented`) where the user asks for no number.

    Args:
        clicks: in the training videos.
        hours: duration of the training videos.
        shipped: the backbone is the one that ships, as it is. Beside a pose network, copies gave nothing, and they cost
            its time again; with a backbone that was trained on these clicks they were not measured.
    """
    return AUGMENTED_COPIES if clicks < MANY_CLICKS and hours <= AUGMENTED_HOURS and shipped else 0


def _single(network: NetworkRecipe) -> NetworkRecipe:
    """One copy of a network that is trained several times."""
    return network.model_copy(
        update={
            "locator": network.locator.model_copy(update={"members": 1}),
            "optim": network.optim.model_copy(update={"least_steps": LEAST_STEPS}),
        }
    )
