"""What a session needs from an inference engine.

A session depends on these protocols alone; the implementations are in `punctum.runtime.backends`. Pre- and
post-processing are not part of an engine, so results do not differ between engines beyond rounding.

Two methods are required: `Backend.locate` and `Backend.score`. Everything else is optional. The functions at the end of
this module (`batch_locator`, `locate_windows`, `step_locator`, `window_scorer`, `length_buckets`, `warm_engine`,
`node_placement`) do without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..arguments import wrong_argument

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
            segments: float32 [M, 2], start and end of each proposal in snippets, where 0 is the center of the window's
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


class Stepper(Protocol):
    """The locator for streams: takes the new snippets of each and the state that the last step has left.

    Attributes:
        state_size: Number of values S of one stream's state.
        ahead: Rows after the settled ones.
    """

    state_size: int
    ahead: int

    def step(self, features: F32, states: F32) -> tuple[F32, F32, F32]:
        """Advance B streams by n snippets.

        With K snippets known before the step and K' = K + n after it, the rows belong to snippets K - right to
        K' - right + ahead. Those before K' - right are settled, and equal those that `Backend.locate` returns for a
        window with the whole context; the others are as if the stream ended at K'.

        A state of zeros is good for a step of at least left + right snippets, which leaves the state of a stream that
        has been advanced from its beginning.

        Args:
            features: float32 [B, n, D].
            states: float32 [B, S].

        Returns:
            Class tracks [B, n + ahead, C], actionness [B, n + ahead] and the next states [B, S].
        """
        ...


class StepBackend(Backend, Protocol):
    """A backend whose locator can advance streams without the context of their windows."""

    def stepper(self, *, ahead: bool) -> Stepper | None:
        """The locator for streams; None if this one needs whole windows. ahead: with rows that are not settled."""
        ...


class WindowScorer(Protocol):
    """The center scorer for the proposals of many windows in one run."""

    def score_windows(self, features: F32, ends: I64, segments: F32, offsets: I64) -> tuple[F32, F32, F32]:
        """Score M proposals of G windows; each result equals that of `Backend.score`.

        Args:
            features: float32 [R, D], one window after the other.
            ends: int64 [G + 1]; window g has the rows ends[g] to ends[g + 1].
            segments: float32 [M, 2], in snippets from the center of the first snippet of each one's window.
            offsets: int64 [G + 1]; window g has the segments offsets[g] to offsets[g + 1].

        Returns:
            Class probability [M, C], attention [M] and center score [M].
        """
        ...


class WindowBackend(Backend, Protocol):
    """A backend whose scorer can keep the windows in a run apart, and needs neither tracks nor classes for that."""

    def window_scorer(self) -> WindowScorer | None:
        """The scorer for many windows; None if this one takes one window in a run."""
        ...


class Engine(BatchBackend, StepBackend, WindowBackend, Protocol):
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


def check_backend(backend: object) -> None:
    """Raise InputError for an object without the two methods of a `Backend`."""
    for name in ("locate", "score"):
        if not callable(getattr(backend, name, None)):
            raise wrong_argument("backend", backend, "an engine with the methods `locate` and `score`")


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


def step_locator(backend: Backend, *, ahead: bool) -> Stepper | None:
    """`StepBackend.stepper` of a backend, or None."""
    stepper: Callable[..., Stepper | None] | None = getattr(backend, "stepper", None)
    return None if stepper is None else stepper(ahead=ahead)


def window_scorer(backend: Backend) -> WindowScorer | None:
    """`WindowBackend.window_scorer` of a backend, or None."""
    scorer: Callable[[], WindowScorer | None] | None = getattr(backend, "window_scorer", None)
    return None if scorer is None else scorer()


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
