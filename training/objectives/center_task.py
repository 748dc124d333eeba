"""Trains a center scorer on the proposals of the training videos; implements `engine.task.Task`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from punctum.runtime.datatypes import compact
from torch import Tensor

from ..arrays import F32, F64
from ..config import CenterObjective
from ..data.center_labels import ProposalLabels, label_proposals, update_points
from ..data.proposals import VideoProposals
from ..data.videos import Sample
from ..models.center import CenterHead, Pooled, ProposalHead
from ..records import Record
from .center import csl_loss
from .pooled import PooledSegments


@compact
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CenterVideo:
    """One training video of the center scorer: tracks float32 [T, C + 1] of the locator (class tracks, actionness)."""

    sample: Sample
    tracks: F32
    proposals: VideoProposals


class CenterTask:
    """Center score learning with the saliency point update. Videos without proposals are left out (defect P3)."""

    name = "center"

    def __init__(
        self,
        head: ProposalHead,
        videos: Sequence[CenterVideo],
        held_out: Sequence[CenterVideo],
        rule: CenterObjective,
        *,
        epochs: int,
        seed: int,
    ) -> None:
        self.module, self.rule, self.seed = head, rule, seed
        self.device = next(head.parameters()).device
        self.videos = [v for v in videos if len(v.proposals) and not v.sample.partly]
        self.held_out = [v for v in held_out if len(v.proposals)]
        self.per_epoch = max(-(-len(self.videos) // rule.batch), 1)
        self.steps = epochs * self.per_epoch if self.videos else 0
        self.points: list[F64] = [v.sample.clicks.position.copy() for v in self.videos]
        self.updated = -1  # step of the last point update
        if isinstance(head, CenterHead) and self.videos:
            lengths = np.concatenate([np.diff(v.proposals.segments, axis=1)[:, 0] for v in self.videos])
            head.fit(
                [torch.from_numpy(v.sample.features) for v in self.videos], torch.from_numpy(lengths).to(self.device)
            )
        self._pooled, self._pooled_held_out = self._pool(self.videos), self._pool(self.held_out)
        self._labels = [self._label(v, p) for v, p in zip(self.videos, self.points, strict=True)]
        self.describe: Record = {
            "videos": len(self.videos),
            "videos_without_proposals": len(videos) - len(self.videos),
            "proposals": sum(len(v.proposals) for v in self.videos),
        }

    def step_loss(self, step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        self._update_points(step)
        epoch, part = divmod(step, self.per_epoch)
        order = np.random.default_rng([self.seed, 2, epoch]).permutation(len(self.videos))
        chosen = np.array_split(order, self.per_epoch)[part]
        total = torch.zeros((), device=self.device)
        sums: dict[str, float] = {}
        for index in chosen.tolist():
            rows = rng.permutation(len(self.videos[index].proposals))[: self.rule.max_proposals]
            picked = torch.from_numpy(rows + self._pooled.first[index]).to(self.device)
            loss, terms = self._loss(self._pooled.rows(picked), self._labels[index], rows)
            total = total + loss / len(chosen)
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) / len(chosen)
        return total, sums

    def criterion(self) -> float:
        """Minus the loss on the held-out training videos, labeled from their clicks."""
        values = []
        self.module.eval()
        with torch.no_grad():
            for index, video in enumerate(self.held_out):
                labels = self._label(video, video.sample.clicks.position)
                first, last = self._pooled_held_out.first[index : index + 2]
                total, at = 0.0, 0
                for part in self._pooled_held_out.parts(int(first), int(last)):
                    rows = np.arange(at, at + len(part.length))
                    loss, _ = self._loss(part, labels, rows)
                    total, at = total + float(loss) * len(rows), at + len(rows)
                values.append(-total / at)
        self.module.train()
        return float(np.mean(values)) if values else 0.0

    def extra_state(self) -> dict[str, Tensor]:
        state = {f"points{i}": torch.from_numpy(p) for i, p in enumerate(self.points)}
        return state | {"updated": torch.tensor(self.updated)}

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        points = [state[f"points{i}"].numpy().astype(np.float64) for i in range(len(self.videos))]
        if any(p.shape != old.shape or not np.isfinite(p).all() for p, old in zip(points, self.points, strict=True)):
            raise ValueError("the points do not fit the videos")
        self.points = points
        self.updated = int(state["updated"])
        self._labels = [self._label(v, p) for v, p in zip(self.videos, self.points, strict=True)]

    def _loss(self, pooled: Pooled, labels: ProposalLabels, rows: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of the proposals `rows` of one video, whose features are `pooled`."""
        classes = torch.from_numpy(labels.classes[rows]).to(self.device)
        center = torch.from_numpy(labels.center[rows]).to(self.device)
        has_attention = self.module.config.attention or self.module.config.kind == "published"
        total = torch.zeros((), device=self.device)
        sums: dict[str, Tensor] = {}
        for z in self.module.member_logits(pooled):
            loss, terms = csl_loss(z, classes, center, self.rule, has_attention=has_attention)
            total = total + loss
            sums = {name: sums.get(name, 0.0) + value for name, value in terms.items()}
        return total, sums

    def _label(self, video: CenterVideo, points: F64) -> ProposalLabels:
        clicks = video.sample.clicks
        return label_proposals(
            video.proposals.segments,
            points,
            clicks.label,
            classes=self.module.classes,
            rule=self.rule,
            order=clicks.order,
            proposal_label=video.proposals.label,
        )

    def _pool(self, videos: Sequence[CenterVideo]) -> PooledSegments:
        return PooledSegments(
            self.module,
            [v.sample.features for v in videos],
            [v.tracks for v in videos],
            [v.proposals.segments for v in videos],
            [v.proposals.label for v in videos],
        )

    def _update_points(self, step: int) -> None:
        rule = self.rule
        if rule.update == "none" or step == 0 or step % rule.update_every or self.updated == step:
            return
        self.module.eval()
        with torch.no_grad():
            for index, video in enumerate(self.videos):
                first, last = self._pooled.first[index : index + 2]
                parts = [self.module.center_score(part) for part in self._pooled.parts(int(first), int(last))]
                score = torch.cat(parts).double().cpu().numpy()
                self.points[index] = update_points(
                    video.proposals.segments,
                    self._labels[index].click,
                    score,
                    original=video.sample.clicks.position,
                    current=self.points[index],
                    threshold=rule.update_threshold,
                    published=rule.update == "published",
                )
                self._labels[index] = self._label(video, self.points[index])
        self.module.train()
        self.updated = step
