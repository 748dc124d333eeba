"""The message "start" of a camera process, checked."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ..messages import Message, parsed
from ..wire import Header


class Region(Message):
    """The part of the picture that is used, in fractions of its width and height."""

    left: float = Field(default=0.0, ge=0, le=1)
    top: float = Field(default=0.0, ge=0, le=1)
    width: float = Field(default=1.0, gt=0, le=1)
    height: float = Field(default=1.0, gt=0, le=1)


class Options(Message):
    """How the source is opened; see `sources.open_source`.

    Attributes:
        loop: Open a file again at its end.
        real_time: Read a file at the speed of its media time. Default: as `loop`.
        follow: Wait for more at the end of a file or folder of features. Default: for folders that do not loop.
        masks: Polygons in fractions of the whole picture, which are blacked out.
        nice: Priority of the process, as of nice(1).
    """

    user: str | None = None
    password: str | None = Field(default=None, repr=False)
    token: str | None = Field(default=None, repr=False)
    transport: Literal["tcp", "udp"] = "tcp"
    decoder: str = "software"
    fps: float | None = None
    overflow: Literal["wait", "drop_oldest", "degrade"] | None = None
    reconnect_s: float = Field(default=30.0, ge=0)
    idle_s: float | None = None
    loop: bool = False
    real_time: bool | None = None
    follow: bool | None = None
    region: Region = Region()
    masks: tuple[tuple[tuple[float, float], ...], ...] = ()
    allow_hosts: tuple[str, ...] = ()
    threads: int = Field(default=1, ge=1)
    nice: int = Field(default=0, ge=0, le=19)


class Feed(Message):
    """Features that are wanted: of a backbone, or "features" for sources that consist of features.

    Attributes:
        feed: Its name: the digest of the backbone, or "features".
        bundle_path: A bundle that contains the backbone.
        position: Where this feed goes on, as a chunk stated it; takes precedence over that of the camera.
    """

    feed: str
    bundle_path: str | None = None
    device: str = "cpu"
    precision: str | None = None
    threads: int = Field(default=1, ge=1)
    position: dict[str, Any] | None = None


class CameraStart(Message):
    """What a camera process is to do.

    Attributes:
        name: The camera.
        source: Address or path.
        start_s: Media time at which the source begins, in seconds, where it has no clock of its own.
        start_steady: Monotonic time, which all processes of a machine share, at which a live source would have begun at
            start_s. One that opens later begins that much later.
        position: Where to go on, as a chunk stated it.
        dim: Dimension of the features, for sources of features.
        stride_s: Seconds per snippet, likewise.
        media: Settings of clips and pictures.
    """

    name: str
    source: str
    options: Options = Options()
    start_s: float = 0.0
    start_steady: float | None = None
    position: dict[str, Any] | None = None
    feeds: tuple[Feed, ...] = Field(min_length=1)
    dim: int | None = None
    stride_s: float | None = None
    media: dict[str, Any] = Field(default={})

    @classmethod
    def parse(cls, header: Header) -> CameraStart:
        """Raises InputError."""
        return parsed(cls, header)
