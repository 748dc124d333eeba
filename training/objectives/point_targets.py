"""Labels of snippets from clicks: where background lies between clicks, certified background, and excluded classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import F32, F64, I64
from ..config import PointsObjective
from ..data.videos import Sample


def gaps_of(sample: Sample, *, share: float, edges: bool, at_part: float = 0.5, after: bool = True) -> F64:
    """Intervals in which background is drawn.

    With `edges`, background is also drawn in the outer part of the video before the first and after the last click, as
    if the next click were as far beyond the end of the video, and in all of a video without clicks.

    Args:
        sample: the video.
        share: share of each gap between two neighboring clicks.
        edges: see above.
        at_part: center of the interval in the gap, 0 (first click) to 1 (next click). People click soon after an action
            starts, so the background after it lies closer to the next click.
        after: False: no background after the last click, for recordings that tend to end during the last action.

    Returns:
        Intervals [G, 2] in snippet-center coordinates; none for a video that is labeled in part.
    """
    at, last = np.unique(sample.clicks.position), len(sample.features) - 0.5
    if sample.partly:
        return np.zeros((0, 2))
    if len(at) == 0:
        return np.array([[-0.5, last]]) if edges else np.zeros((0, 2))
    low, high = at[:-1], at[1:]
    cut = 0.5 - share / 2
    begin, end = max(at_part - share / 2, 0.0), min(at_part + share / 2, 1.0)
    inner = np.stack([low + (high - low) * begin, low + (high - low) * end], axis=1)
    inner = inner[high - low > 1.0]
    if not edges:
        return inner
    before = np.array([[-0.5, -0.5 + (at[0] + 0.5) * (1 - 2 * cut)]])
    behind = np.array([[last - (last - at[-1]) * (1 - 2 * cut), last]])
    return np.concatenate([before, inner, behind] if after else [before, inner])


def even_targets(samples: Sequence[Sample], objective: PointsObjective, classes: int) -> list[F32]:
    """Targets of whole videos. The sum of a row is its weight, 0 for unlabeled snippets.

    Every background snippet weighs `background_weight`, so long gaps weigh more than short ones; with None, a gap
    weighs 1. Certified background weighs as much as a click, spread over its snippets, and no less than other
    background. Clicks of rare classes weigh more (`balance`); those of the rarest class weigh 1.

    Returns:
        float32 [T, C + 1] for every video.
    """
    video_of, sites, site_targets = clicked_sites(samples, classes)
    edges = wants_edges(samples, objective)
    targets = [np.zeros((len(s.features), classes + 1), np.float32) for s in samples]
    clicks = np.maximum(site_targets[:, :classes].sum(0), 1.0)
    weight = (clicks.min() / clicks) ** objective.balance
    scale = float((weight * clicks).sum() / clicks.sum())  # mean weight of a click
    for sample, rows in zip(samples, targets, strict=True):
        for low, high in gaps_by_rule(sample, objective, edges=edges):
            at = np.unique(np.clip(np.rint(np.arange(low, high + 1e-6, 0.5)).astype(int), 0, len(rows) - 1))
            share = 1.0 / len(at) if objective.background_weight is None else objective.background_weight
            rows[at, classes] += share * scale
        for first, end, label in sample.background:
            if label is None:
                rows[first:end, classes] = np.maximum(
                    rows[first:end, classes], _sure_share(first, end, objective) * scale
                )
    for video, site, target in zip(video_of, sites, site_targets, strict=True):
        row = target / target.sum()
        row[:classes] *= weight
        targets[video][site] = row
    return targets


def excluded_classes(samples: Sequence[Sample], objective: PointsObjective, classes: int) -> list[F32]:
    """Weights of the classes that certified spans exclude, one class each, in whole videos; 0 elsewhere.

    A click of the class within the span counts, and not the span.

    Returns:
        float32 [T, C] for every video.
    """
    found = []
    for sample in samples:
        rows = np.zeros((len(sample.features), classes), np.float32)
        for first, end, label in sample.background:
            if label is not None:
                rows[first:end, label] = np.maximum(rows[first:end, label], _sure_share(first, end, objective))
        rows[sample.clicks.snippet, sample.clicks.label] = 0.0
        found.append(rows)
    return found


def _sure_share(first: int, end: int, objective: PointsObjective) -> float:
    """Weight of each snippet of a certified span: that of a click in all, and at least that of other background."""
    return max(1.0 / (end - first), objective.background_weight or 0.0)


def clicked_sites(samples: Sequence[Sample], classes: int) -> tuple[I64, I64, F32]:
    """Clicked snippets: video [N], snippet [N], multi-hot target [N, C + 1] with an empty background column."""
    videos, sites, targets = [], [], []
    for index, sample in enumerate(samples):
        snippets, inverse = np.unique(sample.clicks.snippet, return_inverse=True)
        target = np.zeros((len(snippets), classes + 1), np.float32)
        target[inverse, sample.clicks.label] = 1.0
        videos.append(np.full(len(snippets), index, np.int64))
        sites.append(snippets)
        targets.append(target)
    return np.concatenate(videos), np.concatenate(sites), np.concatenate(targets)


def rows_of(weights: Sequence[F32]) -> tuple[I64, I64]:
    """Videos [N] and snippets [N] with a positive weight."""
    sites = [np.flatnonzero(rows.sum(1) > 0) for rows in weights]
    videos = [np.full(len(at), index, np.int64) for index, at in enumerate(sites)]
    none = np.zeros(0, np.int64)
    return np.concatenate([*videos, none]), np.concatenate([*sites, none])


def sure_gaps(sample: Sample) -> F64:
    """Certified background of all classes as intervals [G, 2] in snippet-center coordinates."""
    spans = [(first, end - 1) for first, end, label in sample.background if label is None]
    return np.array(spans, np.float64).reshape(-1, 2)


def wants_edges(samples: Sequence[Sample], objective: PointsObjective) -> bool:
    """Whether background is also drawn outside the first and last click ("auto": only if no video has a gap)."""
    if objective.edge_background == "auto":
        return not any(len(gaps_by_rule(s, objective, edges=False)) for s in samples)
    return objective.edge_background != "never"


def background_at(objective: PointsObjective) -> float:
    """The recipe's position of background; 0.7 for "auto", which `PointsTask` replaces by an estimate."""
    return 0.7 if objective.background_at == "auto" else objective.background_at


def gaps_by_rule(sample: Sample, objective: PointsObjective, *, edges: bool) -> F64:
    return gaps_of(
        sample,
        share=objective.background_share,
        at_part=background_at(objective),
        edges=edges,
        after=objective.edge_background != "before",
    )
