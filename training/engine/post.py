"""Post-processing of a run: that of the recipe, with what its networks need, and the choice by held-out videos.

Boundary adaptation and the class probability of the center scorer raise the accuracy on some data sets and lower it on
others. What the recipe names in `choose` is therefore chosen by the events on held-out training videos.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from punctum.runtime.bundle.config import PostProcess

from ..arrays import F64
from ..config import TrainConfig
from ..records import Record


def post_of(config: TrainConfig, *, center: bool) -> PostProcess:
    """Post-processing of the run; without a center scorer its terms are left out of the fusion."""
    post = config.post
    if config.center is not None:
        post = post.model_copy(update={"context": config.center.context})
    if not center:
        weights = {"class_probability": 0.0, "attention": 0.0, "center": 0.0}
        fusion = post.fusion.model_copy(update=weights)
        if fusion.contrast == 0 and fusion.base == 0:
            fusion = fusion.model_copy(update={"contrast": 1.0})
        post = post.model_copy(update={"fusion": fusion})
    return post


def settings_of(config: TrainConfig, *, center: bool) -> tuple[PostProcess, ...]:
    """The settings to choose from: first those of the recipe, then others in what `choose` names."""
    first = post_of(config, center=center)
    every = [first]
    if "adapt" in config.choose:
        every.append(first.model_copy(update={"adapt": not first.adapt}))
    if center and first.fusion.center > 0 and "class_probability" in config.choose:
        weights = [first.fusion.model_copy(update={"class_probability": weight}) for weight in (0.5, 1.0)]
        every += [post.model_copy(update={"fusion": fusion}) for fusion in weights for post in tuple(every)]
    return tuple(every)


def choose_settings(accuracy: F64) -> int:
    """The settings with the highest mean accuracy among those that are better than the first in every fold, else the
    first.

    Args:
        accuracy: [F, S], of each fold with each of the settings; NaN where a fold has no clicks.
    """
    known = accuracy[~np.isnan(accuracy).any(axis=1)]
    if len(known) < 2:
        return 0
    better = (known > known[:, :1]).all(axis=0)
    return int(np.argmax(np.where(better, known.mean(axis=0), -np.inf))) if better.any() else 0


def compared(settings: Sequence[PostProcess], accuracy: F64, chosen: int) -> list[Record]:
    """What summary.json records about the choice."""
    known = accuracy[~np.isnan(accuracy).any(axis=1)]
    return [
        {
            "adapt": post.adapt,
            "class_probability": post.fusion.class_probability,
            "accuracy": round(float(known[:, k].mean()), 4) if len(known) else None,
            "chosen": k == chosen,
        }
        for k, post in enumerate(settings)
    ]
