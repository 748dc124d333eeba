"""Training of a proposal-level head over videos with tracks and proposals. See `loop.Task`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from punctum.runtime._values import compact
from torch import Tensor

from ..center_labels import ProposalLabels, label_proposals, update_points
from ..config import CenterObjective
from ..data import Sample
from ..labels import F32, F64
from ..modules.center import CenterHead, Pooled, ProposalHead
from ..proposals import VideoProposals
from .center import ptal_loss

CACHE_BYTES = 1 << 30  # pooled features are kept up to this size, and recomputed each step beyond it


@compact
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CenterVideo:
    """One training video of the head: tracks float32 [T, C+1] = [P, A] of the locator, and proposals."""

    sample: Sample
    tracks: F32
    proposals: VideoProposals


class CenterTask:
    """Trains a ProposalHead on the point and saliency losses. Videos without proposals are left out (P3)."""

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
        self.videos = [v for v in videos if len(v.proposals)]
        self.held_out = [v for v in held_out if len(v.proposals)]
        self.per_epoch = max(-(-len(self.videos) // rule.batch), 1)
        self.steps = epochs * self.per_epoch if self.videos else 0
        self.points: list[F64] = [v.sample.clicks.position.copy() for v in self.videos]
        self.updated = -1  # step at which the points were updated last
        if isinstance(head, CenterHead) and self.videos:
            lengths = np.concatenate([np.diff(v.proposals.segments, axis=1)[:, 0] for v in self.videos])
            features = [torch.from_numpy(v.sample.features).to(self.device) for v in self.videos]
            head.fit(features, torch.from_numpy(lengths).to(self.device))
        row = head.config.bins * (head.dim + 2) * 4
        self._cached = sum(len(v.proposals) for v in self.videos) * row <= CACHE_BYTES
        self._cache: dict[int, Pooled] = {}
        self._labels = [self._label(v, p) for v, p in zip(self.videos, self.points, strict=True)]
        self.describe: dict[str, Any] = {
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
            loss, terms = self._loss(self._pooled(index), self._labels[index], rows)
            total = total + loss / len(chosen)
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) / len(chosen)
        return total, sums

    def criterion(self) -> float:
        """Minus the loss on the held-out training videos, labelled from their points. Higher is better."""
        values = []
        self.module.eval()
        with torch.no_grad():
            for video in self.held_out:
                labels = self._label(video, video.sample.clicks.position)
                loss, _ = self._loss(self._pool(video), labels, np.arange(len(video.proposals)))
                values.append(-float(loss))
        self.module.train()
        return float(np.mean(values)) if values else 0.0

    def extra_state(self) -> dict[str, Tensor]:
        state = {f"points{i}": torch.from_numpy(p) for i, p in enumerate(self.points)}
        return state | {"updated": torch.tensor(self.updated)}

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        self.points = [state[f"points{i}"].numpy().copy() for i in range(len(self.videos))]
        self.updated = int(state["updated"])
        self._labels = [self._label(v, p) for v, p in zip(self.videos, self.points, strict=True)]

    def _loss(self, pooled: Pooled, labels: ProposalLabels, rows: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        index = torch.from_numpy(rows).to(self.device)
        classes = torch.from_numpy(labels.classes[rows]).to(self.device)
        center = torch.from_numpy(labels.center[rows]).to(self.device)
        learns_attention = self.module.config.attention or self.module.config.kind == "published"
        total = torch.zeros((), device=self.device)
        sums: dict[str, Tensor] = {}
        for z in self.module.member_logits(pooled.rows(index)):
            loss, terms = ptal_loss(z, classes, center, self.rule, has_attention=learns_attention)
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

    def _pool(self, video: CenterVideo) -> Pooled:
        with torch.no_grad():
            return self.module.pool(
                torch.from_numpy(video.sample.features).to(self.device),
                torch.from_numpy(video.tracks).to(self.device),
                torch.from_numpy(video.proposals.segments.astype(np.float32)).to(self.device),
                torch.from_numpy(video.proposals.label).to(self.device),
            )

    def _pooled(self, index: int) -> Pooled:
        if index not in self._cache:
            pooled = self._pool(self.videos[index])
            if not self._cached:
                return pooled
            self._cache[index] = pooled
        return self._cache[index]

    def _update_points(self, step: int) -> None:
        rule = self.rule
        if rule.update == "none" or step == 0 or step % rule.update_every or self.updated == step:
            return
        self.module.eval()
        with torch.no_grad():
            for index, video in enumerate(self.videos):
                score = self.module.center_score(self._pooled(index)).double().cpu().numpy()
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
