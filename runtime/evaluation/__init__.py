"""Evaluation: average precision, online evaluation under a deadline, and alignment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .average_precision import evaluate

_MODULES = {"evaluate": "average_precision"}

__all__ = ["evaluate"]

__getattr__ = lazy_names(__name__, _MODULES)
