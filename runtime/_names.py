"""Names of videos and classes in files that people and tools write."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# Endings that are part of a media file's name and never of a video's.
MEDIA_ENDINGS = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".h264", ".hevc", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"}
    | {".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".m4a", ".mp3", ".ogg", ".wav", ".gif", ".mjpeg"}
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


def video_name(text: str) -> str:
    """The name of a video: `kitchen` for `kitchen`, `kitchen.mp4` and `C:\\films\\kitchen.mp4`."""
    path = media_path(text)
    return clean_name(text if path is None else path.rpartition("/")[2])


def match_name(text: str, known: Iterable[str], *, media: bool = False) -> str | None:
    """The known name that is meant: equal, else equal but for Unicode form and space around it.

    media: of videos, one may be written with folder and ending and the other without. None where nothing fits, or
    more than one name.
    """
    names = list(dict.fromkeys(known))
    if text in names:
        return text
    for key in (clean_name, *((video_name,) if media else ())):
        found = [name for name in names if key(name) == key(text)]
        if found:
            return found[0] if len(found) == 1 else None
    return None
