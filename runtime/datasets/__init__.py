"""Data sets: layouts, points, ground truth, checks, and features made from videos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .dataset import Dataset

_MODULES = {"Dataset": "dataset"}

__all__ = ["Dataset"]

__getattr__ = lazy_names(__name__, _MODULES)
