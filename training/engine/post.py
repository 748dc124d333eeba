"""Post-processing of a run: that of the recipe, with what its networks need, and the choice by held-out videos.

Boundary adaptation, the class probability of the center scorer and the full weight of the contrast beside it raise the
accuracy on some data sets and lower it on others. What the recipe names in `choose` is therefore chosen by the events
on held-out training videos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from punctum.runtime.bundle.config import PostProcess
from punctum.runtime.diagnosis.held_out import HeldOut

from ..confidence.compare import Compared, choose_run, compare_runs
from ..config import TrainConfig
from ..records import Record

_WORTH = 0.005
"""Least gain for which the settings of the recipe are replaced: about what results differ by between seeds. Smaller
gains on held-out training videos, however sure, were losses on test videos that differ from them."""


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
    """The settings to choose from: first those of the recipe, then others in what `choose` names.

    Class probability and contrast are both evidence for the class, so half the weight of the contrast is a choice only
    beside the class probability.
    """
    first = post_of(config, center=center)
    every = [first]
    if "adapt" in config.choose:
        every.append(first.model_copy(update={"adapt": not first.adapt}))
    if not center or first.fusion.center == 0:
        return tuple(every)
    if "class_probability" in config.choose:
        every += [_weighted(post, "class_probability", weight) for weight in (0.5, 1.0) for post in tuple(every)]
    if "contrast" in config.choose and first.fusion.contrast > 0:
        beside = [post for post in every if post.fusion.class_probability > 0]
        every += [_weighted(post, "contrast", first.fusion.contrast / 2) for post in beside]
    return tuple(every)


def _weighted(post: PostProcess, term: str, weight: float) -> PostProcess:
    """The settings with another exponent of one term."""
    return post.model_copy(update={"fusion": post.fusion.model_copy(update={term: weight})})


def choose_settings(
    settings: Sequence[PostProcess],
    runs: Sequence[HeldOut],
    *,
    groups: Mapping[str, str] | None = None,
    seed: int = 0,
) -> tuple[int, list[Record]]:
    """The settings to use: those of the recipe, unless others are better by half a point of mAP, and in 90 % of the
    resamples of the videos.

    First boundary adaptation and class probability are chosen together, then the weight of the contrast beside what was
    chosen: videos that resemble those of the training more than later footage does must not justify two changes of
    which neither helps alone.

    Args:
        settings: as from `settings_of`.
        runs: events on the held-out videos of all folds with each of them, and the same pseudo segments.
        groups: group of each video, of which the whole is drawn.
        seed: of the resampling.

    Returns:
        The index of the chosen settings, and what summary.json records about the choice.
    """
    if len(settings) < 2 or not any(each.segments for each in runs[0].videos.values()):
        return 0, [_record(post, None, chosen=k == 0) for k, post in enumerate(settings)]
    known: dict[int, Compared] = {}

    def better(indices: Sequence[int]) -> int:
        """The best of some settings, of which the first is kept unless another is surely better."""
        compared = compare_runs({str(k): runs[k] for k in indices}, groups=groups, seed=seed, same_segments=True)
        for k, each in zip(indices, compared, strict=True):
            known.setdefault(k, each)
        return indices[choose_run(compared, worth=_WORTH)]

    whole = settings[0].fusion.contrast
    chosen = better([k for k, post in enumerate(settings) if post.fusion.contrast == whole])
    halved = _weighted(settings[chosen], "contrast", whole / 2)
    if halved in settings[1:]:
        chosen = better([chosen, settings.index(halved)])
    return chosen, [_record(post, known.get(k), chosen=k == chosen) for k, post in enumerate(settings)]


def _record(post: PostProcess, compared: Compared | None, *, chosen: bool) -> Record:
    return {
        "adapt": post.adapt,
        "class_probability": post.fusion.class_probability,
        "contrast": post.fusion.contrast,
        "accuracy": _rounded(compared.accuracy) if compared else None,
        "gain": _rounded(compared.gain) if compared else None,
        "least_gain": _rounded(compared.least_gain) if compared else None,
        "chosen": chosen,
    }


def _rounded(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None
