"""Alignment of confidence and overlap, as studied by TSPNet: rank correlation and a figure."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..datasets.dataset import Truth
from ..datatypes import by_value
from ..errors import InputError, MissingDependencyError
from ..files.atomic import atomic_write
from .average_precision import best_overlap
from .detections import Detections

if TYPE_CHECKING:
    from .reliability import Reliability

F64 = npt.NDArray[np.float64]


def _ranks(values: F64) -> F64:
    """Average ranks, ties shared."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[inverse])


def rank_correlation(a: Any, b: Any) -> float:
    """Spearman's rank correlation, ties by average rank. NaN if either side is constant or has fewer than 2 values."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if len(a) != len(b):
        raise InputError(
            "lengths", f"There are {len(a)} and {len(b)} values", required="two sequences of the same length"
        )
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Alignment:
    """Confidence and overlap of all detections.

    Attributes:
        correlation: Spearman's rank correlation of confidence and best IoU.
        confidence: float64 [N].
        iou: Best IoU with an action of the same class and video, float64 [N].
    """

    correlation: float
    confidence: F64
    iou: F64

    def curve(self, bins: int = 10) -> tuple[F64, F64]:
        """Mean confidence rank (0 to 1) and mean best IoU of `bins` groups of equal size, by increasing confidence."""
        groups = self._groups(bins)
        center = (np.arange(len(groups)) + 0.5) / max(len(groups), 1)
        return center, np.array([self.iou[g].mean() for g in groups])

    def to_record(self, bins: int = 10) -> dict[str, Any]:
        """The measures for JSON: null for undefined numbers."""
        _, curve = self.curve(bins)
        return {
            "rank_correlation": None if np.isnan(self.correlation) else self.correlation,
            "mean_iou_by_confidence": [float(x) for x in curve],
            "detections": len(self.iou),
        }

    def _groups(self, bins: int) -> list[npt.NDArray[np.int64]]:
        if bins < 1:
            raise InputError("bins", f"`bins` is {bins}", "1 or more")
        order = np.argsort(self.confidence, kind="stable")
        return [g for g in np.array_split(order, bins) if len(g)]


def alignment(truth: Truth, detections: Detections) -> Alignment:
    """Compare the confidence of each detection with its best IoU with an action of its class and video."""
    wanted = Detections(truth.video, truth.label, truth.segments, np.ones(len(truth.label)))
    everything = np.ones(len(truth.label), bool)
    iou = best_overlap(detections.video, detections.label, detections.segments, wanted, everything)
    return Alignment(rank_correlation(detections.scores, iou), detections.scores, iou)


def plot_alignment(
    before: Alignment, after: Alignment | None, path: str | Path, *, names: tuple[str, str] = ("before", "after")
) -> None:
    """Write an SVG of the mean best IoU over the confidence rank, for one ranking or two.

    Raises:
        MissingDependencyError: matplotlib is not installed (extra `report`).
    """
    atomic_write(path, draw_alignment(before, after, names=names))


def draw_alignment(
    before: Alignment,
    after: Alignment | None,
    *,
    names: tuple[str, str] = ("before", "after"),
    reliability: Reliability | None = None,
) -> str:
    """The text of the SVG that `plot_alignment` writes, beside a reliability diagram where one is given.

    Raises:
        MissingDependencyError: As `plot_alignment`.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("matplotlib", "report", "drawing the alignment figure") from None
    parts = [(names[0], before)] if after is None else list(zip(names, (before, after), strict=True))
    panels = 1 if reliability is None else 2
    figure = Figure(figsize=(6.0 * panels, 4.0), layout="constrained")
    axes = figure.add_subplot(1, panels, 1)
    for name, part in parts:
        x, y = part.curve()
        axes.plot(x, y, marker="o", label=f"{name} (rank correlation {part.correlation:.2f})")
    axes.set(
        xlabel="confidence, rank among all detections",
        ylabel="mean best IoU with the ground truth",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    axes.grid(alpha=0.3)
    axes.legend()
    if reliability is not None:
        _draw_reliability(figure.add_subplot(1, panels, 2), reliability)
    drawn = io.StringIO()
    # Text is kept as text and ids are fixed: equal input gives an equal, searchable file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "punctum"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


def _draw_reliability(axes: Any, found: Reliability) -> None:
    """Share of right events over mean score; the diagonal is perfect."""
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="perfect")
    error = "no probabilities" if np.isnan(found.error) else f"calibration error {found.error:.3f}"
    axes.plot(found.score, found.share, marker="o", label=error)
    axes.set(
        xlabel=f"mean score of the {int(found.count.sum())} highest events",
        ylabel=f"share of right events (tIoU {found.tiou:g})",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    axes.grid(alpha=0.3)
    axes.legend()
