"""Descriptions of sources that are not video, for messages."""

from __future__ import annotations

from pathlib import Path

from ..sources.npy import RAW_SUFFIXES

_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".heic")
_SOUND = (".wav", ".mp3", ".flac", ".m4a", ".aac", ".ogg", ".opus")
_FEATURES = (".npy", *RAW_SUFFIXES)


def no_video(source: str) -> tuple[str, str]:
    """What a source is instead of a video, and what to do, where a bundle with a backbone is to read it."""
    path = Path(source)
    if "://" in source:
        return "is a socket of features", "use bundles for these features, or the address of a video stream"
    if path.is_dir():
        return (
            "is a folder",
            "name a video in it, with one camera for each; or use bundles for features, if it contains features",
        )
    suffix = path.suffix.lower()
    if suffix in _PICTURES:
        return "is a picture", "name a video"
    if suffix in _SOUND:
        return "is a sound file", "name a video"
    if suffix in _FEATURES:
        return "has features", "use bundles for these features, or name a video"
    return "is not recognized as a video", "name a video, or use bundles for features, if it contains features"
