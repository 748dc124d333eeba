"""Proposals of any origin, scored, adapted and suppressed like those of a bundle's own locator.

TSPNet is a plug-in: it ranks the proposals of another locator by its aligned confidence. Here the terms of the
confidence come from a bundle (center score and outer-inner contrast) and from the proposals themselves (their own
score, the term `base`). Boundary adaptation and suppression run per class over the whole recording, as published.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from punctum import kernels

from ..bundle.config import Fusion, PostProcess
from ..datatypes import by_value
from ..errors import InputError
from ..features.features import FeatureRows, Features
from ..text.display import short
from .call import call_engine
from .chunk import check_chunk
from .engine import Backend
from .jobs import ScoreJob, ScorerOutput
from .outputs import check_scores, check_tracks, join_tracks
from .plan import BLOCK, Plan
from .post import Proposals, fuse, suppress
from .score_runs import JOINED_ROWS, run_scorer

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
MIN_LENGTH = 1e-3
"""Shorter segments, in snippets (without a bundle in seconds), have no interior to score."""
MOST_SCORE = 1e100
"""Of a proposal's own score to its exponent; means of boundaries are weighted with it and must stay finite."""
MOST_JOINED = 512
"""Proposals in one run of the scorer: bounds the memory of their pooled features."""


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ScoredSegments:
    """Segments of one recording, each with a class and a score.

    Attributes:
        segments: Start and end in seconds of media time, float64 [M, 2].
        label: Index of the class, int64 [M].
        score: float64 [M]; NaN for a proposal without a score.
    """

    segments: F64
    label: I64
    score: F64

    def __len__(self) -> int:
        return len(self.label)

    def of(self, rows: I64 | npt.NDArray[np.bool_]) -> ScoredSegments:
        """Some of them."""
        return ScoredSegments(self.segments[rows], self.label[rows], self.score[rows])


@dataclass(frozen=True, slots=True)
class Fitted:
    """Proposals that lie within their recording.

    Attributes:
        proposals: The proposals.
        clipped: Number of those that reached beyond the recording and were shortened.
        short: Number of those that were left out because nothing of them, or almost nothing, is left.
        outside: Rows of the proposals that lie outside of the recording, which were left out.
    """

    proposals: ScoredSegments
    clipped: int
    short: int
    outside: tuple[int, ...]


def fit_to_recording(proposals: ScoredSegments, start_s: float, end_s: float, *, least_s: float) -> Fitted:
    """Clip proposals to their recording and leave out what has no length.

    Args:
        proposals: M proposals.
        start_s: Where the recording begins, in seconds.
        end_s: Where it ends; infinity if that is not known.
        least_s: Length from which a proposal is used.
    """
    start, end = proposals.segments.T
    outside = (end < start_s) | (start > end_s)
    cut = np.clip(proposals.segments, start_s, end_s)
    long = cut[:, 1] - cut[:, 0] > least_s
    kept = long & ~outside
    clipped = int((kept & (cut != proposals.segments).any(axis=1)).sum())
    fitted = ScoredSegments(cut[kept], proposals.label[kept], proposals.score[kept])
    return Fitted(fitted, clipped, int((~long & ~outside).sum()), tuple(np.flatnonzero(outside).tolist()))


def rescore(
    plan: Plan, backend: Backend, features: FeatureRows, proposals: ScoredSegments, post: PostProcess
) -> ScoredSegments:
    """The events of one recording, made of given proposals: scored, adapted and suppressed per class.

    Args:
        plan: The configuration of the bundle.
        backend: Its engine.
        features: The recording.
        proposals: They are clipped to the recording; those without length or outside of it are left out.
        post: The settings. `fusion.base` is the exponent of the proposals' own score, and `gate`, thresholds and
            `max_proposals` have no effect.

    Returns:
        Segments in seconds with raw scores, best first.

    Raises:
        InputError: The features do not fit the bundle, or a proposal without a score meets an exponent of base.
        EngineError: The engine failed, or returned something unusable.
    """
    rows, _ = check_chunk(features, None, plan, now_s=None)
    start_s = features.start_s if isinstance(features, Features) else 0.0
    least_s, end_s = MIN_LENGTH * plan.stride_s, start_s + len(rows) * plan.stride_s
    proposals = fit_to_recording(proposals, start_s, end_s, least_s=least_s).proposals
    check_scored(proposals, post)
    if not len(proposals):
        return proposals
    tracks = tracks_of(plan, backend, rows)
    positions = (proposals.segments - start_s) / plan.stride_s - 0.5
    contrast = np.zeros(len(proposals))
    if post.fusion.contrast > 0:
        contrast = kernels.outer_inner_contrast(
            tracks[:, :-1],
            positions,
            margin=post.contrast_margin,
            max_margin=post.right_context_s / plan.stride_s,
            labels=proposals.label,
        )
    head = None
    if post.fusion.needs_head:
        head = score_segments(plan, backend, rows, tracks, positions, proposals.label, post.fusion)
    terms = Proposals(positions, proposals.label, contrast, proposals.score)
    return settle(ScoredSegments(proposals.segments, proposals.label, fuse(terms, head, post)), post)


