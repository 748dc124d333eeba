"""Events: segment, label, score, phase and identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .event import Event
    from .run_id import new_run_id

_MODULES = {"Event": "event", "new_run_id": "run_id"}

__all__ = ["Event", "new_run_id"]

__getattr__ = lazy_names(__name__, _MODULES)
