"""Inference engines behind one protocol. What is requested runs, or opening it fails; nothing falls back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .open import open_backend
    from .options import Device, EngineOptions

_MODULES = {"Device": "options", "EngineOptions": "options", "open_backend": "open"}

__all__ = ["Device", "EngineOptions", "open_backend"]

__getattr__ = lazy_names(__name__, _MODULES)
