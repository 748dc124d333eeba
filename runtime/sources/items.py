"""The items that sources yield, and the protocol of sources."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from ..arguments import check_number
from ..datatypes import by_value
from ..errors import InputError, SourceLostError
from ..features.media_clock import MAX_MEDIA_S
from ..text.display import printable
from ..text.json_types import JsonValue

_log = logging.getLogger(__name__)

F32 = npt.NDArray[np.float32]
BLOCK_ROWS = 512  # most snippets per chunk from files: bounds memory and the time between checks of the stop flag
RETRY_S, MAX_PAUSE_S = 60.0, 5.0  # of `ReadRetry`
TRANSIENT = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.EIO, errno.ESTALE}
TRANSIENT |= {errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTCONN}
POLL_S = 0.1  # seconds that a source waits before it returns control to the caller


Position: TypeAlias = dict[str, JsonValue]
"""Where to continue in a source; its fields depend on the kind of source. JSON."""


def count_in(position: Position, field: str) -> int:
    """A count in a position. Raises KeyError and TypeError."""
    value = position[field]
    if not isinstance(value, int | float | str):
        raise TypeError(f"{field} is {value!r}")
    return int(value)


@dataclass(frozen=True, slots=True)
class Begin:
    """A stream begins, or its sender has reconnected. start_s: media time of its first snippet in seconds."""

    stream: str
    start_s: float


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Chunk:
    """Consecutive snippets.

    Attributes:
        rows: float32 [n, D].
        at: Media time of the first snippet in seconds. None: directly after the previous one.
        where: Place in the source, for messages.
        position: Where to continue after this chunk; JSON.
        read_s: Seconds spent on reading it.
        lost: Missing video frames as pairs (row of this chunk, number of frames lost in it or just before it).
        gap: Why something is missing before it: the reason of the `Gap` of a video; "" where it is not known.
    """

    rows: F32
    at: float | None
    where: str
    position: Position = field(default_factory=dict)
    read_s: float = 0.0
    lost: tuple[tuple[int, int], ...] = ()
    gap: str = ""

    @property
    def dropped(self) -> int:
        """Number of video frames lost in the whole chunk."""
        return sum(frames for _, frames in self.lost)


@dataclass(frozen=True, slots=True)
class Bad:
    """A chunk that could not be read. The source continues after it."""

    error: InputError
    where: str
    position: Position = field(default_factory=dict)
    reason: str = "unreadable"


Item = Begin | Chunk | Bad | None


class Source(Protocol):
    """A source of features."""

    name: str
    """Name in messages and snapshots."""
    replayable: bool
    """Whether it can continue from a position after a restart."""

    def open(self) -> None:
        """Open and check the source. Raises InputError."""
        ...

    def items(self, position: Position | None = None) -> Iterator[Item]:
        """Yield a Begin, then chunks, and None when nothing arrived for a while. Ends with the stream.

        Args:
            position: Position of a chunk to continue after; None: from the start.

        Raises:
            InputError: An error after which the source cannot continue.
        """
        ...

    def close(self) -> None: ...


def check_start(start_s: float) -> None:
    """Raise InputError for a start that is not a media time in seconds."""
    check_number("start_s", start_s)
    if not abs(start_s) <= MAX_MEDIA_S:
        raise InputError(
            "source-option",
            f"`start_s` is {start_s}",
            f"a media time within {MAX_MEDIA_S:g} s of 0",
            "change `start_s`",
        )


def missing(given: str, required: str, next_step: str = "check the path") -> InputError:
    """The error for features that do not exist."""
    return InputError("features-missing", given, required=required, next_step=next_step)


def unreadable(path: Path, error: OSError) -> InputError:
    """The error for a file or folder that cannot be read."""
    return InputError("features-unreadable", f"{path} cannot be read ({error})", next_step="check its permissions")


class ReadRetry:
    """Retries reading after transient errors, such as too many open files or a disconnected network drive.

    Pauses grow from POLL_S to MAX_PAUSE_S. what: name of the source for messages.
    """

    def __init__(self, what: str) -> None:
        self.trouble = ""
        """Why it cannot be read; empty if it can."""
        self._what, self._since, self._pause_s = what, 0.0, POLL_S

    def success(self) -> None:
        """Report a successful read."""
        self.trouble = ""

    def wait(self, error: OSError) -> None:
        """Pause before the next attempt.

        Raises:
            SourceLostError: All attempts within RETRY_S have failed.
            InputError: The error is permanent.
        """
        reason = f"{self._what} cannot be read ({error.strerror or error})"
        if error.errno not in TRANSIENT:
            raise InputError("features-unreadable", reason, next_step="check its permissions")
        if not self.trouble:
            self.trouble, self._since, self._pause_s = reason, time.monotonic(), POLL_S
            _log.warning("%s; retrying for %g s", printable(reason), RETRY_S)
        if time.monotonic() - self._since >= RETRY_S:
            raise SourceLostError("features-unreadable", reason, next_step="check the drive or network")
        time.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, MAX_PAUSE_S)
