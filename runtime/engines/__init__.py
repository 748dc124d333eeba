"""TensorRT engines: what they are built from, where they lie, and whether they fit this machine.

Nothing here imports TensorRT or touches a GPU until it is asked to. `build` makes engines (`punctum build`), `store`
keeps them, `session` runs one; the backend over them is `punctum.runtime.backends.tensorrt`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .build import Built, build_engines
    from .check import EngineState, check_engines

__all__ = ["Built", "EngineState", "build_engines", "check_engines"]

_HOME = {"Built": "build", "build_engines": "build", "EngineState": "check", "check_engines": "check"}


def __getattr__(name: str) -> object:
    """Lazily: a command that only lists engines need not load the builder."""
    if name not in _HOME:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f".{_HOME[name]}", __name__), name)
