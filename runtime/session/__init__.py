"""The state machine of one stream, and pools of many streams that share an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .pool import Pool, PoolOptions
    from .session import Session

_MODULES = {"Pool": "pool", "PoolOptions": "pool", "Session": "session"}

__all__ = ["Pool", "PoolOptions", "Session"]

__getattr__ = lazy_names(__name__, _MODULES)