def settle(scored: ScoredSegments, post: PostProcess) -> ScoredSegments:
    """Boundary adaptation (ABA), suppression and minimum score, per class; best first."""
    parts = []
    for label in np.unique(scored.label):
        own = scored.of(scored.label == label)
        segments, scores = suppress(own.segments, np.maximum(own.score, 0.0), post)
        parts.append(ScoredSegments(segments, np.full(len(scores), label, np.int64), scores))
    if not parts:
        return scored
    joined = ScoredSegments(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("segments", "label", "score")))
    return joined.of(np.argsort(-joined.score, kind="stable"))


def check_scored(proposals: ScoredSegments, post: PostProcess) -> None:
    """Raise InputError where the fusion needs the proposals' own scores, and one has none or one that is too large."""
    missing = int(np.isnan(proposals.score).sum())
    if missing and post.fusion.base > 0:
        raise InputError(
            "proposal-unscored",
            f"{missing} of {len(proposals)} proposals have no score, and the fusion uses it (base)",
            "a score for every proposal, or a fusion without base",
            "add the scores, or use a bundle and a fusion without base",
        )
    if post.fusion.base <= 0:
        return
    with np.errstate(over="ignore"):
        powers = np.maximum(proposals.score, 0.0) ** post.fusion.base
    if (large := powers > MOST_SCORE).any():
        row = int(np.argmax(large))
        raise InputError(
            "proposal-score",
            f"The score of the proposal [{short(proposals.segments[row, 0])}, {short(proposals.segments[row, 1])}] is "
            f"{proposals.score[row]:g}: to the power {post.fusion.base:g} (base) it is more than can be computed with",
            f"scores up to {MOST_SCORE ** (1 / post.fusion.base):.3g}",
            "divide all scores by the same number, or lower the exponent of base",
        )


def tracks_of(plan: Plan, backend: Backend, features: F32) -> F32:
    """The tracks of a whole recording, float32 [T, C + 1], in blocks with the whole receptive field around each."""
    parts = []
    for at in range(0, len(features), BLOCK):
        stop = min(at + BLOCK, len(features))
        low, high = max(at - plan.left, 0), min(stop + plan.right, len(features))
        tracks = join_tracks(call_engine(backend.locate, features[low:high]), (high - low,))
        check_tracks(tracks, (high - low, len(plan.labels) + 1))
        parts.append(tracks[at - low : stop - low])
    return np.concatenate(parts)


def score_segments(
    plan: Plan, backend: Backend, features: F32, tracks: F32, positions: F64, labels: I64, fusion: Fusion
) -> ScorerOutput:
    """The center scorer's output for segments of a recording, in runs of bounded size.

    Args:
        plan: The configuration.
        backend: The engine.
        features: float32 [T, D].
        tracks: float32 [T, C + 1].
        positions: float64 [M, 2], in snippets from the center of the first.
        labels: int64 [M].
        fusion: Which terms are used.
    """
    order = np.lexsort((positions[:, 1], positions[:, 0]))
    probability = np.zeros((len(labels), len(plan.labels)), np.float32)
    attention, center = np.zeros(len(labels), np.float32), np.zeros(len(labels), np.float32)
    for rows, low, high in _runs(positions, order, plan.context, len(features)):
        window = np.ascontiguousarray(tracks[low:high])
        job = ScoreJob(features[low:high], window, (positions[rows] - low).astype(np.float32), labels[rows], False)
        output = run_scorer(job, backend)
        check_scores(output, len(rows), len(plan.labels), fusion)
        probability[rows], attention[rows], center[rows] = output
    return probability, attention, center


def _runs(positions: F64, order: I64, context: int, count: int) -> Iterator[tuple[I64, int, int]]:
    """Proposals for one run, and the window of snippets that holds them with their context.

    Windows are short, because the scorer computes positions in float32; only proposals that are longer share longer
    ones.
    """
    low = np.maximum(np.floor(positions[order, 0]).astype(np.int64) - context, 0)
    high = np.minimum(np.ceil(positions[order, 1]).astype(np.int64) + context + 1, count)
    cuts, end, longest = [0], int(high[0]), int(high[0] - low[0])
    for k in range(1, len(order)):
        grown, longer = max(end, int(high[k])), max(longest, int(high[k] - low[k]))
        if grown - low[cuts[-1]] > max(JOINED_ROWS, 2 * longer) or k - cuts[-1] >= MOST_JOINED:
            cuts.append(k)
            grown, longer = int(high[k]), int(high[k] - low[k])
        end, longest = grown, longer
    for a, b in pairwise([*cuts, len(order)]):
        yield order[a:b], int(low[a]), int(high[a:b].max())
