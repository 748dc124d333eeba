"""The items that sources of frames yield, their options, and the protocol of sources. Media time is in seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from ..arguments import SIZE_LIMIT, check_flag, check_number, check_size, check_text, check_type
from ..datatypes import compact
from ..errors import InputError
from ..text.display import shown
from ._time import TimeBase
from .packets import PacketTap

U8 = npt.NDArray[np.uint8]
Policy = Literal["wait", "drop_oldest"]
MAX_RATE = 1000.0
SOFTWARE, AUTO = "software", "auto"
HARDWARE = (
    *("videotoolbox", "mediacodec", "d3d11va", "d3d12va", "dxva2", "vaapi", "cuda", "qsv", "vdpau", "vulkan"),
    *("amf", "drm"),
)
"""FFmpeg's names of hardware decoders, in the order in which `auto` tries them: that of the platform itself first."""
DECODERS = (AUTO, SOFTWARE, *HARDWARE)
POLL_S = 0.1  # seconds that a live source waits before it returns control to the caller


@compact
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sampled:
    """One frame of the sampling grid.

    Attributes:
        image: uint8 [H, W, 3], RGB, C-contiguous, upright. Cells that show the same frame share it: do not write to it.
        index: Index of the cell, counted from the start of the section (the part of the video since the last gap).
        at: Media time in seconds at which the cell begins: start of the section + index / fps.
        lost: Number of source frames lost since the previous item: not decodable, or dropped from a full buffer.
        aspect: Width of a pixel divided by its height; not 1 for anamorphic recordings.
    """

    image: U8
    index: int
    at: float
    lost: int
    aspect: float = 1.0


