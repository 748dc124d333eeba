"""Bundles: the manifest, reading with verification, and writing.

`reader` loads and verifies a bundle, `files` reads its files from a folder or a zip, `manifest` and `config` define
`manifest.json`, `limits` bounds its values, `graph_scan` rejects graphs that refer to other files, `graphs` holds the
graphs of one precision, `writer` writes bundles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .backbone_spec import BackboneSpec
    from .config import FeatureSpec, Fingerprint, Fusion, PostProcess
    from .graphs import BundleGraphs, PartGraph
    from .manifest import Manifest
    from .reader import Bundle

_MODULES = {
    "BackboneSpec": "backbone_spec",
    "Bundle": "reader",
    "BundleGraphs": "graphs",
    "FeatureSpec": "config",
    "Fingerprint": "config",
    "Fusion": "config",
    "Manifest": "manifest",
    "PartGraph": "graphs",
    "PostProcess": "config",
}

__all__ = [
    "BackboneSpec",
    "Bundle",
    "BundleGraphs",
    "FeatureSpec",
    "Fingerprint",
    "Fusion",
    "Manifest",
    "PartGraph",
    "PostProcess",
]

__getattr__ = lazy_names(__name__, _MODULES)
