"""TensorRT engines: what they are built from, where they lie, and whether they fit this machine.

Nothing here imports TensorRT or touches a GPU until it is asked to. `build` makes engines (`punctum build`), `store`
keeps them, `session` runs one; the backend over them is `punctum.runtime.backends.tensorrt.backend`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._lazy import lazy_names

if TYPE_CHECKING:
    from .build import Built, build_engines
    from .check import EngineState, check_engines

__all__ = ["Built", "EngineState", "build_engines", "check_engines"]

_MODULES = {"Built": "build", "build_engines": "build", "EngineState": "check", "check_engines": "check"}

__getattr__ = lazy_names(__name__, _MODULES)
