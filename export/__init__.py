"""Turn a training run, or graphs of your own, into a verified bundle."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .from_graphs import bundle_from_graphs

__all__ = ["bundle_from_graphs"]


def __getattr__(name: str) -> Any:
    """Import on first use: exporting needs libraries that looking around does not."""
    if name != "bundle_from_graphs":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .from_graphs import bundle_from_graphs

    return bundle_from_graphs
