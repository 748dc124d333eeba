"""TensorRT engines: building, storing and running them.

Nothing here imports TensorRT or uses a GPU on import. `build` and `builder` make engines (`punctum build`), `store` is
the folder in which they are kept, `check` reports which of them fit this machine, `opener` loads those of a bundle,
`session` runs one, and `backend` runs the two graphs of a bundle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._lazy import lazy_names

if TYPE_CHECKING:
    from .build import build_engines
    from .builder import BuildResult
    from .check import EngineState, check_engines

__all__ = ["BuildResult", "EngineState", "build_engines", "check_engines"]

_MODULES = {"BuildResult": "builder", "build_engines": "build", "EngineState": "check", "check_engines": "check"}

__getattr__ = lazy_names(__name__, _MODULES)
