"""The default objective of the center scorer: tIoU with the pseudo segments of each class.

The published center label rewards every proposal that is centered on a click, whatever its length. Here the target is
the tIoU with pseudo segments, which follow from clicks and tracks (data/pseudo.py), so nested proposals of different
length get different targets. Training uses jittered pseudo segments instead of the locator's own proposals, which are
too accurate on the videos that it was trained on; proposals of another base locator are added.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from punctum import kernels
from torch import Tensor

from ..arrays import F32, F64
from ..config import QualityObjective
from ..data.pseudo import align_clicks, best_offset, sample_segments
from ..models.center import CenterHead, Pooled
from ..records import Record
from .center_task import CenterVideo
from .pooled import PooledSegments

CANDIDATE_BYTES = 1 << 30  # bound of the pooled candidates; with many clicks, each gets fewer candidates


class QualityTask:
    """Cross-entropy of class probabilities and tIoU; the center score learns the largest tIoU.

    Implements `engine.task.Task`.
    """

    name = "center"

    def __init__(
        self,
        head: CenterHead,
        videos: Sequence[CenterVideo],
        held_out: Sequence[CenterVideo],
        rule: QualityObjective,
        *,
        epochs: int,
        seed: int,
        use_proposals: bool = False,
    ) -> None:
        """use_proposals: the videos' proposals, which come from another base locator, are candidates too."""
        self.module, self.rule, self.use_proposals = head, rule, use_proposals
        self.device = next(head.parameters()).device
        clicks = sum(len(v.sample.clicks) for v in videos)
        row = head.config.bins * (head.dim + 2) * 4
        per_click = max(int(CANDIDATE_BYTES / max(clicks * row, 1)), 3)
        around = min(rule.around, max(2 * per_click // 3, 2))
        elsewhere = min(rule.elsewhere, max(per_click - around, 1))
        rng = np.random.default_rng([seed, 4])
        self.offset = best_offset([(v.tracks, v.sample.clicks) for v in videos])
        candidates = [self._candidates(v, around, elsewhere, rng) for v in videos]
        lengths = np.concatenate([np.diff(s, axis=1)[:, 0] for s, _ in candidates])
        head.fit([torch.from_numpy(v.sample.features) for v in videos], torch.from_numpy(lengths).to(self.device))
        self.pooled, self.target = self._gather(videos, candidates)
        held_out_candidates = [self._candidates(v, around, elsewhere, rng) for v in held_out]
        self.held_out = self._gather(held_out, held_out_candidates) if held_out else None
        self.steps = epochs * max(-(-len(self.target) // rule.batch), 1) if len(self.target) else 0
        self.describe: Record = {"pseudo_segments": clicks, "candidates": len(self.target), "offset": self.offset}

    def step_loss(self, step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        rows = torch.from_numpy(rng.integers(0, len(self.target), self.rule.batch)).to(self.device)
        loss, terms = self._loss(self.pooled.rows(rows), self.target[rows])
        return loss, {name: float(value.detach()) for name, value in terms.items()}

    def criterion(self) -> float:
        """Minus the loss on the held-out training videos; needs their clicks and tracks only."""
        if self.held_out is None or not len(self.held_out[1]):
            return 0.0
        self.module.eval()
        pooled, target = self.held_out
        total, at = 0.0, 0
        with torch.no_grad():
            for part in pooled.parts(0, len(pooled)):
                end = at + len(part.length)
                loss, _ = self._loss(part, target[at:end])
                total, at = total + float(loss) * (end - at), end
        self.module.train()
        return -total / len(target)

    def extra_state(self) -> dict[str, Tensor]:
        return {}

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        """No state passes from step to step."""

    def _loss(self, pooled: Pooled, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of pooled candidates, summed over the members of the head."""
        best = 1.0 - target[:, -1]
        point = torch.zeros((), device=self.device)
        saliency = torch.zeros((), device=self.device)
        for z in self.module.member_logits(pooled):
            point = point - (target * torch.log_softmax(z.classes, dim=1)).sum(1).mean()
            saliency = saliency + ((torch.sigmoid(z.center) - best) ** 2).mean()
        return point + self.rule.saliency_weight * saliency, {"quality": point, "saliency": saliency}

    def _candidates(self, video: CenterVideo, around: int, elsewhere: int, rng: np.random.Generator) -> tuple[F64, F32]:
        """Candidates [N, 2] of one video, and targets [N, C + 1]: tIoU per class, scaled to a sum of at most 1, and the
        remainder for background."""
        clicks = video.sample.clicks
        pseudo = align_clicks(video.tracks, clicks, offset=self.offset)
        sure = np.array([(f - 0.5, e - 0.5) for f, e, label in video.sample.background if label is None]).reshape(-1, 2)
        # Where only clicks and certified background are known, candidates elsewhere have no target.
        free = 0 if video.sample.partly else elsewhere
        segments = sample_segments(pseudo, len(video.tracks), around=around, elsewhere=free, rng=rng)
        segments = np.concatenate([segments, sample_segments(sure, len(video.tracks), around=3, elsewhere=0, rng=rng)])
        if self.use_proposals:
            segments = np.concatenate([segments, video.proposals.segments])
        target = np.zeros((len(segments), self.module.classes + 1), np.float32)
        overlap = kernels.segment_iou(segments, pseudo)
        for j, label in enumerate(clicks.label):
            target[:, label] = np.maximum(target[:, label], overlap[:, j])
        target /= np.maximum(target.sum(1, keepdims=True), 1.0)
        target[:, -1] = 1.0 - target[:, :-1].sum(1)
        return segments, target

    def _gather(
        self, videos: Sequence[CenterVideo], candidates: Sequence[tuple[F64, F32]]
    ) -> tuple[PooledSegments, Tensor]:
        pooled = PooledSegments(
            self.module,
            [v.sample.features for v in videos],
            [v.tracks for v in videos],
            [segments for segments, _ in candidates],
            [np.zeros(len(segments), np.int64) for segments, _ in candidates],
        )
        return pooled, torch.from_numpy(np.concatenate([target for _, target in candidates])).to(self.device)
