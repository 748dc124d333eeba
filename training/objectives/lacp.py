"""The LACP objective (Lee and Byun, "Learning Action Completeness from Points", ICCV 2021; docs/method/lacp.md).

Five terms per video: video score, focal loss at clicks, focal loss at mined background, completeness (outer-inner
contrast) of the optimal sequence of action and background, and contrast between the embeddings of its segments. The
released code uses the contrast of the last class only and drops the last snippet of a span that reaches the end of
the video; `published_bug` restores both.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as fn

from ..arrays import F32


class SequenceSpan(NamedTuple):
    """Snippets first..last (inclusive) of equal value in a sequence: action or background."""

    first: int
    last: int
    action: bool


def spans_of(column: F32, *, published_bug: bool = False) -> list[SequenceSpan]:
    """Spans of equal value in a 0/1 sequence [T]; none if it is constant, since it then has no boundary.

    published_bug: a span that reaches the last snippet loses it, as in the released code.
    """
    change = np.flatnonzero(np.diff(column)) + 1
    if len(change) == 0:
        return []
    last = len(column) - (1 if published_bug else 0)
    border = [0, *change.tolist(), last]
    return [SequenceSpan(a, b - 1, bool(column[a] > 0)) for a, b in pairwise(border) if b > a]


def top_mean(scores: Tensor, present: Tensor) -> Tensor:
    """Video scores [C] from snippet scores [T, C].

    Mean of the largest max(1, T // 8) scores for classes that are present [C], plain mean for the others.
    """
    k = max(1, scores.shape[0] // 8)
    return torch.where(present > 0, torch.topk(scores, k, dim=0).values.mean(0), scores.mean(0))


def focal_bce(p: Tensor, target: Tensor) -> Tensor:
    """Focal loss: binary cross-entropy [N, C + 1] weighted by the squared error, summed and divided by N."""
    weight = ((1.0 - p) * target + p * (1.0 - target)) ** 2
    loss = fn.binary_cross_entropy(p, target, reduction="none")
    return (weight * loss).sum() / max(len(p), 1)


def outer_inner(score: Tensor, first: int, last: int, *, margin: float = 0.25) -> Tensor:
    """Outer-inner contrast: mean score in first..last minus that in margins of `margin` x length (whole snippets)."""
    length = last - first + 1
    low = max(0, int(first - margin * length))
    high = min(len(score) - 1, int(last + margin * length))
    inner = score[first : last + 1].mean()
    outer = torch.cat([score[low:first], score[last + 1 : high + 1]])
    return inner - outer.mean() if len(outer) else inner


def embed_span(embedding: Tensor, first: int, end: int, rng: np.random.Generator | None) -> Tensor:
    """Unit vector [H] of embedding [T, H]: mean of one snippet from each third of first..end-1.

    With a generator the snippet is drawn, as published; without, it is the middle of the third.
    """
    step = (end - first) / 3
    picks = []
    for part in range(3):
        a, b = int(first + step * part), int(first + step * (part + 1))
        b = b + 1 if a >= b else b
        picks.append((a + b - 1) // 2 if rng is None else int(rng.integers(a, b)))
    mean = embedding[picks].mean(0)
    return mean / torch.clamp(torch.linalg.vector_norm(mean), min=1e-12)


def contrast_loss(vectors: Tensor, action: Tensor, temperature: float) -> Tensor:
    """Contrast of action spans of one class against all others. vectors: [N, H], unit length; action: bool [N]."""
    similarity = torch.exp(vectors @ vectors.T / temperature)
    similarity = similarity * (1.0 - torch.eye(len(vectors), device=vectors.device))
    share = similarity[:, action][action].sum(0) / similarity[:, action].sum(0)
    return -torch.log(share).mean()


class LacpTerms(NamedTuple):
    """The five terms, unweighted."""

    video: Tensor
    frame: Tensor
    background: Tensor
    score: Tensor
    feature: Tensor

    def total(self, weights: Sequence[float]) -> Tensor:
        return sum((w * t for w, t in zip(weights, self, strict=True)), torch.zeros_like(self.video))


def lacp_terms(
    fused: Tensor,
    embedding: Tensor,
    video_score: Tensor,
    *,
    video_label: Tensor,
    point_label: Tensor,
    background_seed: Tensor,
    sequence: F32 | None,
    temperature: float = 0.1,
    published_bug: bool = False,
    rng: np.random.Generator | None = None,
) -> LacpTerms:
    """The terms of one video.

    Args:
        fused: class probabilities and background after fusion [T, C + 1].
        embedding: [T, H].
        video_score: [C], see `top_mean`.
        video_label: 0/1 [C].
        point_label: 0/1 [T, C].
        background_seed: 0/1 [T]; all zeros give a term of 0.
        sequence: the optimal sequence of action and background, 0/1 [T, C]; None before the first search.
        temperature: of the contrast.
        published_bug: see the module.
        rng: draws the snippets that represent a span; None: fixed snippets.
    """
    zero = fused.sum() * 0.0
    clicked = point_label.sum(1) > 0
    target = torch.cat([point_label, torch.zeros_like(point_label[:, :1])], dim=1)
    empty = torch.zeros_like(target)
    empty[:, -1] = 1.0
    seeds = background_seed > 0
    score, feature = zero, zero
    if sequence is not None:
        score, feature = _sequence_terms(
            fused, embedding, sequence, video_label, temperature=temperature, published_bug=published_bug, rng=rng
        )
    return LacpTerms(
        fn.binary_cross_entropy(video_score, video_label),
        focal_bce(fused[clicked], target[clicked]),
        focal_bce(fused[seeds], empty[seeds]),
        score + zero,
        feature + zero,
    )


def _sequence_terms(
    fused: Tensor,
    embedding: Tensor,
    sequence: F32,
    video_label: Tensor,
    *,
    temperature: float,
    published_bug: bool,
    rng: np.random.Generator | None,
) -> tuple[Tensor, Tensor]:
    zero = fused.sum() * 0.0
    incomplete: dict[bool, list[Tensor]] = {True: [], False: []}
    contrasts: list[Tensor] = []
    for c in torch.nonzero(video_label > 0)[:, 0].tolist():
        spans = spans_of(sequence[:, c], published_bug=published_bug)
        for span in spans:
            curve = fused[:, c] if span.action else 1.0 - fused[:, c]
            incomplete[span.action].append(1.0 - outer_inner(curve, span.first, span.last))
        if sum(span.action for span in spans) >= 2:
            vectors = torch.stack([embed_span(embedding, s.first, s.last + 1, rng) for s in spans])
            action = torch.tensor([s.action for s in spans], device=vectors.device)
            contrasts.append(contrast_loss(vectors, action, temperature))
    parts = [torch.stack(v).mean() if v else zero for v in incomplete.values()]
    score = (parts[0] + parts[1]) ** 2
    if published_bug:
        contrasts = contrasts[-1:]
    return score, torch.stack(contrasts).mean() if contrasts else zero
