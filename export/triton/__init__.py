"""A bundle as a model repository for NVIDIA Triton: its graphs there, its session here.

The server runs graphs that keep no state; windows, proposals and events stay in `punctum.runtime.Session` or in
libpunctum, beside whoever sends the media. `client` is that side in Python.
"""

from .write import write_triton

__all__ = ["write_triton"]
