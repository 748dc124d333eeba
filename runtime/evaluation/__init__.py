"""Evaluation: average precision, online evaluation with a deadline, and alignment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from ..datasets.truth import Truth
    from .average_precision import Evaluation, evaluate
    from .detections import Detections, read_detections

_MODULES = {
    "Detections": "detections",
    "Evaluation": "average_precision",
    "Truth": ".datasets.truth",
    "evaluate": "average_precision",
    "read_detections": "detections",
}

__all__ = ["Detections", "Evaluation", "Truth", "evaluate", "read_detections"]

__getattr__ = lazy_names(__name__, _MODULES)
