"""Inference engines behind one protocol. What is requested runs, or opening it fails; nothing falls back silently.

From a manifest to an engine in five steps:

1. `Bundle.load(path)` reads and verifies the bundle that `manifest.json` describes.
2. `Bundle.graphs(precision)` returns all its graphs in one precision, with what they are checked against.
3. `EngineSpec(device, precision, threads, options)` states what to run them on. It is parsed and checked once.
4. `open_backend(bundle, device=...)`, or `open_engine(bundle, spec)` for a spec, opens the graphs with the library for
   that device: `onnxruntime` for cpu, cuda and ort-tensorrt, `tensorrt` for engines that `punctum build` made. Device
   "auto" tries tensorrt, cuda and cpu in this order.
5. The result is an `Engine` (`punctum.runtime.session.engine`), which `Localizer` and `Session` call.

`Localizer(bundle, device=...)` performs steps 2 to 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .open import open_backend, open_engine
    from .options import Device, EngineOptions, EngineSpec

_MODULES = {
    "Device": "options",
    "EngineOptions": "options",
    "EngineSpec": "options",
    "open_backend": "open",
    "open_engine": "open",
}

__all__ = ["Device", "EngineOptions", "EngineSpec", "open_backend", "open_engine"]

__getattr__ = lazy_names(__name__, _MODULES)
