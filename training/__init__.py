"""Learn a locator and a center-score head from one click per action (PyTorch).

Importing this package does not import torch; `load_run` and `train_run` do when they are called for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoint import Run, load_run
    from .torch_backend import TorchBackend, localizer_of
    from .trainer import train_run

__all__ = ["Run", "TorchBackend", "load_run", "localizer_of", "train_run"]

_HOME = {
    "Run": "checkpoint",
    "load_run": "checkpoint",
    "TorchBackend": "torch_backend",
    "localizer_of": "torch_backend",
    "train_run": "trainer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
