"""Run a bundle: features in, events out. Needs no torch; importing it loads no inference engine."""

from __future__ import annotations

import importlib

from ._version import __version__

TYPE_CHECKING = False  # as of typing, which would take longer to import than all else here
if TYPE_CHECKING:
    from typing import Any

    from ._run_id import new_run_id
    from .bundle import Bundle
    from .config import FeatureSpec, Fusion, PostProcess
    from .dataset import Dataset
    from .errors import EngineError, InputError, PunctumError
    from .evaluation import evaluate
    from .events import Event
    from .features import Features, load_features
    from .localizer import Localizer
    from .session import Session

_HOME = {
    "Bundle": "bundle",
    "Dataset": "dataset",
    "EngineError": "errors",
    "Event": "events",
    "FeatureSpec": "config",
    "Features": "features",
    "Fusion": "config",
    "InputError": "errors",
    "Localizer": "localizer",
    "PostProcess": "config",
    "PunctumError": "errors",
    "Session": "session",
    "evaluate": "evaluation",
    "load_features": "features",
    "new_run_id": "_run_id",
}

__all__ = [
    "Bundle",
    "Dataset",
    "EngineError",
    "Event",
    "FeatureSpec",
    "Features",
    "Fusion",
    "InputError",
    "Localizer",
    "PostProcess",
    "PunctumError",
    "Session",
    "__version__",
    "evaluate",
    "load_features",
    "new_run_id",
]


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import punctum.runtime` stays light."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
