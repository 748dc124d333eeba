"""What every source of frames yields, its options, and the protocol that sources share. Media time in seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from ..datatypes import compact
from ..errors import InputError
from ._time import TimeBase

U8 = npt.NDArray[np.uint8]
Policy = Literal["wait", "drop_oldest"]
MAX_RATE = 1000.0
POLL_S = 0.1  # seconds that a live source waits before it lets the caller look around


@compact
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sampled:
    """One frame of the sampling grid.

    image: uint8 [H, W, 3], RGB, C-contiguous, upright. Cells that show the same frame share it: do not write to it.
    index: k, counted from the beginning of the stretch. at: media seconds at which cell k begins, start + k / fps.
    lost: source frames known lost since the item before: not decodable, or dropped from a full buffer.
    aspect: width of a pixel by its height; not 1 for recordings that a player stretches when it shows them.
    """

    image: U8
    index: int
    at: float
    lost: int
    aspect: float = 1.0


@dataclass(frozen=True, slots=True)
class Gap:
    """A new stretch begins: nothing is known between the last frame and `at`, media seconds of the new grid's start.

    lost: source frames known lost. reason: "reconnected", "stall", "stamps-jumped" or "overflow".
    """

    at: float
    lost: int
    reason: str


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known once the first frame has come. width, height: pixels of the upright frame.

    rate: nominal frames a second, 0 when unknown. duration_s: as the header claims, None when unknown: a claim, since
    headers of damaged files lie. rotation: degrees counter-clockwise that were applied. time: what the container says
    about time.
    """

    width: int
    height: int
    rate: float
    duration_s: float | None
    codec: str
    rotation: int
    live: bool
    time: TimeBase = field(default_factory=TimeBase)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOptions:
    """How a source behaves. The defaults suit files and cameras alike.

    max_hold_s: how long a frame stays on screen when no new one comes; longer silence is a Gap.
    threads: decode threads; 0 lets FFmpeg choose. More cost more in all: for what one core cannot decode in time.
    open_timeout_s: until the first frame has come. read_timeout_s: until the next bytes (HLS: 15 s at least, since its
    segments come whole). stall_s: until the next frame.
    reconnect_s: a live source that was lost is tried again for that long; 0: never.
    backoff_s, max_backoff_s: pause before the second attempt, doubled from attempt to attempt, with jitter.
    policy: what a full buffer does: "wait" holds the sender back, "drop_oldest" drops its older half and says so.
    None: drop_oldest for RTSP and cameras, which do not wait; wait for all others. buffer_s: its length.
    retry_start: a live source that is absent at first is tried again as long as one that was lost; waiting: told now
    and then, with the reason, while it is absent.
    allow_hosts: hosts, addresses and networks (10.0.0.0/8) of private networks that redirects and playlists of an HTTP
    source may lead to. user, password: for addresses without their own.
    rate: frames a second of a stream that carries no time stamps (raw H.264, H.265 or MPEG video, MJPEG); refused for
    all others. None: as the video says; a live source by the time of arrival.
    align_s: the grid begins anew after a gap at multiples of that many seconds; None: with the first frame after it.
    transport: of RTSP. camera_size ("1280x720"), camera_rate: asked of a USB camera.
    """

    max_hold_s: float = 1.0
    threads: int = 1
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
    allow_hosts: tuple[str, ...] = ()
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    rate: float | None = None
    align_s: float | None = None
    transport: Literal["tcp", "udp"] = "tcp"
    camera_size: str | None = None
    camera_rate: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_hold_s", "open_timeout_s", "read_timeout_s", "stall_s", "backoff_s", "buffer_s"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InputError("video-option", f"{name}={value}", "a positive number of seconds", f"set {name}")
        if self.rate is not None and not 0.01 <= self.rate <= MAX_RATE:
            given = f"a rate of {self.rate:g} frames a second"
            raise InputError("video-option", given, f"0.01 to {MAX_RATE:g}", "set the rate of the stream (--fps)")
        if self.align_s is not None and not 0 < self.align_s < math.inf:
            raise InputError("video-option", f"align_s={self.align_s}", "a positive number of seconds", "set align_s")
        if not self.reconnect_s >= 0:
            raise InputError("video-option", f"reconnect_s={self.reconnect_s}", "0 or more seconds", "set reconnect_s")
        if not self.backoff_s <= self.max_backoff_s < math.inf:
            given = f"backoff_s={self.backoff_s} and max_backoff_s={self.max_backoff_s}"
            raise InputError("video-option", given, "backoff_s up to max_backoff_s", "set both")
        if self.threads < 0:
            raise InputError("video-option", f"threads={self.threads}", "0 or more", "set threads")
        if self.policy not in (None, "wait", "drop_oldest"):
            raise InputError("video-option", f"policy={self.policy!r}", "wait or drop_oldest", "set policy")
        if self.transport not in ("tcp", "udp"):
            raise InputError("video-option", f"transport={self.transport!r}", "tcp or udp", "set transport")


class FrameSource(Protocol):
    """Where frames come from. `frames` may be asked for once an `open`."""

    name: str
    """What it is called in messages; holds no credentials."""
    live: bool
    info: VideoInfo
    """Set by `open`."""
    dropped: dict[str, int]
    """What was lost or mended, by reason."""

    @property
    def lost_at_start_s(self) -> float:
        """Seconds of video at the start that could not be decoded; known once frames have come."""
        ...

    @property
    def unplaced(self) -> int:
        """Frames lost behind the last item, which none could tell of; known at the end."""
        ...

    policy: Policy
    """What a full buffer behind this source shall do, set by `open`. Not the same as `live`: HLS sends many seconds at
    once and its server waits for us, so that dropping what does not fit at once would lose most of it."""

    def open(self) -> None:
        """Open and wait for the first frame. Raises InputError when that cannot work."""
        ...

    def frames(self) -> Iterator[Sampled | Gap | None]:
        """Frames of the grid in order; None whenever nothing came for a while. Ends with the stream.

        Raises InputError when a live source was lost and did not come back.
        """
        ...

    def close(self) -> None:
        """Release everything. May be called at any time, from any thread, more than once."""
        ...
