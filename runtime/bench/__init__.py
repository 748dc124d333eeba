"""What a bundle costs on this machine, variant against variant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .noise import noise_features
    from .run import STAGES, Bench, Variant, bench
    from .timed import Timed

_MODULES = {
    "Bench": "run",
    "STAGES": "run",
    "Timed": "timed",
    "Variant": "run",
    "bench": "run",
    "noise_features": "noise",
}

__all__ = ["STAGES", "Bench", "Timed", "Variant", "bench", "noise_features"]

__getattr__ = lazy_names(__name__, _MODULES)
