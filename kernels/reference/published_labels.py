"""TSPNet's labels of proposals from clicks, and their first saliency update, as released (CVPR 2024), restated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Of M proposals: classes [M, C] 0/1, center [M], first click or -1 [M], times of the clicks inside each."""

    classes: F64
    center: F64
    first: npt.NDArray[np.int64]
    inside: list[F64]


def proposals_in_snippets(seconds: ArrayLike, snippets_per_second: float) -> F64:
    """The released data set rounds proposals to a hundredth of a snippet; clicks it does not round."""
    return np.round(np.asarray(seconds, np.float64) * snippets_per_second, 2)


def label(
    proposals: ArrayLike, times: ArrayLike, point_class: ArrayLike, *, classes: int, empty: float = 0.4
) -> Labels:
    """Clicks strictly inside count; the center label is that of the first one in the order of the file.

    proposals [M, 2], times [P] and point_class [P]; `empty` is the center label of a proposal without a click.
    """
    proposals, times = np.asarray(proposals, np.float64), np.asarray(times, np.float64)
    point_class = np.asarray(point_class, np.int64)
    found = Labels(
        np.zeros((len(proposals), classes)),
        np.full(len(proposals), empty),
        np.full(len(proposals), -1),
        [],
    )
    for m, (start, end) in enumerate(proposals):
        points = np.flatnonzero((start < times) & (times < end))
        found.inside.append(times[points])
        found.classes[m, point_class[points]] = 1
        if len(points):
            found.first[m] = points[0]
            found.center[m] = 1 - abs(2 * (times[points[0]] - start) / (end - start) - 1)
    return found


def shift_of_points(proposals: ArrayLike, labels: Labels, score: ArrayLike, threshold: float) -> dict[int, float]:
    """First update: for each click, the weighted mean distance to the middles of its proposals above `threshold`.

    score [M] is sigmoid(center). Key -1 gathers proposals without a click, whose "time" is 0; nobody reads it.
    """
    proposals, score = np.asarray(proposals, np.float64), np.asarray(score, np.float64)
    shift = {}
    for point in np.unique(labels.first[score > threshold]):
        group = np.flatnonzero((score > threshold) & (labels.first == point))
        weight = score[group] / score[group].sum()
        inside = labels.inside[group[0]]
        time = inside[0] if len(inside) else 0.0
        shift[int(point)] = float((weight * (proposals[group].mean(1) - time)).sum())
    return shift
