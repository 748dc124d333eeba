"""Features and their time base."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .features import Features, load_features

_MODULES = {"Features": "features", "load_features": "features"}

__all__ = ["Features", "load_features"]

__getattr__ = lazy_names(__name__, _MODULES)
