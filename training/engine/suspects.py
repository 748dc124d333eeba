"""Probable label errors among the clicks of the training videos."""

from __future__ import annotations

from punctum.runtime.datasets.dataset import Point
from punctum.runtime.diagnosis.held_out import HeldOut
from punctum.runtime.diagnosis.suspects import find_suspects

from ..data.videos import TrainingSet


def count_suspects(data: TrainingSet, held_out: HeldOut) -> int:
    """Number of labels of the training videos that confident events contradict."""
    stride_s = data.stride_s
    clicks = {
        s.video: [
            Point(int(label), s.start_s + (float(position) + 0.5) * stride_s)
            for label, position in zip(s.clicks.label, s.clicks.position, strict=True)
        ]
        for s in data.samples
        if not s.partly
    }
    unjudged = held_out.unjudged(clicks)
    found = find_suspects(held_out.events(), clicks, data.labels)
    return sum(each.contradicted for each in found if each.clicked not in unjudged)
