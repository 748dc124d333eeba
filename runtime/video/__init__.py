"""Video input: frames of files, streams and cameras on an exact sampling grid.

Importing this package imports no video library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names
from ._frames import DECODERS, MAX_RATE, SOFTWARE, FrameSource, Gap, Sampled, VideoInfo, VideoOptions

if TYPE_CHECKING:
    from .files import video_files
    from .open import open_frames

__all__ = [
    "DECODERS",
    "MAX_RATE",
    "SOFTWARE",
    "FrameSource",
    "Gap",
    "Sampled",
    "VideoInfo",
    "VideoOptions",
    "open_frames",
    "video_files",
]

_MODULES = {"open_frames": "open", "video_files": "files"}

__getattr__ = lazy_names(__name__, _MODULES)
