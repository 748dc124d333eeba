"""What an inference engine has to offer. Pre- and post-processing live outside, so engines cannot drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of one run. Without proposals: the locator on `windows` windows of `length` snippets; with: the center
    scorer on one window of `length` snippets with so many proposals."""

    length: int
    windows: int = 1
    proposals: int = 0


class Backend(Protocol):
    """An engine that runs the two graphs of a bundle. `requested` and `actual` device are data."""

    requested: str
    actual: str

    def locate(self, features: F32) -> tuple[F32, F32]:
        """features [T, D] -> (class track [T, C], actionness [T]), both in 0..1."""
        ...

    def locate_many(self, windows: F32) -> tuple[F32, F32]:
        """Windows of one length [B, T, D] in one run -> (class tracks [B, T, C], actionness [B, T]).

        Each as `locate` gives it alone. An engine without it serves many streams one window at a time.
        """
        ...

    def score(self, features: F32, tracks: F32, segments: F32, labels: I64) -> tuple[F32, F32, F32]:
        """Score proposals in one window.

        features [T, D]; tracks [T, C + 1] (class tracks, then actionness); segments [M, 2] in the snippet-centre
        coordinates of this window; labels [M]. Returns (class probability [M, C], attention [M], center [M]).
        """
        ...


class Engine(Backend, Protocol):
    """A backend that was opened from a bundle, and that can say what it is."""

    precision: str
    """The variant of the graphs that it runs."""
    choice: str
    """With device "auto": what was taken and why, in one line; else empty."""

    def placement(self) -> dict[str, Any]:
        """Which part of the device runs which nodes, as data for JSON; graph by graph."""
        ...

    def warm(self, shapes: Sequence[Shape]) -> None:
        """Run the graphs once with each of these shapes, so that no later run of one is slower than the next."""
        ...
