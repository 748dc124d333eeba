"""What a session needs from an inference engine.

A session depends on these protocols alone; the implementations are in `punctum.runtime.backends`. Pre- and
post-processing are not part of an engine, so results do not differ between engines beyond rounding.

Two methods are required: `Backend.locate` and `Backend.score`. Everything else is optional. The functions at the end of
this module (`batch_locator`, `locate_windows`, `length_buckets`, `warm_engine`, `node_placement`) do without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
LocateMany = Callable[[F32], tuple[F32, F32]]
Placement = dict[str, dict[str, dict[str, int]]]
"""Graph -> provider -> operator -> number of nodes."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Input sizes of one run of a graph.

    With `proposals` = 0 a run of the locator on `windows` windows of `length` snippets; otherwise a run of the center
    scorer on one window of `length` snippets with that many proposals.
    """

    length: int
    windows: int = 1
    proposals: int = 0


class Backend(Protocol):
    """Runs the two graphs of a bundle, the locator and the center scorer.

    Attributes:
        requested: The device that was asked for.
        actual: The device that runs the graphs.
    """

    requested: str
    actual: str

    def locate(self, features: F32) -> tuple[F32, F32]:
        """Run the locator on one window.

        Args:
            features: float32 [T, D].

        Returns:
            Class tracks [T, C] and actionness [T], all values within 0..1.
        """
        ...

    def score(self, features: F32, tracks: F32, segments: F32, labels: I64) -> tuple[F32, F32, F32]:
        """Run the center scorer on the proposals of one window.

        Args:
            features: float32 [T, D].
            tracks: float32 [T, C + 1], class tracks followed by actionness.
            segments: float32 [M, 2], start and end of each proposal in snippets, where 0 is the centre of the window's
                first snippet.
            labels: int64 [M], class of each proposal.

        Returns:
            Class probability [M, C], attention [M] and center score [M].
        """
        ...


class BatchBackend(Backend, Protocol):
    """A backend that runs the locator on several windows at once. Without it a pool runs one window at a time."""

    def locate_many(self, windows: F32) -> tuple[F32, F32]:
        """Run the locator on windows of equal length; each result equals that of `locate`.

        Args:
            windows: float32 [B, T, D].

        Returns:
            Class tracks [B, T, C] and actionness [B, T].
        """
        ...


class Engine(BatchBackend, Protocol):
    """A backend opened from a bundle, with everything that is optional in a `Backend`.

    Attributes:
        precision: The variant of the graphs that runs, such as "fp32".
        choice: For device "auto", which device was chosen and why, in one line; otherwise empty.
    """

    precision: str
    choice: str

    def placement(self) -> Placement:
        """Which part of the device runs which nodes of each graph, as data for JSON."""
        ...

    def warm(self, shapes: Sequence[Shape]) -> None:
        """Run the graphs once with each shape, so that later runs of these shapes need no preparation."""
        ...


def batch_locator(backend: Backend) -> LocateMany | None:
    """`BatchBackend.locate_many` of a backend, or None."""
    many: LocateMany | None = getattr(backend, "locate_many", None)
    return many


def locate_windows(backend: Backend, windows: F32) -> tuple[F32, F32]:
    """`BatchBackend.locate_many`, or one run per window for a backend without it."""
    many = batch_locator(backend)
    if many is not None:
        return many(windows)
    tracks, actionness = zip(*(backend.locate(window) for window in windows), strict=True)
    return np.stack(tracks), np.stack(actionness)


def length_buckets(backend: Backend) -> tuple[int, ...]:
    """Window lengths, rising, to which inner windows are padded before they are located; usually none.

    Few lengths let an engine reuse memory plans and compiled kernels.
    """
    buckets: tuple[int, ...] = getattr(backend, "buckets", ())
    return buckets


def warm_engine(backend: Backend, shapes: Sequence[Shape]) -> None:
    """Run each shape once, where the backend supports it (`Engine.warm`)."""
    warm: Callable[[Sequence[Shape]], None] | None = getattr(backend, "warm", None)
    if warm is not None:
        warm(shapes)


def node_placement(backend: Backend) -> Placement:
    """`Engine.placement` of a backend, or an empty dictionary."""
    placement: Callable[[], Placement] | None = getattr(backend, "placement", None)
    return {} if placement is None else placement()
