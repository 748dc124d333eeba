"""What the pages have in common, and the servers of those on this machine."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable

SHARED = frozenset({"theme.css", "elements.js"})
"""Names of the files of all pages."""


def shared_file(name: str) -> Traversable:
    """A file of all pages. name: one of `SHARED`."""
    return resources.files(__package__) / name
