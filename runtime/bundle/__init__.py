"""Bundles: the manifest, reading with verification, and writing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .backbone_spec import BackboneSpec
    from .config import FeatureSpec, Fingerprint, Fusion, PostProcess
    from .manifest import Manifest
    from .reader import Bundle

_MODULES = {
    "BackboneSpec": "backbone_spec",
    "Bundle": "reader",
    "FeatureSpec": "config",
    "Fingerprint": "config",
    "Fusion": "config",
    "Manifest": "manifest",
    "PostProcess": "config",
}

__all__ = ["BackboneSpec", "Bundle", "FeatureSpec", "Fingerprint", "Fusion", "Manifest", "PostProcess"]

__getattr__ = lazy_names(__name__, _MODULES)
