"""The libraries that exporting needs besides torch, all in the extra `export`."""

from __future__ import annotations

from importlib.util import find_spec

from punctum.runtime.errors import MissingDependencyError

LIBRARIES = ("onnx", "onnxscript", "onnxruntime")


def check_installed(purpose: str) -> None:
    """Raise MissingDependencyError for the first library that is not installed. purpose: what needs it."""
    for library in LIBRARIES:
        if find_spec(library) is None:
            raise MissingDependencyError(library, "export", purpose)