@dataclass(frozen=True, slots=True)
class Gap:
    """A new section begins: nothing is known between the last frame and its start.

    Attributes:
        at: Media time in seconds at which the new section begins.
        lost: Number of source frames known to be lost.
        reason: "reconnected", "stall", "stamps-jumped" or "overflow".
    """

    at: float
    lost: int
    reason: str


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Properties of a video, known once its first frame has been decoded.

    Attributes:
        width: Width of the upright frame in pixels.
        height: Height of the upright frame in pixels.
        rate: Nominal frames per second; 0 if unknown.
        duration_s: Duration in seconds according to the header, which is wrong in damaged files; None if unknown.
        codec: FFmpeg's name of the codec.
        rotation: Rotation that was applied, in degrees counter-clockwise.
        live: Whether the source is live.
        decoder: The decoder that is at work, one of `DECODERS`: "software", or the kind of hardware.
        time: Time information of the container.
    """

    width: int
    height: int
    rate: float
    duration_s: float | None
    codec: str
    rotation: int
    live: bool
    decoder: str = SOFTWARE
    time: TimeBase = field(default_factory=TimeBase)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOptions:
    """Options of a source of frames. The defaults suit files and cameras alike. Times are in seconds.

    Attributes:
        max_hold_s: Longest time that a frame stays on screen; a longer silence is a Gap.
        threads: Number of decoder threads; 0 lets FFmpeg choose. More threads use more CPU time in total; set it
            only if one core cannot decode the video in time.
        decoder: "software"; a hardware decoder of FFmpeg, such as "cuda" or "vaapi", which must then decode the video;
            or "auto": hardware if there is some that decodes it, else software.
        open_timeout_s: Time limit for the first frame.
        read_timeout_s: Time limit for the next data (HLS: at least 15 s, because its segments arrive whole).
        stall_s: Time limit for the next frame.
        reconnect_s: How long to try to reconnect to a lost live source; 0: not at all.
        backoff_s: Pause before the second attempt. It doubles with each attempt, with jitter.
        max_backoff_s: Longest pause between attempts.
        policy: Behavior of a full buffer: "wait" stops reading, "drop_oldest" drops the older half and reports a Gap.
            None: "drop_oldest" for RTSP and cameras, which cannot wait, and "wait" for all others.
        buffer_s: Length of the buffer of a live source.
        retry_start: Whether to wait up to `reconnect_s` for a live source that is unavailable at the start.
        waiting: Called regularly with the reason while the source is unavailable at the start.
        begun: Called once with the first frame of a live source, by the thread that reads it, before any has a time.
        allow_hosts: Hosts, addresses and networks (10.0.0.0/8) in private networks that redirects and playlists of an
            HTTP source may lead to.
        user: User for addresses without a login.
        password: Password for `user`.
        rate: Frames per second of a stream without time stamps (raw H.264, H.265 or MPEG video, MJPEG); an error
            for all others. None: the declared rate, or for a live source the times of arrival.
        align_s: After a gap the grid starts at a multiple of this time; None: at the first frame.
        transport: Transport protocol of RTSP.
        camera_size: Frame size to request from a USB camera, such as "1280x720".
        camera_rate: Frames per second to request from a USB camera.
        packets: Receives the compressed packets, see `PacketTap`. Pipelines of GStreamer have none.
    """

    max_hold_s: float = 1.0
    threads: int = 1
    decoder: str = SOFTWARE
    open_timeout_s: float = 10.0
    read_timeout_s: float = 5.0
    stall_s: float = 10.0
    reconnect_s: float = 60.0
    backoff_s: float = 0.5
    max_backoff_s: float = 10.0
    policy: Policy | None = None
    buffer_s: float = 2.0
    retry_start: bool = False
    waiting: Callable[[str], None] | None = None
    begun: Callable[[], None] | None = field(default=None, repr=False, compare=False)
    allow_hosts: tuple[str, ...] = ()
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    rate: float | None = None
    align_s: float | None = None
    transport: Literal["tcp", "udp"] = "tcp"
    camera_size: str | None = None
    camera_rate: float | None = None
    packets: PacketTap | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("rate", "align_s", "camera_rate"):
            check_number(name, getattr(self, name), optional=True)
        for name in ("reconnect_s", "max_backoff_s"):
            check_number(name, getattr(self, name))
        for name in ("user", "password", "camera_size"):
            check_text(name, getattr(self, name), optional=True)
        check_flag("retry_start", self.retry_start)
        check_type("allow_hosts", self.allow_hosts, (tuple, list), "a sequence of hosts")
        check_size("threads", self.threads, least=-SIZE_LIMIT)
        for name in ("decoder", "transport"):
            check_text(name, getattr(self, name))
        check_text("policy", self.policy, optional=True)
        for name in ("max_hold_s", "open_timeout_s", "read_timeout_s", "stall_s", "backoff_s", "buffer_s"):
            value = getattr(self, name)
            check_number(name, value)
            if not 0 < value < math.inf:
                raise _wrong(name, value, "a positive number of seconds")
        if self.rate is not None and not 0.01 <= self.rate <= MAX_RATE:
            raise _wrong("rate", self.rate, f"0.01 to {MAX_RATE:g} frames per second")
        if self.align_s is not None and not 0 < self.align_s < math.inf:
            raise _wrong("align_s", self.align_s, "a positive number of seconds")
        if not self.reconnect_s >= 0:
            raise _wrong("reconnect_s", self.reconnect_s, "0 or more seconds")
        if not self.backoff_s <= self.max_backoff_s < math.inf:
            raise _wrong(
                "max_backoff_s", self.max_backoff_s, f"at least `backoff_s`, which is {self.backoff_s}, and finite"
            )
        if self.threads < 0:
            raise _wrong("threads", self.threads, "0 or more")
        if self.decoder not in DECODERS:
            raise InputError(
                "decoder", f"`decoder` is {shown(repr(self.decoder), 80)}", ", ".join(DECODERS), "change `decoder`"
            )
        if self.policy not in (None, "wait", "drop_oldest"):
            raise _wrong("policy", self.policy, "wait or drop_oldest")
        if self.transport not in ("tcp", "udp"):
            raise _wrong("transport", self.transport, "tcp or udp")


def _wrong(name: str, value: object, allowed: str) -> InputError:
    return InputError("video-option", f"The option `{name}` is {shown(value, 80)}", allowed, f"change `{name}`")


class FrameSource(Protocol):
    """A source of frames. Call `frames` once after each `open`."""

    @property
    def name(self) -> str:
        """Name for messages; contains no credentials."""
        ...

    @property
    def live(self) -> bool: ...

    @property
    def info(self) -> VideoInfo:
        """Set by `open`."""
        ...

    @property
    def dropped(self) -> dict[str, int]:
        """Number of losses and corrections by reason."""
        ...

    @property
    def lost_at_start_s(self) -> float:
        """Seconds of video at the start that could not be decoded; known after the first frame."""
        ...

    @property
    def unplaced(self) -> int:
        """Number of frames lost after the last item; known at the end."""
        ...

    @property
    def policy(self) -> Policy:
        """Behavior of a full buffer after this source, set by `open`. Does not follow from `live`: HLS delivers many
        seconds at once and its server waits, so dropping what does not fit would lose most of it."""
        ...

    def open(self) -> None:
        """Open the source and wait for the first frame. Raises InputError."""
        ...

    def frames(self) -> Iterator[Sampled | Gap | None]:
        """Yield the frames of the grid in order, and None when nothing arrived for a while. Ends with the stream.

        Raises:
            InputError: A live source was lost and did not return.
        """
        ...

    def close(self) -> None:
        """Release all resources. May be called at any time, from any thread, and more than once."""
        ...
