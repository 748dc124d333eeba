"""What every source yields, and the little protocol that sources share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .._values import by_value
from ..errors import InputError

F32 = npt.NDArray[np.float32]
BLOCK_ROWS = 512  # snippets a chunk at most from files: bounds memory and the time between looks at the stop flag
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
