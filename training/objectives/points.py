"""Default objective: cross-entropy at the clicks and in the middle between them, and smooth tracks.

A click says what happens at one snippet. Between two neighbouring clicks the actions must end somewhere, so a
random snippet of the middle part of the gap is taken for background: sometimes wrong where actions touch, but
a new draw each step (or, with crops, an even share over the middle) makes it a soft label. Nothing else is
supervised; small networks and heavy dropout do the rest (hundreds of clicks over-fit anything larger).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as fn

from ..arrays import F32, F64, I64
from ..config import PointsObjective
from ..data.click_position import background_position
from ..data.videos import Sample, TrainingSet
from ..models.locator import LocatorNet
from .bank import WindowBank


def gaps_of(sample: Sample, *, share: float, edges: bool, at_part: float = 0.5, after: bool = True) -> F64:
    """Stretches [G, 2] (snippet-centre coordinates) in which background is drawn.

    The part `share` of each gap between neighbouring clicks, centred at the part `at_part` of it: people click
    soon after an action starts, so its end, and the pause after it, lie nearer to the next click. With `edges` also
    the outer part of the stretch before the first and after the last click, as if a click stood that far beyond
    the end of the video, and all of a video without clicks; not `after` the last click where recordings tend to break
    off in the last action.
    """
    at, last = np.unique(sample.clicks.position), len(sample.features) - 0.5
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


Windows = tuple[I64, I64, Tensor, Tensor]  # videos, first snippets, logits, click loss


class PointsTask:
    """Trains a LocatorNet on the default objective. See `loop.Task`."""

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
        self.site_video, self.site, self.site_target = _sites(samples, net.classes)
        edges = wants_edges(samples, objective)
        gaps = [_gaps(s, objective, edges=edges) for s in samples]
        self.gap = np.concatenate([*gaps, np.zeros((0, 2))])
        self.gap_video = np.repeat(np.arange(len(samples)), [len(g) for g in gaps])
        self.clicked = {(int(v), int(t)) for v, t in zip(self.site_video, self.site, strict=True)}
        self._targets: Tensor | None = None
        if objective.sampling == "crops":
            self._targets = self.bank.scatter(even_targets(samples, objective, net.classes))
            self.per_epoch = max(-(-int(self.bank.length.sum()) // (objective.batch * objective.window)), 1)
        else:
            self.per_epoch = -(-len(self.site) // objective.batch)
        self.steps = epochs * self.per_epoch
        self.held_out = data.held_out
        self.describe: dict[str, Any] = {
            "clicked_snippets": len(self.site),
            "background_gaps": len(self.gap),
            "edge_background": edges,
            "background_at": objective.background_at,
        }

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
        """Clicks, as many gap middles, and as many free windows (for smoothness); each site is labelled alone."""
        epoch, part = divmod(step, self.per_epoch)
        order = np.random.default_rng([self.seed, 1, epoch]).permutation(len(self.site))
        chosen = np.array_split(order, self.per_epoch)[part]
        video, site, target = self.site_video[chosen], self.site[chosen], self.site_target[chosen]
        empty_video, empty_site = self._draw_background(len(chosen), rng)
        free_video, free_site = self._draw_anywhere(len(chosen), rng)
        background = np.zeros((len(empty_site), target.shape[1]), np.float32)
        background[:, -1] = 1.0
        videos = np.concatenate([video, empty_video, free_video])
        sites = np.concatenate([site, empty_site, free_site])
        first = self.bank.place(videos, sites, rng)
        logits = self._run(videos, first)
        labelled = len(site) + len(empty_site)
        row = torch.arange(labelled, device=self.device)
        place = torch.from_numpy((sites - first)[:labelled]).to(self.device)
        y = torch.from_numpy(np.concatenate([target, background])).to(self.device)
        z = logits[:, row, :, place].transpose(0, 1)
        return videos, first, logits, self._click_loss(z, y)

    def _crops(self, rng: np.random.Generator) -> Windows:
        """Stretches of video in which every click and every gap middle counts."""
        videos, first = self.bank.anywhere(self.objective.batch, rng)
        window = self.bank.window
        seen = np.full(len(videos), window + self.module.right)
        if self.objective.hide_future:
            hidden = rng.random(len(videos)) < self.objective.hide_future
            seen[hidden] = rng.integers(1, window + 1, int(hidden.sum()))
        logits = self._run(videos, first, seen)
        y = self.bank.gather_rows(self._targets, videos, first)
        known = torch.from_numpy(np.arange(window) < seen[:, None]).to(self.device)
        y = (y * known[:, :, None]).flatten(0, 1)
        z = logits.transpose(2, 3).flatten(1, 2)
        known = y.sum(1) > 0
        return videos, first, logits, self._click_loss(z[:, known], y[known])

    def _run(self, videos: I64, first: I64, seen: I64 | None = None) -> Tensor:
        """Logits of windows; of their outputs and the context after them only the first `seen` snippets are shown."""
        x = self.bank.gather(videos, first)
        if seen is not None and self.objective.hide_future:
            reach = np.arange(-self.module.left, self.bank.window + self.module.right)
            x = x * torch.from_numpy(reach < seen[:, None]).to(self.device)[:, :, None]
        if self.objective.noise:
            x = x + self.objective.noise * torch.randn_like(x)
        logits: Tensor = self.module.windows(x).logits  # [K, B, C+1, W]
        return logits

    def _click_loss(self, z: Tensor, y: Tensor) -> Tensor:
        return label_loss(z, y, self.module.config.output, self.objective.label_smoothing)

    def criterion(self) -> float:
        """Mean log-probability at held-out clicks and gap middles: needs points only. Higher is better."""
        rule = self.objective
        return point_log_likelihood(self.module, self.held_out, share=rule.background_share, at_part=_at(rule))

    def extra_state(self) -> dict[str, Tensor]:
        return {}

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        """Nothing is carried from step to step."""

    def _draw_background(self, count: int, rng: np.random.Generator) -> tuple[I64, I64]:
        if len(self.gap) == 0:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        which = rng.permutation(len(self.gap))[:count]
        video = self.gap_video[which]
        at = np.rint(rng.uniform(self.gap[which, 0], self.gap[which, 1])).astype(np.int64)
        at = np.clip(at, 0, self.bank.length[video] - 1)
        free = np.array([(int(v), int(t)) not in self.clicked for v, t in zip(video, at, strict=True)], bool)
        return video[free], at[free]

    def _draw_anywhere(self, count: int, rng: np.random.Generator) -> tuple[I64, I64]:
        ends = np.cumsum(self.bank.length)
        at = rng.integers(0, ends[-1], count)
        video = np.searchsorted(ends, at, side="right")
        return video, at - (ends - self.bank.length)[video]


def even_targets(samples: Sequence[Sample], objective: PointsObjective, classes: int) -> list[F32]:
    """Targets [T, C+1] per video, for whole stretches of it; a row's sum is its weight, 0 where nothing is known.

    Background: `background_weight` a snippet, so that long pauses count for more than short ones, or with None
    a weight of 1 a gap. Clicks of rare classes count for more (`balance`); the rarest weighs 1.
    """
    video_of, sites, site_targets = _sites(samples, classes)
    edges = wants_edges(samples, objective)
    targets = [np.zeros((len(s.features), classes + 1), np.float32) for s in samples]
    clicks = np.maximum(site_targets[:, :classes].sum(0), 1.0)
    weight = (clicks.min() / clicks) ** objective.balance
    scale = float((weight * clicks).sum() / clicks.sum())  # what a click weighs on average
    for sample, rows in zip(samples, targets, strict=True):
        for low, high in _gaps(sample, objective, edges=edges):
            at = np.unique(np.clip(np.rint(np.arange(low, high + 1e-6, 0.5)).astype(int), 0, len(rows) - 1))
            share = 1.0 / len(at) if objective.background_weight is None else objective.background_weight
            rows[at, classes] += share * scale
    for video, site, target in zip(video_of, sites, site_targets, strict=True):
        row = target / target.sum()
        row[:classes] *= weight
        targets[video][site] = row
    return targets


def label_loss(logits: Tensor, target: Tensor, output: str, label_smoothing: float) -> Tensor:
    """Loss of logits [K, N, C+1] against targets [N, C+1], summed over members.

    Each row counts by its weight (its sum, at most 1). A snippet with several classes: softmax shares the
    probability among them, sigmoid asks for all of them.
    """
    weight = torch.clamp(target.sum(1), max=1.0)
    if output == "softmax":
        y = target / target.sum(1, keepdim=True)
        if label_smoothing:
            y = (1.0 - label_smoothing) * y + label_smoothing / y.shape[1]
        rows = -(y * torch.log_softmax(logits, dim=-1)).sum(-1)
    else:
        y = (target > 0).to(target.dtype).expand_as(logits)
        rows = fn.binary_cross_entropy_with_logits(logits, y, reduction="none").sum(-1)
    return ((rows * weight).sum(1) / torch.clamp(weight.sum(), min=1e-6)).sum()


def point_log_likelihood(net: LocatorNet, samples: Sequence[Sample], *, share: float, at_part: float = 0.5) -> float:
    """Mean over clicks of log P[label], and over gap middles of log background, averaged half and half."""
    device = next(net.parameters()).device
    click: list[F32] = []
    empty: list[F32] = []
    training = net.training
    net.eval()
    with torch.no_grad():
        for sample in samples:
            p, a = (t.cpu().numpy() for t in net(torch.from_numpy(sample.features).to(device)))
            click.append(p[sample.clicks.snippet, sample.clicks.label])
            middle = gaps_of(sample, share=share, at_part=at_part, edges=False).mean(1)
            empty.append(1.0 - a[np.clip(np.rint(middle).astype(int), 0, len(a) - 1)])
    net.train(training)
    parts = [np.log(np.maximum(np.concatenate(x), 1e-6)).mean() for x in (click, empty) if sum(map(len, x))]
    return float(np.mean(parts)) if parts else 0.0


def _sites(samples: Sequence[Sample], classes: int) -> tuple[I64, I64, F32]:
    """Clicked snippets: video [N], snippet [N], multi-hot target [N, C+1] with an empty background column."""
    videos, sites, targets = [], [], []
    for index, sample in enumerate(samples):
        snippets, inverse = np.unique(sample.clicks.snippet, return_inverse=True)
        target = np.zeros((len(snippets), classes + 1), np.float32)
        target[inverse, sample.clicks.label] = 1.0
        videos.append(np.full(len(snippets), index, np.int64))
        sites.append(snippets)
        targets.append(target)
    return np.concatenate(videos), np.concatenate(sites), np.concatenate(targets)


def wants_edges(samples: Sequence[Sample], objective: PointsObjective) -> bool:
    """Whether background is also taken outside the first and last click ("auto": only where there is no gap)."""
    if objective.edge_background == "auto":
        return not any(len(_gaps(s, objective, edges=False)) for s in samples)
    return objective.edge_background != "never"


def _at(objective: PointsObjective) -> float:
    """The position that was asked for; "auto" is settled when a task is made, and without its data means 0.7."""
    return 0.7 if objective.background_at == "auto" else objective.background_at


def _gaps(sample: Sample, objective: PointsObjective, *, edges: bool) -> F64:
    return gaps_of(
        sample,
        share=objective.background_share,
        at_part=_at(objective),
        edges=edges,
        after=objective.edge_background != "before",
    )
