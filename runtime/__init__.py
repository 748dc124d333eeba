"""Run a bundle: features in, events out. Needs no torch; importing it loads no inference engine."""

from __future__ import annotations

from ._lazy import lazy_names
from ._version import __version__

TYPE_CHECKING = False  # as of typing, which would take longer to import than all else here
if TYPE_CHECKING:
    from .bundle.config import FeatureSpec, Fusion, PostProcess
    from .bundle.reader import Bundle
    from .datasets.dataset import Dataset
    from .errors import EngineError, InputError, PunctumError
    from .evaluation.average_precision import evaluate
    from .events.event import Event
    from .events.run_id import new_run_id
    from .features.features import Features, load_features
    from .localizer import Localizer
    from .session.session import Session

_MODULES = {
    "Bundle": "bundle.reader",
    "Dataset": "datasets.dataset",
    "EngineError": "errors",
    "Event": "events.event",
    "FeatureSpec": "bundle.config",
    "Features": "features.features",
    "Fusion": "bundle.config",
    "InputError": "errors",
    "Localizer": "localizer",
    "PostProcess": "bundle.config",
    "PunctumError": "errors",
    "Session": "session.session",
    "evaluate": "evaluation.average_precision",
    "load_features": "features.features",
    "new_run_id": "events.run_id",
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

__getattr__ = lazy_names(__name__, _MODULES)
