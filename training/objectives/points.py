"""The default objective of the locator: cross-entropy at clicks and between clicks, and smooth tracks.

A click gives the class of one snippet. Between two neighboring clicks the first action must end, so a random snippet
of the middle part of the gap is taken as background. This is sometimes wrong where actions touch, but a new draw at
each step (with crops: a uniform share over the middle part) makes it a soft label. Nothing else is supervised; small
networks and strong dropout prevent overfitting to a few hundred clicks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as fn

from ..arrays import F32, F64, I64
from ..config import PointsObjective
from ..data.click_position import background_position
from ..data.videos import Sample, TrainingSet
from ..models.locator import LocatorNet
from ..records import Record
from .bank import WindowBank


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
        Intervals [G, 2] in snippet-center coordinates.
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
        self.describe: Record = {
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
        """Clicks, as many background snippets, and as many unlabeled windows for smoothness; one label per window."""
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
        labeled = len(site) + len(empty_site)
        row = torch.arange(labeled, device=self.device)
        place = torch.from_numpy((sites - first)[:labeled]).to(self.device)
        y = torch.from_numpy(np.concatenate([target, background])).to(self.device)
        z = logits[:, row, :, place].transpose(0, 1)
        return videos, first, logits, self._click_loss(z, y)

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
        known = torch.from_numpy(np.arange(window) < seen[:, None]).to(self.device)
        y = (y * known[:, :, None]).flatten(0, 1)
        z = logits.transpose(2, 3).flatten(1, 2)
        known = y.sum(1) > 0
        return videos, first, logits, self._click_loss(z[:, known], y[known])

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

    def _click_loss(self, z: Tensor, y: Tensor) -> Tensor:
        return label_loss(z, y, self.module.config.output, self.objective.label_smoothing)

    def criterion(self) -> float:
        """Mean log-probability at clicks and background of the held-out training videos; needs clicks only."""
        rule = self.objective
        return point_log_likelihood(self.module, self.held_out, share=rule.background_share, at_part=_at(rule))

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

    def _draw_anywhere(self, count: int, rng: np.random.Generator) -> tuple[I64, I64]:
        ends = np.cumsum(self.bank.length)
        at = rng.integers(0, ends[-1], count)
        video = np.searchsorted(ends, at, side="right")
        return video, at - (ends - self.bank.length)[video]


def even_targets(samples: Sequence[Sample], objective: PointsObjective, classes: int) -> list[F32]:
    """Targets of whole videos. The sum of a row is its weight, 0 for unlabeled snippets.

    Every background snippet weighs `background_weight`, so long gaps weigh more than short ones; with None, a gap
    weighs 1. Clicks of rare classes weigh more (`balance`); those of the rarest class weigh 1.

    Returns:
        float32 [T, C + 1] for every video.
    """
    video_of, sites, site_targets = _sites(samples, classes)
    edges = wants_edges(samples, objective)
    targets = [np.zeros((len(s.features), classes + 1), np.float32) for s in samples]
    clicks = np.maximum(site_targets[:, :classes].sum(0), 1.0)
    weight = (clicks.min() / clicks) ** objective.balance
    scale = float((weight * clicks).sum() / clicks.sum())  # mean weight of a click
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
    """Weighted cross-entropy, summed over members. The weight of a row is its sum, at most 1.

    In a snippet with several classes, softmax divides the probability among them, and sigmoid requires all of them.

    Args:
        logits: [K, N, C + 1].
        target: [N, C + 1].
        output: "softmax" or "sigmoid".
        label_smoothing: of the softmax.
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
    """Mean of two means: log P[label] over clicks, and log background over the centers of gaps."""
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


def wants_edges(samples: Sequence[Sample], objective: PointsObjective) -> bool:
    """Whether background is also drawn outside the first and last click ("auto": only if no video has a gap)."""
    if objective.edge_background == "auto":
        return not any(len(_gaps(s, objective, edges=False)) for s in samples)
    return objective.edge_background != "never"


def _at(objective: PointsObjective) -> float:
    """The recipe's position of background; 0.7 for "auto", which `PointsTask` replaces by an estimate."""
    return 0.7 if objective.background_at == "auto" else objective.background_at


def _gaps(sample: Sample, objective: PointsObjective, *, edges: bool) -> F64:
    return gaps_of(
        sample,
        share=objective.background_share,
        at_part=_at(objective),
        edges=edges,
        after=objective.edge_background != "before",
    )
