"""Data sets: layouts, points, ground truth, checks, and features made from videos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .dataset import Dataset, Point
    from .truth import Truth

_MODULES = {"Dataset": "dataset", "Point": "dataset", "Truth": "truth"}

__all__ = ["Dataset", "Point", "Truth"]

__getattr__ = lazy_names(__name__, _MODULES)
