"""Post-processing of a run: that of the recipe, with what its networks need."""

from __future__ import annotations

from punctum.runtime.bundle.config import PostProcess

from ..config import TrainConfig


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
