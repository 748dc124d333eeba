"""Tracks and proposals of a whole recording, computed by the same steps as in a session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..features.features import Features
from ..session.dispatch import run_locator
from ..session.islands import IslandFinder
from ..session.jobs import LocateJob, ScoreJob
from ..session.plan import BLOCK
from ..session.post import fuse, propose
from ..session.score_runs import run_scorer
from ._model import Proposal, TrackSpan

if TYPE_CHECKING:
    from ..localizer import Localizer

F32 = npt.NDArray[np.float32]
MOST = 4000  # maximum number of proposals in a report; more are indistinguishable


def tracks_of(localizer: Localizer, span: Features) -> TrackSpan:
    """Class tracks and actionness [T, C + 1] of a span, computed in blocks with full context on both sides."""
    plan, rows = localizer.plan, span.data
    parts: list[F32] = [np.zeros((0, len(plan.labels) + 1), np.float32)]
    for at in range(0, len(rows), BLOCK):
        stop = min(at + BLOCK, len(rows))
        low, high = max(at - plan.left, 0), min(stop + plan.right, len(rows))
        job = LocateJob(np.ascontiguousarray(rows[low:high]), inner=at - low >= plan.left)
        parts.append(run_locator(job, localizer.backend)[at - low : stop - low])
    return TrackSpan(np.concatenate(parts), plan.stride_s, span.start_s)


def proposals_of(localizer: Localizer, span: Features, tracks: TrackSpan) -> list[Proposal]:
    """Proposals of all islands with their aligned confidence, before boundary adaptation and suppression."""
    plan, post, total = localizer.plan, localizer.plan.post, len(span.data)
    longest = int(post.max_island_s // plan.stride_s)
    found: list[Proposal] = []
    finder = IslandFinder(len(plan.labels), post.class_thresholds[0], longest)
    for island in finder.feed(np.ascontiguousarray(tracks.values), 0, 0, final=True):
        c, label = island.label, plan.labels[island.label]
        window = island.window(plan.context, first=0, known=total)
        values = np.ascontiguousarray(tracks.values[window.low : window.high])
        proposals = propose(values[:, :-1], values[:, -1], post, stride_s=plan.stride_s, label=c, bounds=window.bounds)
        if not len(proposals.label):
            continue
        job = ScoreJob(
            span.data[window.low : window.high],
            values,
            proposals.segments.astype(np.float32),
            proposals.label,
            inner=False,
        )
        scores = fuse(proposals, run_scorer(job, localizer.backend) if post.fusion.needs_head else None, post)
        seconds = span.start_s + (window.low + proposals.segments + 0.5) * plan.stride_s
        index = plan.labels.index(label)
        found += [
            Proposal(label, float(a), float(b), plan.scores(index, float(s), degraded=False)[0])
            for (a, b), s in zip(seconds, scores, strict=True)
        ]
    return found


def thin_proposals(proposals: Sequence[Proposal], most: int = MOST) -> tuple[Proposal, ...]:
    """At most about `most` proposals: the best ones of each class and thousandth of the duration, so none is empty."""
    if len(proposals) <= most:
        return tuple(proposals)
    start = min(c.start for c in proposals)
    span = max(max(c.end for c in proposals) - start, 1e-9)
    groups: dict[tuple[str, int], list[Proposal]] = {}
    for proposal in proposals:
        cell = int(1000 * ((proposal.start + proposal.end) / 2 - start) / span)
        groups.setdefault((proposal.label, cell), []).append(proposal)
    for group in groups.values():
        group.sort(key=lambda c: -c.score)
    selected: list[Proposal] = []
    rank = 0
    while len(selected) < most and rank < max(len(g) for g in groups.values()):
        layer = sorted((g[rank] for g in groups.values() if rank < len(g)), key=lambda c: -c.score)
        selected += layer[: most - len(selected)]
        rank += 1
    return tuple(selected)
