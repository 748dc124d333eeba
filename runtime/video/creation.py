"""When a video was recorded, by what its container says."""

from __future__ import annotations

from ..credentials.redact import Address
from ..errors import InputError
from .decode import VideoReader


def creation_time(name: str) -> str:
    """The container's creation_time, else that of its video stream. Cameras write the start of the recording there,
    many converters the time of the conversion. Raises InputError where there is none."""
    address = Address.parse(name)
    reader = VideoReader(address, dropped={}, live=False)
    reader.open()
    try:
        tags = [reader._container.metadata, reader._stream.metadata]
        found = next((tag["creation_time"] for tag in tags if tag.get("creation_time")), None)
    finally:
        reader.close()
    if found is None:
        raise InputError(
            "start-utc",
            f"{address.shown} does not say when it was recorded",
            "a video with creation_time in its container",
            "state the time of day: --start-utc 2026-05-01T10:00:00Z",
        )
    return str(found)
