"""Post-processing: from tracks to scored segments, one island at a time. Live, offline and training all use it."""

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
from .jobs import ScorerOutput

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
SHORTEST = 1e-6  # snippets; a shorter segment has no interior to average


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Proposals:
    """Proposals of one window, or of several in a row.

    Attributes:
        segments: float64 [M, 2], start and end in snippets from the center of the window's first snippet.
        label: int64 [M], class index.
        contrast: float64 [M], outer-inner contrast of the class track.
        base: float64 [M], mean of the class track inside the segment; 0 if the fusion does not use it.
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
    """Runs of the class tracks above each threshold, and runs of actionness if it has thresholds, as proposals.

    Args:
        class_track: float32 [T, C] of one window.
        actionness: float32 [T].
        post: Thresholds and the other settings.
        stride_s: Seconds of media from one snippet to the next.
        label: Only this class; None: every class (training).
        bounds: Start and end of an island, to which runs are clipped; None: the whole window.
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
    """Confidence of each proposal, float64 [M], not negative: the product of the terms, each to its fusion weight.

    Args:
        proposals: M proposals.
        head: Output of the center scorer for them: class probability [M, C], attention [M], center score [M]. None if
            the fusion does not use it.
        post: The fusion weights.

    Raises:
        PunctumError: The fusion needs the center scorer and there is none, or a score is not finite.
    """
    weights = post.fusion
    terms: list[tuple[F64, float]] = [
        (np.maximum(proposals.contrast, 0.0), weights.contrast),
        (proposals.base, weights.base),
    ]
    if weights.needs_head:
        if head is None:
            raise PunctumError(
                "no-center-scorer",
                "The fusion uses the center scorer, but the bundle has none",
                "a fusion of contrast and base only",
                "export a run that was trained with a center scorer",
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
            "The graphs returned NaN or infinity",
            "finite scores",
            "check the features and the bundle's parity record",
        )
    return score


def suppress(segments: F64, scores: F64, post: PostProcess, *, floor: float | None = None) -> tuple[F64, F64]:
    """Boundary adaptation (ABA), suppression and minimum score, for the proposals of one class in one island.

    Args:
        segments: float64 [M, 2].
        scores: float64 [M].
        post: The settings.
        floor: Replaces `post.min_score`.

    Returns:
        Segments [K, 2] and scores [K], best first.
    """
    floor = post.min_score if floor is None else floor
    if post.adapt:
        segments = kernels.adapt_boundaries(segments, scores, iou_threshold=post.adapt_iou)
    if post.suppression == "soft":
        kept, scores = kernels.soft_nms(segments, scores, sigma=post.sigma, min_score=floor)
    else:
        if post.suppression == "hard":
            kept = kernels.nms(segments, scores, iou_threshold=post.nms_iou)
        else:
            kept = np.argsort(-scores, kind="stable").astype(np.int64)
        kept = kept[scores[kept] >= floor]
        scores = scores[kept]
    return segments[kept], scores


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class IslandProposals:
    """Proposals of several islands, one island after the other.

    Attributes:
        every: Their proposals; segments are in the coordinates of each island's window.
        ends: int64 [G + 1]; island g has the proposals ends[g] to ends[g + 1].
    """

    every: Proposals
    ends: I64

    def of(self, g: int) -> slice:
        """The proposals of one island."""
        return slice(int(self.ends[g]), int(self.ends[g + 1]))


def propose_islands(
    tracks: F32,
    islands: Sequence[tuple[int, int, int]],
    bounds: Sequence[tuple[float, float]],
    post: PostProcess,
    *,
    stride_s: float,
) -> IslandProposals:
    """The proposals of islands, each in its own window: `propose` of each, in one call.

    Args:
        tracks: float32 [T, C + 1].
        islands: Class, first row and one after the last row of each window.
        bounds: Start and end of each island, in snippets from the center of its window's first snippet.
        post: The settings.
        stride_s: Seconds of media from one snippet to the next.
    """
    segments, contrast, inner, ends = kernels.propose_islands(
        tracks,
        islands,
        bounds,
        thresholds=post.class_thresholds,
        action_thresholds=post.actionness_thresholds,
        margin=post.contrast_margin,
        max_margin=post.right_context_s / stride_s,
        most=post.max_proposals,
    )
    labels = np.repeat(np.array([label for label, _, _ in islands], np.int64), np.diff(ends))
    base = inner if post.fusion.base > 0 else np.zeros(len(labels))
    return IslandProposals(Proposals(segments, labels, contrast, base), ends)


def finish_islands(
    islands: IslandProposals, output: ScorerOutput | None, post: PostProcess, *, least: float = 0.0
) -> tuple[F64, F64, I64]:
    """Fusion, boundary adaptation and suppression, for all islands in one call of each kernel.

    Args:
        islands: The proposals of each island.
        output: What the center scorer returned for all proposals in order; None if the fusion does not use it.
        post: The settings.
        least: Segments below this score are not wanted.

    Returns:
        Segments [K, 2] in the coordinates of the window of each one's island and scores [K], of each island best first;
        int64 [G + 1]: island g has the rows ends[g] to ends[g + 1].
    """
    every, ends = islands.every, islands.ends
    if not len(every.label):
        return every.segments, np.zeros(0), ends
    scores, floor = fuse(every, output, post), max(post.min_score, least)
    if post.suppression == "soft":
        adapt_iou = post.adapt_iou if post.adapt else None
        return kernels.settle_islands(
            every.segments, scores, ends, adapt_iou=adapt_iou, sigma=post.sigma, min_score=floor
        )
    parts = [suppress(every.segments[a:b], scores[a:b], post, floor=floor) for a, b in pairwise(ends)]
    segments, values = map(np.concatenate, zip(*parts, strict=True))
    return segments, values, np.cumsum([0, *(len(kept) for _, kept in parts)])


def reduce_scoring(post: PostProcess) -> PostProcess:
    """The settings of an overloaded session: every third threshold, fewer proposals, no center scorer."""
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


def class_scores(tracks: Sequence[F32], classes: int) -> F32:
    """Scores [C] of a whole video for `gate="video"`: the mean of the highest eighth of each class track.

    tracks: parts [n, C] of the class tracks, in order.
    """
    whole = np.concatenate(tracks) if tracks else np.zeros((0, classes), np.float32)
    if len(whole) == 0:
        return np.zeros(classes, np.float32)
    top = max(1, len(whole) // 8)
    return np.asarray(np.sort(whole, axis=0)[-top:].mean(axis=0), np.float32)
