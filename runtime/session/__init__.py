"""The state machine of one stream, and pools of many streams that share an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .engine import Backend, Engine
    from .plan import Plan, Stats
    from .pool import Pool, PoolOptions, StreamStats
    from .session import Session

_MODULES = {
    "Backend": "engine",
    "Engine": "engine",
    "Plan": "plan",
    "Pool": "pool",
    "PoolOptions": "pool",
    "Session": "session",
    "Stats": "plan",
    "StreamStats": "pool",
}

__all__ = ["Backend", "Engine", "Plan", "Pool", "PoolOptions", "Session", "Stats", "StreamStats"]

__getattr__ = lazy_names(__name__, _MODULES)
