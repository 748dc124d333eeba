"""Alignment: does a higher confidence mean a better segment? TSPNet's question, as a number and a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .dataset import Truth
from .errors import MissingDependencyError
from .evaluation import Detections, best_overlap

F64 = npt.NDArray[np.float64]


def _ranks(values: F64) -> F64:
    """Average ranks, ties shared."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[inverse])


def rank_correlation(a: Any, b: Any) -> float:
    """Spearman's rank correlation, ties by average rank; NaN where either side is constant or shorter than 2."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


@dataclass(frozen=True, slots=True)
class Alignment:
    """correlation: Spearman of confidence and best IoU over all detections; confidence and iou: [N] each."""

    correlation: float
    confidence: F64
    iou: F64

    def curve(self, bins: int = 10) -> tuple[F64, F64]:
        """Mean confidence rank (0..1) and mean best IoU of `bins` equal groups, from least to most confident."""
        order = np.argsort(self.confidence, kind="stable")
        groups = [g for g in np.array_split(self.iou[order], bins) if len(g)]
        centre = (np.arange(len(groups)) + 0.5) / max(len(groups), 1)
        return centre, np.array([g.mean() for g in groups])


def alignment(truth: Truth, detections: Detections) -> Alignment:
    """Best IoU of every detection with a truth of its class and video, against its confidence."""
    wanted = Detections(truth.video, truth.label, truth.segments, np.ones(len(truth.label)))
    everything = np.ones(len(truth.label), bool)
    iou = best_overlap(detections.video, detections.label, detections.segments, wanted, everything)
    return Alignment(rank_correlation(detections.scores, iou), detections.scores, iou)


def plot_alignment(parts: dict[str, Alignment], path: str | Path) -> None:
    """Write the curves of several rankings to one SVG. Needs the extra `report`."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("matplotlib", "report", "drawing the alignment figure") from None
    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for name, part in parts.items():
        x, y = part.curve()
        axes.plot(x, y, marker="o", label=f"{name} (rank correlation {part.correlation:.2f})")
    axes.set(
        xlabel="confidence, rank among all detections", ylabel="mean best IoU with the truth", xlim=(0, 1), ylim=(0, 1)
    )
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, format="svg", metadata={"Date": None})
