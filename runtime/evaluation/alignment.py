"""Alignment: does a higher confidence mean a better segment? TSPNet's question, as numbers and a picture."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datasets.dataset import Truth
from ..datatypes import by_value
from ..errors import InputError, MissingDependencyError
from ..files.atomic import atomic_write
from .average_precision import best_overlap
from .detections import Detections

F64 = npt.NDArray[np.float64]


def _ranks(values: F64) -> F64:
    """Average ranks, ties shared."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[inverse])


def rank_correlation(a: Any, b: Any) -> float:
    """Spearman's rank correlation, ties by average rank; NaN where either side is constant or shorter than 2."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if len(a) != len(b):
        raise InputError("lengths", f"{len(a)} and {len(b)} values", "two of the same length", "pair them up")
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Alignment:
    """correlation: Spearman of confidence and best IoU over all detections; confidence and iou: [N] each."""

    correlation: float
    confidence: F64
    iou: F64

    def curve(self, bins: int = 10) -> tuple[F64, F64]:
        """Mean confidence rank (0..1) and mean best IoU of `bins` equal groups, from least to most confident."""
        groups = self._groups(bins)
        centre = (np.arange(len(groups)) + 0.5) / max(len(groups), 1)
        return centre, np.array([self.iou[g].mean() for g in groups])

    def calibration_error(self, bins: int = 10) -> float:
        """Mean over detections of |mean confidence - mean best IoU| of their group of equal size; NaN if none.

        The expected calibration error with equal-mass groups and the best IoU in place of correctness. It means
        something only where confidences are meant as qualities in 0..1; the rank correlation does not care.
        """
        if not len(self.iou):
            return float("nan")
        gaps = [len(g) * abs(self.confidence[g].mean() - self.iou[g].mean()) for g in self._groups(bins)]
        return float(sum(gaps) / len(self.iou))

    def to_record(self, bins: int = 10) -> dict[str, Any]:
        """For JSON: null where a number does not exist."""
        _, curve = self.curve(bins)
        error = self.calibration_error(bins)
        return {
            "rank_correlation": None if np.isnan(self.correlation) else self.correlation,
            "calibration_error": None if np.isnan(error) else error,
            "mean_iou_by_confidence": [float(x) for x in curve],
            "detections": len(self.iou),
        }

    def _groups(self, bins: int) -> list[npt.NDArray[np.int64]]:
        if bins < 1:
            raise InputError("bins", f"{bins} bins", "at least 1", "set bins")
        order = np.argsort(self.confidence, kind="stable")
        return [g for g in np.array_split(order, bins) if len(g)]


def alignment(truth: Truth, detections: Detections) -> Alignment:
    """Best IoU of every detection with a truth of its class and video, against its confidence."""
    wanted = Detections(truth.video, truth.label, truth.segments, np.ones(len(truth.label)))
    everything = np.ones(len(truth.label), bool)
    iou = best_overlap(detections.video, detections.label, detections.segments, wanted, everything)
    return Alignment(rank_correlation(detections.scores, iou), detections.scores, iou)


def plot_alignment(
    before: Alignment, after: Alignment | None, path: str | Path, *, names: tuple[str, str] = ("before", "after")
) -> None:
    """Write an SVG: mean best IoU over confidence rank, of one ranking or of two. Needs the extra `report`."""
    atomic_write(path, draw_alignment(before, after, names=names))


def draw_alignment(before: Alignment, after: Alignment | None, *, names: tuple[str, str] = ("before", "after")) -> str:
    """What `plot_alignment` writes."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("matplotlib", "report", "drawing the alignment figure") from None
    parts = [(names[0], before)] if after is None else list(zip(names, (before, after), strict=True))
    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for name, part in parts:
        x, y = part.curve()
        axes.plot(x, y, marker="o", label=f"{name} (rank correlation {part.correlation:.2f})")
    axes.set(
        xlabel="confidence, rank among all detections", ylabel="mean best IoU with the truth", xlim=(0, 1), ylim=(0, 1)
    )
    axes.grid(alpha=0.3)
    axes.legend()
    drawn = io.StringIO()
    # Text stays text and ids stay the same, so equal input gives an equal, searchable file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "punctum"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
