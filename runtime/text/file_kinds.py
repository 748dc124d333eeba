"""What a file is that was taken for another kind, by its first bytes: for messages."""

from __future__ import annotations

HEAD_BYTES = 16  # enough for all of them

_KINDS = (
    ("an audio file", (b"ID3", b"fLaC", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"\xff\xf9", b"MThd")),
    ("a picture", (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\0", b"MM\0*")),
    ("a PDF document", (b"%PDF-",)),
    ("an HDF5 or MATLAB file", (b"\x89HDF\r\n", b"MATLAB 5.0")),
    ("a compressed file", (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"7z\xbc\xaf", b"(\xb5/\xfd", b"Rar!")),
    ("a Parquet file", (b"PAR1",)),
    ("a web page or XML", (b"<",)),
    ("JSON", (b"{", b"[")),
)
_RIFF = {b"WAVE": "an audio file", b"WEBP": "a picture"}


def kind_of(head: bytes) -> str:
    """A description such as "an audio file"; an empty string for everything that is not recognized.

    Args:
        head: The first bytes of the file, `HEAD_BYTES` or more.
    """
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], "")
    return next((kind for kind, starts in _KINDS if head.startswith(starts)), "")
