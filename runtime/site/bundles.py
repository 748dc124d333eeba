"""Bundles by path, or by the name of one that comes with punctum."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

SHIPPED = ("default", "demo")


def shipped(path: str) -> str:
    """The path of a bundle that comes with punctum, if `path` is its name and there is no such file; else `path`."""
    if path in SHIPPED and not Path(path).exists():
        return str(resources.files("punctum.runtime") / "assets" / path)
    return path
