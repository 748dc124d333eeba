"""The default objective of the locator: cross-entropy at clicks and between clicks, and smooth tracks.

A click gives the class of one snippet. Between two neighboring clicks the first action must end, so a random snippet
of the middle part of the gap is taken as background. This is sometimes wrong where actions touch, but a new draw at
each step (with crops: a uniform share over the middle part) makes it a soft label. Nothing else is supervised; small
networks and strong dropout prevent overfitting to a few hundred clicks.

Certified background, where a person says that no action takes place, is background like that between clicks; where only
one class is excluded, the loss lowers its probability and has no term for the others.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..arrays import I64
from ..config import PointsObjective
from ..data.click_position import background_position
from ..data.videos import TrainingSet
from ..models.locator import LocatorNet
from ..records import Record
from .bank import WindowBank
from .point_loss import label_loss, point_log_likelihood
from .point_targets import (
    background_at,
    clicked_sites,
    even_targets,
    excluded_classes,
    gaps_by_rule,
    rows_of,
    sure_gaps,
    wants_edges,
)

Windows = tuple[I64, I64, Tensor, Tensor]  # videos, first snippets, logits, click loss


class PointsTask:
    """Trains a locator network on the default objective. Implements `engine.task.Task`."""

    name = "locator"

    def __init__(
        self, net: LocatorNet, data: TrainingSet, objective: PointsObjective, *, epochs: int, seed: int
    ) -> None:
        if objective.background_at == "auto":
            objective = objective.model_copy(update={"background_at": background_position(data.samples)})
        self.module, self.objective, self.seed = net, objective, seed
        self.device = next(net.parameters()).device
        self.samples = samples = data.samples
        self.bank = WindowBank(net, samples, window=objective.window, device=self.device)
        self.site_video, self.site, self.site_target = clicked_sites(samples, net.classes)
        edges = wants_edges(samples, objective)
        gaps = [np.concatenate([gaps_by_rule(s, objective, edges=edges), sure_gaps(s)]) for s in samples]
        self.gap = np.concatenate([*gaps, np.zeros((0, 2))])
        self.gap_video = np.repeat(np.arange(len(samples)), [len(g) for g in gaps])
        self.clicked = {(int(v), int(t)) for v, t in zip(self.site_video, self.site, strict=True)}
        self._targets: Tensor | None = None
        excluded = excluded_classes(samples, objective, net.classes)
        self.excluded_video, self.excluded_site = rows_of(excluded)
        self._excluded: Tensor | None = None
        if len(self.excluded_site):
            self._excluded = self.bank.scatter(excluded)
        if objective.sampling == "crops":
            self._targets = self.bank.scatter(even_targets(samples, objective, net.classes))
            self.per_epoch = max(-(-int(self.bank.length.sum()) // (objective.batch * objective.window)), 1)
        else:
            self.per_epoch = -(-len(self.site) // objective.batch)
        self.steps = epochs * self.per_epoch
        self.held_out = data.held_out
        self.describe: Record = {
            "clicked_snippets": len(self.site),
            "background_gaps": len(self.gap),
            "edge_background": edges,
            "background_at": objective.background_at,
        }
        if spans := sum(len(s.background) for s in samples):
            self.describe["certified_spans"] = spans

    def step_loss(self, step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        videos, first, logits, click = self._crops(rng) if self._targets is not None else self._sites(step, rng)
        loss, terms = click, {"click": float(click.detach())}
        if self.objective.smoothness:
            at = first[:, None] + np.arange(1, self.bank.window)
            inside = torch.from_numpy((at >= 1) & (at < self.bank.length[videos][:, None])).to(self.device)
            p = self.module.probabilities(logits)
            jump = ((p[..., 1:] - p[..., :-1]) ** 2).sum(-2) * inside
            smooth = jump.sum() / inside.sum().clamp(min=1)
            loss = loss + self.objective.smoothness * smooth
            terms["smooth"] = float(smooth.detach())
        return loss, terms

    def _sites(self, step: int, rng: np.random.Generator) -> Windows:
        """Clicks, as many background snippets, and as many unlabeled windows for smoothness; one label per window."""
        epoch, part = divmod(step, self.per_epoch)
        order = np.random.default_rng([self.seed, 1, epoch]).permutation(len(self.site))
        chosen = np.array_split(order, self.per_epoch)[part]
        video, site, target = self.site_video[chosen], self.site[chosen], self.site_target[chosen]
        empty_video, empty_site = self._draw_background(len(chosen), rng)
        free_video, free_site = self._draw_anywhere(len(chosen), rng)
        not_video, not_site = self._draw_excluded(len(chosen), rng)
        background = np.zeros((len(empty_site), target.shape[1]), np.float32)
        background[:, -1] = 1.0
        unknown = np.zeros((len(not_site), target.shape[1]), np.float32)
        videos = np.concatenate([video, empty_video, not_video, free_video])
        sites = np.concatenate([site, empty_site, not_site, free_site])
        first = self.bank.place(videos, sites, rng)
        logits = self._run(videos, first)
        labeled = len(site) + len(empty_site) + len(not_site)
        row = torch.arange(labeled, device=self.device)
        place = torch.from_numpy((sites - first)[:labeled]).to(self.device)
        y = torch.from_numpy(np.concatenate([target, background, unknown])).to(self.device)
        z = logits[:, row, :, place].transpose(0, 1)
        excluded = None
        if self._excluded is not None:
            excluded = self.bank.gather_rows(self._excluded, videos[:labeled], first[:labeled])[row, place]
        return videos, first, logits, self._click_loss(z, y, excluded)

    def _crops(self, rng: np.random.Generator) -> Windows:
        """Windows of video in which every click and every background snippet is labeled."""
        videos, first = self.bank.anywhere(self.objective.batch, rng)
        window = self.bank.window
        seen = np.full(len(videos), window + self.module.right)
        if self.objective.hide_future:
            hidden = rng.random(len(videos)) < self.objective.hide_future
            seen[hidden] = rng.integers(1, window + 1, int(hidden.sum()))
        logits = self._run(videos, first, seen)
        y = self.bank.gather_rows(self._targets, videos, first)
        visible = torch.from_numpy(np.arange(window) < seen[:, None]).to(self.device)[:, :, None]
        y = (y * visible).flatten(0, 1)
        z = logits.transpose(2, 3).flatten(1, 2)
        if self._excluded is None:
            known = y.sum(1) > 0
            return videos, first, logits, self._click_loss(z[:, known], y[known])
        excluded = (self.bank.gather_rows(self._excluded, videos, first) * visible).flatten(0, 1)
        known = (y.sum(1) > 0) | (excluded.sum(1) > 0)
        return videos, first, logits, self._click_loss(z[:, known], y[known], excluded[known])

    def _run(self, videos: I64, first: I64, seen: I64 | None = None) -> Tensor:
        """Logits [K, B, C + 1, W] of windows. seen: snippets from the first output on before the future is hidden."""
        x = self.bank.gather(videos, first)
        if seen is not None and self.objective.hide_future:
            reach = np.arange(-self.module.left, self.bank.window + self.module.right)
            x = x * torch.from_numpy(reach < seen[:, None]).to(self.device)[:, :, None]
        if self.objective.noise:
            x = x + self.objective.noise * torch.randn_like(x)
        logits: Tensor = self.module.windows(x).logits
        return logits

    def _click_loss(self, z: Tensor, y: Tensor, excluded: Tensor | None = None) -> Tensor:
        return label_loss(z, y, self.module.config.output, self.objective.label_smoothing, excluded)

    def criterion(self) -> float:
        """Mean log-probability at clicks and background of the held-out training videos; needs clicks only."""
        rule = self.objective
        return point_log_likelihood(
            self.module, self.held_out, share=rule.background_share, at_part=background_at(rule)
        )

    def extra_state(self) -> dict[str, Tensor]:
        return {}

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        """No state passes from step to step."""

    def _draw_background(self, count: int, rng: np.random.Generator) -> tuple[I64, I64]:
        if len(self.gap) == 0:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        which = rng.permutation(len(self.gap))[:count]
        video = self.gap_video[which]
        at = np.rint(rng.uniform(self.gap[which, 0], self.gap[which, 1])).astype(np.int64)
        at = np.clip(at, 0, self.bank.length[video] - 1)
        free = np.array([(int(v), int(t)) not in self.clicked for v, t in zip(video, at, strict=True)], bool)
        return video[free], at[free]

    def _draw_excluded(self, count: int, rng: np.random.Generator) -> tuple[I64, I64]:
        """Snippets of which a class is excluded."""
        if len(self.excluded_site) == 0:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        which = rng.permutation(len(self.excluded_site))[:count]
        return self.excluded_video[which], self.excluded_site[which]

    def _draw_anywhere(self, count: int, rng: np.random.Generator) -> tuple[I64, I64]:
        ends = np.cumsum(self.bank.length)
        at = rng.integers(0, ends[-1], count)
        video = np.searchsorted(ends, at, side="right")
        return video, at - (ends - self.bank.length)[video]
