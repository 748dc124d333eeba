"""`punctum eval` by ground truth at one minimum score: precision, recall and false alarms per hour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..text.display import amount, counted
from .eval_clicks import share_text

if TYPE_CHECKING:
    from rich.console import Console

    from ..bundle.operating_point import MinScore
    from ..datasets.truth import Truth
    from ..evaluation.detections import Detections

TIOU = 0.5  # that of the calibration


def judge_at_minimum(min_score: MinScore, truth: Truth, found: Detections, hours: float) -> dict[str, Any]:
    """What the events from a minimum score on are, by ground truth at tIoU 0.5."""
    import numpy as np

    from ..bundle.operating_point import minimum
    from ..diagnosis.judge import RIGHT, judge_by_truth
    from ..evaluation.clicks import Share

    least = np.array([minimum(min_score, label) for label in truth.labels])
    chosen = found.scores >= least[found.label]
    # The events below the minimum come after those above it, so that they take no action from them.
    right = (judge_by_truth(truth, found, TIOU).kind == RIGHT) & chosen
    hits, shown = int(right.sum()), int(chosen.sum())
    return {
        "tiou": TIOU,
        "recall": Share(hits, len(truth.label)).to_record(),
        "precision": Share(hits, shown).to_record(),
        "false_alarms_per_hour": round((shown - hits) / hours, 4) if hours else None,
    }


def print_at_minimum(record: dict[str, Any], shown: Console) -> None:
    """Print one line."""
    recall, precision, rate = record["recall"], record["precision"], record["false_alarms_per_hour"]
    alarms = "" if rate is None else f", {amount(rate)} false alarms per hour"
    shown.print(
        f"from it on, by ground truth at tIoU {record['tiou']:g}: recall {share_text(recall)} of "
        f"{counted(recall['of'], 'action')}, precision {share_text(precision)} of "
        f"{counted(precision['of'], 'event')}{alarms}",
        soft_wrap=True,
    )
