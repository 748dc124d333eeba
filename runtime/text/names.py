"""Names of videos and classes in files that people and tools write."""

from __future__ import annotations

import re
import unicodedata

# Endings that are part of a media file's name and never of a video's.
MEDIA_ENDINGS = frozenset(
    {".264", ".265", ".3gp", ".asf", ".avi", ".flv", ".h264", ".h265", ".hevc", ".ivf", ".m2ts", ".m2v", ".m4v"}
    | {".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm"}
    | {".dv", ".f4v", ".gif", ".nut", ".wmv", ".y4m", ".m4a", ".mp3", ".ogg", ".wav"}
)
_DRIVE = re.compile(r"^[A-Za-z]:(?=[\\/])")


def clean_name(text: str) -> str:
    """Without space around it, in composed Unicode form (NFC): macOS writes `é` as two characters, others as one."""
    return unicodedata.normalize("NFC", text).strip()


def media_path(text: str) -> str | None:
    """Path without the ending, folders separated by `/`, where the text names a media file; None for a plain name."""
    path = text.strip()
    if "://" in path:
        path = path.partition("://")[2].partition("/")[2].partition("?")[0].partition("#")[0]
    path = _DRIVE.sub("", path).replace("\\", "/")
    stem, dot, ending = path.rpartition(".")
    if not dot or f".{ending.lower()}" not in MEDIA_ENDINGS or not stem.rpartition("/")[2]:
        return None
    return "/".join(part for part in stem.split("/") if part not in ("", ".", ".."))


def media_name(text: str) -> str:
    """Without folder and ending where it is a media file (`kitchen` for `C:\\films\\kitchen.mp4`); else as written."""
    path = media_path(text)
    return (text if path is None else path.rpartition("/")[2]).strip()


def video_name(text: str) -> str:
    """One spelling of the name of a video, to compare by: as `media_name`, in composed Unicode form."""
    return clean_name(media_name(text))
