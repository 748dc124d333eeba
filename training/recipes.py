"""Recipes: of published rules (what `--objective lacp` and `--published-head` switch on), and for videos."""

from __future__ import annotations

from punctum.runtime.bundle.config import Fusion

from .config import (
    CenterConfig,
    CenterObjective,
    HiddenLayer,
    LacpObjective,
    LocatorConfig,
    Normalisation,
    OptimConfig,
    TrainConfig,
)

_RAW = Normalisation(standardise=False, clip=None)


def with_lacp(recipe: TrainConfig) -> TrainConfig:
    """LACP's network and training (docs/method/lacp.md), with snippet-centre times and without its video gate.

    The published width is that of its features (2048); here it is 256, and 2,000 steps of 16 videos become epochs.
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
    """The default network and objective in place of another."""
    default = TrainConfig()
    names = ("locator", "objective", "locator_optim", "partners")
    return recipe.model_copy(update={name: getattr(default, name) for name in names})


def with_published_head(recipe: TrainConfig) -> TrainConfig:
    """TSPNet's head, labels, losses, oscillating point update and fusion (docs/method/tspnet.md)."""
    return recipe.model_copy(
        update={
            "center": CenterConfig(kind="published", normalisation=_RAW, dropout=0.5, input_dropout=0.0),
            "center_objective": CenterObjective(
                inside_logits=True,
                normalise_rows=False,
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


FEW_CLICKS = 200


def for_videos(clicks: int = 0) -> TrainConfig:
    """The default for features of a backbone learned from the same videos and clicks (benchmarks/video_accuracy.py).

    Short recordings have few gaps between clicks, so background is also taken before the first click and in videos
    without any; not after the last click, since such recordings tend to break off in the last action. With few clicks
    the deeper networks only remember them: one of short reach remains.
    """
    recipe = TrainConfig()
    edges = {"edge_background": "before"}
    partners = tuple(p.model_copy(update={"objective": p.objective.model_copy(update=edges)}) for p in recipe.partners)
    objective = recipe.objective.model_copy(update=edges)
    changes = {"objective": objective, "partners": partners if clicks >= FEW_CLICKS else ()}
    return recipe.model_copy(update=changes)
