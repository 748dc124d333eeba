"""From tracks to scored segments inside one island: the one post-processing there is, live, offline, training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from punctum import kernels

from ..bundle.config import PostProcess
from ..datatypes import by_value
from ..errors import PunctumError
from .jobs import ScoreJob

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
SHORTEST = 1e-6  # snippets; what is shorter has no inside to average


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Proposals:
    """segments [M, 2] in snippet-centre coordinates, class index, contrast and mean class track inside, [M] each.

    base is 0 where the fusion has no use for it.
    """

    segments: F64
    label: I64
    contrast: F64
    base: F64


def propose(
    class_track: F32,
    actionness: F32,
    post: PostProcess,
    *,
    stride_s: float,
    label: int | None = None,
    bounds: tuple[float, float] | None = None,
) -> Proposals:
    """Runs of the class track, and of actionness where thresholds for it are given, as candidate segments.

    class_track [T, C], actionness [T] of one window. With `label` and `bounds` only that class inside that island;
    otherwise every class over the whole window (training). A run that leaves the bounds is clipped to them.
    """
    columns = class_track if label is None else np.ascontiguousarray(class_track[:, label : label + 1], np.float64)
    segments, which, _ = kernels.find_runs_many(columns, post.class_thresholds)
    labels = which if label is None else np.full(len(which), label, np.int64)
    if post.actionness_thresholds:
        extra, _ = kernels.find_runs(actionness, post.actionness_thresholds)
        classes = np.arange(class_track.shape[1]) if label is None else np.array([label])
        segments = np.concatenate([segments, np.repeat(extra, len(classes), axis=0)])
        labels = np.concatenate([labels, np.tile(classes, len(extra))])
    if bounds is not None:
        segments = np.clip(segments, *bounds)
    keep = segments[:, 1] - segments[:, 0] > SHORTEST
    segments, labels = segments[keep], labels[keep].astype(np.int64)
    margin = post.right_context_s / stride_s
    own = labels if label is None else None
    base = np.zeros(len(labels))
    if post.fusion.base > 0:
        base = kernels.segment_mean(columns, segments, labels=own)
    contrast = kernels.outer_inner_contrast(
        columns, segments, margin=post.contrast_margin, max_margin=margin, labels=own
    )
    if label is not None and len(contrast) > post.max_proposals:
        best = np.sort(np.argsort(-contrast, kind="stable")[: post.max_proposals])
        segments, labels, contrast, base = segments[best], labels[best], contrast[best], base[best]
    return Proposals(segments, labels, contrast, base)


def fuse(proposals: Proposals, head: tuple[F32, F32, F32] | None, post: PostProcess) -> F64:
    """Product of the terms that the fusion weights name: float64 [M], never negative."""
    weights = post.fusion
    terms: list[tuple[F64, float]] = [
        (np.maximum(proposals.contrast, 0.0), weights.contrast),
        (proposals.base, weights.base),
    ]
    if weights.needs_head:
        if head is None:
            raise PunctumError(
                "no-center-scorer",
                "the fusion uses the center scorer but this bundle has none",
                "fusion by contrast and base only",
                "export a run that was trained with the center-score head",
            )
        probability, attention, center = head
        if weights.class_probability > 0:
            own = probability[np.arange(len(proposals.label)), proposals.label]
            terms.append((np.asarray(own, np.float64), weights.class_probability))
        terms += [
            (np.asarray(attention, np.float64), weights.attention),
            (np.asarray(center, np.float64), weights.center),
        ]
    score = np.ones(len(proposals.label))
    for term, weight in terms:
        if weight > 0:
            value = np.maximum(term, 0.0)
            score = score * (value if weight == 1 else value**weight)
    if not np.isfinite(score).all():
        raise PunctumError(
            "scores-not-finite",
            "the graphs returned NaN or infinity",
            "finite scores",
            "check the features and the bundle's parity record",
        )
    return score


def suppress(segments: F64, scores: F64, post: PostProcess) -> tuple[F64, F64]:
    """ABA, suppression and score floor of one class in one island: (segments, scores), best first."""
    if post.adapt:
        segments = kernels.adapt_boundaries(segments, scores, iou_threshold=post.adapt_iou)
    if post.suppression == "soft":
        kept, scores = kernels.soft_nms(segments, scores, sigma=post.sigma, min_score=post.min_score)
    else:
        if post.suppression == "hard":
            kept = kernels.nms(segments, scores, iou_threshold=post.nms_iou)
        else:
            kept = np.argsort(-scores, kind="stable").astype(np.int64)
        kept = kept[scores[kept] >= post.min_score]
        scores = scores[kept]
    return segments[kept], scores


def prepare_island(
    features: F32,
    tracks: F32,
    label: int,
    bounds: tuple[float, float],
    post: PostProcess,
    *,
    stride_s: float,
    inner: bool,
) -> tuple[Proposals, ScoreJob | None]:
    """Candidates of one island, and what the engine has to say about them (None: nothing).

    features [T, D], tracks [T, C + 1] of the window; bounds = the island, in the window's snippet-centre
    coordinates; inner: the window holds all the surroundings that scoring may read.
    """
    found = propose(tracks[:, :-1], tracks[:, -1], post, stride_s=stride_s, label=label, bounds=bounds)
    if not post.fusion.needs_head or not len(found.label):
        return found, None
    return found, ScoreJob(features, tracks, found.segments.astype(np.float32), found.label, inner)


def finish_islands(
    found: Sequence[Proposals], heads: Sequence[tuple[F32, F32, F32]], post: PostProcess
) -> list[tuple[F64, F64]]:
    """Scored segments of each island (segments [K, 2] in its window's coordinates, scores [K]), best first.

    heads: what the engine said of the islands' proposals, in their order, in one piece or several; none where the
    fusion asks for none. One call a kernel for all islands: many of them are small, and calls cost more than they do.
    """
    if not found:
        return []
    every = found[0]
    if len(found) > 1:
        parts = zip(*((p.segments, p.label, p.contrast, p.base) for p in found), strict=True)
        every = Proposals(*map(np.concatenate, parts))
    if not len(every.label):
        return [(island.segments, np.zeros(0)) for island in found]
    head = heads[0] if len(heads) == 1 else None
    if len(heads) > 1:
        probability, attention, center = map(np.concatenate, zip(*heads, strict=True))
        head = (probability, attention, center)
    scores = fuse(every, head, post)
    ends = np.cumsum([0, *(len(island.label) for island in found)])
    if post.suppression != "soft":
        return [suppress(every.segments[a:b], scores[a:b], post) for a, b in pairwise(ends)]
    segments = every.segments
    if post.adapt:
        segments = kernels.adapt_groups(segments, scores, ends, iou_threshold=post.adapt_iou)
    kept, scores, ends = kernels.suppress_groups(segments, scores, ends, sigma=post.sigma, min_score=post.min_score)
    segments = segments[kept]
    return [(segments[a:b], scores[a:b]) for a, b in pairwise(ends)]


def simplify(post: PostProcess) -> PostProcess:
    """What an overloaded session falls back to: every third threshold, few proposals, the locator's word alone."""
    weights = {"class_probability": 0.0, "attention": 0.0, "center": 0.0}
    fusion = post.fusion.model_copy(update=weights)
    if fusion.contrast == 0 and fusion.base == 0:
        fusion = fusion.model_copy(update={"contrast": 1.0})
    return post.model_copy(
        update={
            "class_thresholds": post.class_thresholds[::3],
            "actionness_thresholds": (),
            "max_proposals": max(post.max_proposals // 4, 1),
            "fusion": fusion,
        }
    )
