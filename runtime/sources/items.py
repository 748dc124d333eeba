"""What every source yields, and the little protocol that sources share."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..datatypes import by_value
from ..errors import InputError, SourceLostError
from ..features.media_clock import MAX_MEDIA_S
from ..text.display import printable

_log = logging.getLogger(__name__)

F32 = npt.NDArray[np.float32]
BLOCK_ROWS = 512  # snippets a chunk at most from files: bounds memory and the time between looks at the stop flag
RETRY_S, MAX_PAUSE_S = 60.0, 5.0  # of `Patience`
PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.EIO, errno.ESTALE}
PASSING |= {errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTCONN}
POLL_S = 0.1  # seconds that a source waits before it lets the caller look around


@dataclass(frozen=True, slots=True)
class Begin:
    """A stream begins, or its sender came back. start_s: media time of its first snippet in seconds."""

    stream: str
    start_s: float


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Chunk:
    """Rows float32 [n, D]. at: media time of the first in seconds, None: right after the last one.

    where: for messages. position: where to go on after this chunk; JSON. read_s: seconds spent on reading it.
    lost: video frames that are missing: (row of this chunk, frames lost in it or just before it).
    """

    rows: F32
    at: float | None
    where: str
    position: dict[str, Any] = field(default_factory=dict)
    read_s: float = 0.0
    lost: tuple[tuple[int, int], ...] = ()

    @property
    def dropped(self) -> int:
        """Frames lost in the whole chunk."""
        return sum(frames for _, frames in self.lost)


@dataclass(frozen=True, slots=True)
class Bad:
    """A chunk that could not be read. The source can go on after it."""

    error: InputError
    where: str
    position: dict[str, Any] = field(default_factory=dict)
    reason: str = "unreadable"


Item = Begin | Chunk | Bad | None


class Source(Protocol):
    """Where features come from."""

    name: str
    """What it is called in messages and snapshots."""
    replayable: bool
    """Whether it can go on from a position after a restart."""

    def open(self) -> None:
        """Bind, open, check. Raises InputError when that cannot work."""
        ...

    def items(self, position: dict[str, Any] | None = None) -> Iterator[Item]:
        """First a Begin, then chunks; None whenever nothing came for a while. Ends when the stream has ended.

        position: go on after it. Raises InputError at a fault that the source cannot get over.
        """
        ...

    def close(self) -> None: ...


def check_start(start_s: float) -> None:
    """Raise InputError for a start that is no media time."""
    if not abs(start_s) <= MAX_MEDIA_S:
        raise InputError(
            "source-option", f"start_s={start_s}", f"a media time within {MAX_MEDIA_S:g} s of 0", "set --start-s"
        )


class Patience:
    """How long a source that cannot be read for the moment is tried again: no descriptors left, a network drive that
    is away. Pauses grow from POLL_S to a few seconds."""

    def __init__(self, what: str) -> None:
        self.trouble = ""
        """Why it cannot be read; empty: it can."""
        self._what, self._since, self._pause_s = what, 0.0, POLL_S

    def well(self) -> None:
        """It could be read."""
        self.trouble = ""

    def wait(self, error: OSError) -> None:
        """Pause before the next attempt. Raises SourceLostError when there have been enough, InputError for an error
        that time does not mend."""
        reason = f"cannot read {self._what} ({error.strerror or error})"
        if error.errno not in PASSING:
            raise InputError("features-unreadable", reason, "a readable source", "check it")
        if not self.trouble:
            self.trouble, self._since, self._pause_s = reason, time.monotonic(), POLL_S
            _log.warning("%s; trying again for %g s", printable(reason), RETRY_S)
        if time.monotonic() - self._since >= RETRY_S:
            raise SourceLostError("features-unreadable", reason, "a source that can be read again in time", "check it")
        time.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, MAX_PAUSE_S)
