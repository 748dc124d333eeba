"""Detection of addresses and files that are video, without a video library."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..text.display import as_utf8, printable, shown
from .framing import MAGIC, TOKEN_MAGIC
from .npy import RAW_SUFFIXES

LIVE_SCHEMES = ("rtsp://", "rtsps://", "http://", "https://", "camera:", "gst:")
_PLACE = re.compile(r"(?:location|uri|device)\s*=\s*(?P<text>\"[^\"]*\"|'[^']*'|[^\s!]+)")  # in a pipeline
_RAW = b"\x00\x00\x00\x01"  # start code of H.264 and H.265
_MAGIC = (
    *(b"\x1a\x45\xdf\xa3", b"FLV\x01", b"OggS", b"\x00\x00\x01\xba", b"\x30\x26\xb2\x75"),
    *(b"YUV4MPEG2", b"DKIF", b"GIF8", _RAW),
)


def is_address(address: str) -> bool:
    """Return whether this is the address of a video stream or camera."""
    return address.lower().startswith(LIVE_SCHEMES)


def is_video(path: Path) -> bool:
    """Return whether a file is a video, judged by its first bytes or suffix; a missing file by its suffix."""
    if path.suffix.lower() in RAW_SUFFIXES or path.is_dir():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(377)
    except OSError:
        head = b""
    if head.startswith((MAGIC, TOKEN_MAGIC, b"\x93NUMPY")):
        return False
    from ..video.files import SUFFIXES

    transport = len(head) == 377 and head[0] == head[188] == head[376] == 0x47
    riff = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    boxes = head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free")
    return transport or riff or boxes or head.startswith(_MAGIC) or path.suffix.lower() in SUFFIXES


def is_video_input(address: str) -> bool:
    """Return whether an address is that of a video: a file (by content or suffix), a URL or a camera."""
    return is_address(address) or (address != "-" and "://" not in address and is_video(Path(address)))


def check_present(address: str) -> None:
    """Raise InputError for the path of a file or folder that does not exist. Other addresses pass.

    For callers that have slow work to do before they open the input.
    """
    path = Path(address)
    if address == "-" or "://" in address or is_address(address) or path.exists():
        return
    if is_video(path):
        raise InputError("video-missing", f"The file {printable(address)} does not exist", next_step="check the path")
    raise InputError(
        "features-missing",
        f"{printable(address)} is not a file or folder",
        required="a video, a file of features, or a folder of either",
        next_step="check the path",
    )


def find_videos(folder: Path) -> list[Path]:
    """Return the videos in a folder, or in its subfolder `videos`, sorted by name. May be empty."""
    from ..video.files import SUFFIXES

    for location in (folder, folder / "videos"):
        if location.is_dir():
            files = sorted(p for p in location.iterdir() if p.is_file() and not p.name.startswith("."))
            videos = [p for p in files if p.suffix.lower() in SUFFIXES]
            if videos:
                return videos
    return []


def inside(folder: Path, *, one: bool = False) -> str:
    """Where the recordings are in a folder that is a data set, as advice; "" for any other folder.

    Args:
        folder: A folder without recordings of its own.
        one: A single recording is wanted, and not their folder.
    """
    below = folder / "features"
    found = sorted(below.glob("*.npy"))[:1] if below.is_dir() else []
    if not found:
        return ""
    return f"this is a data set: name {shown(found[0] if one else below)}"


def passed_over(folder: Path, taken: Sequence[Path]) -> list[str]:
    """Return the names of other files in the folder of `taken`, except tables and texts that often accompany videos."""
    companions = {".csv", ".tsv", ".json", ".jsonl", ".txt", ".md", ".srt", ".vtt", ".eaf", ".xml"}
    location = taken[0].parent if taken else folder
    known = set(taken)
    others = (p for p in location.iterdir() if p not in known and not p.name.startswith("."))
    return sorted(as_utf8(p.name) + ("/" if p.is_dir() else "") for p in others if p.suffix.lower() not in companions)


def stream_name(name: str) -> str:
    """Return the name of a stream in events: the stem of a file, or host and path of an address without credentials.

    A pipeline has the name of its source.
    """
    if name.startswith("gst:"):
        place = _PLACE.search(name)
        return stream_name(place["text"].strip("\"'")) if place else "gst"
    if "://" not in name:
        return as_utf8(name.removeprefix("camera:") if name.startswith("camera:") else Path(name).stem)
    from ..credentials.redact import HIDDEN, redact

    rest = redact(name).split("://", 1)[1].split("?")[0].split("#")[0]
    return rest.removeprefix(f"{HIDDEN}@").split(";")[0].rstrip("/")
