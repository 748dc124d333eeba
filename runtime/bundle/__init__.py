"""Bundles: the manifest, reading with verification, and writing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .manifest import Manifest
    from .reader import Bundle

_MODULES = {"Bundle": "reader", "Manifest": "manifest"}

__all__ = ["Bundle", "Manifest"]

__getattr__ = lazy_names(__name__, _MODULES)
