"""A bundle as a model repository for NVIDIA Triton: graphs in the server, sessions in the client.

The server runs graphs without state. Windows, proposals and events are handled by `punctum.runtime.Session` or
libpunctum, in the process that sends the media. `client` is the client in Python.
"""

from .write import write_triton

__all__ = ["write_triton"]
