"""Recording time of a video according to its container."""

from __future__ import annotations

from ..credentials.redact import Address
from ..errors import InputError
from .decode import VideoReader


def creation_time(name: str) -> str:
    """Return the creation_time of the container, or else of its video stream.

    Cameras write the start of the recording there, many converters the time of the conversion.

    Raises:
        InputError: There is no such tag, or the video cannot be opened.
    """
    address = Address.parse(name)
    reader = VideoReader(address, dropped={}, live=False)
    reader.open()
    try:
        created = next((tag["creation_time"] for tag in reader.tags if tag.get("creation_time")), None)
    finally:
        reader.close()
    if created is None:
        raise InputError(
            "start-utc",
            f"{address.shown} does not contain its recording time",
            required="a video with creation_time in its container",
            next_step="give the time: `start_utc=2026-05-01T10:00:00Z`",
        )
    return str(created)
