"""Train a locator and a center scorer from one click per action, with PyTorch.

Importing this package does not import torch; its names do when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from punctum.runtime._lazy import lazy_names

if TYPE_CHECKING:
    from .engine.trainer import train_run
    from .models.checkpoint import Run, load_run
    from .models.torch_backend import TorchBackend, localizer_of
    from .objectives.own import LocatorTask

__all__ = ["LocatorTask", "Run", "TorchBackend", "load_run", "localizer_of", "train_run"]

_MODULES = {
    "LocatorTask": "objectives.own",
    "Run": "models.checkpoint",
    "load_run": "models.checkpoint",
    "TorchBackend": "models.torch_backend",
    "localizer_of": "models.torch_backend",
    "train_run": "engine.trainer",
}

__getattr__ = lazy_names(__name__, _MODULES)
