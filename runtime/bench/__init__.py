"""What a bundle costs on this machine, variant against variant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .compare import Compared, Comparison, compare_results
    from .noise import noise_features
    from .results import SCHEMA, Row, read_result, result_of, row_of, write_result
    from .run import STAGES, Bench, Variant, bench
    from .timed import Timed

_MODULES = {
    "Bench": "run",
    "Compared": "compare",
    "Comparison": "compare",
    "Row": "results",
    "SCHEMA": "results",
    "STAGES": "run",
    "Timed": "timed",
    "Variant": "run",
    "bench": "run",
    "compare_results": "compare",
    "noise_features": "noise",
    "read_result": "results",
    "result_of": "results",
    "row_of": "results",
    "write_result": "results",
}

__all__ = [
    "SCHEMA",
    "STAGES",
    "Bench",
    "Compared",
    "Comparison",
    "Row",
    "Timed",
    "Variant",
    "bench",
    "compare_results",
    "noise_features",
    "read_result",
    "result_of",
    "row_of",
    "write_result",
]

__getattr__ = lazy_names(__name__, _MODULES)
