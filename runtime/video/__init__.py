"""Video in: frames of files, streams and cameras on an exact sampling grid, and backbones that turn them into features.

Importing this package imports no video library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names
from ..credentials.store import Credentials, Login
from ._frames import MAX_RATE, FrameSource, Gap, Sampled, VideoInfo, VideoOptions

if TYPE_CHECKING:
    from .files import video_files

__all__ = [
    "MAX_RATE",
    "FrameSource",
    "Gap",
    "Sampled",
    "VideoInfo",
    "VideoOptions",
    "open_frames",
    "video_files",
]

_MODULES = {"video_files": "files"}


def open_frames(address: str, *, fps: float, options: VideoOptions | None = None) -> FrameSource:
    """The frames behind an address, opened: a file, http(s) (also HLS), rtsp(s), camera:/dev/video0.

    fps: cells of the sampling grid a second. Raises InputError, MissingDependencyError.
    """
    from ..credentials.redact import Address

    parsed = Address.parse(address)
    if parsed.kind in ("http", "rtsp"):
        login = None if options is None or options.user is None else Login(options.user, options.password)
        login = login or Credentials.load().source
        parsed = parsed if login.user is None else parsed.with_login(login.user, login.password)
    source: FrameSource
    if parsed.kind == "file":
        from .files import FileFrames

        source = FileFrames(parsed, fps=fps, options=options)
    else:
        from .live import LiveFrames

        source = LiveFrames(parsed, fps=fps, options=options)
    try:
        source.open()
    except BaseException:
        source.close()
        raise
    return source


__getattr__ = lazy_names(__name__, _MODULES)
