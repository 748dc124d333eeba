"""Names of a package that are imported when they are first used, so that importing the package stays light."""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # as of typing, which would take longer to import than this module
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def lazy_names(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """A `__getattr__` for a package. modules: public name -> module below the package that defines it."""

    def __getattr__(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f".{modules[name]}", package), name)

    return __getattr__
