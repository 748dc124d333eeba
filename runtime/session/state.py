"""The state of a session as a value: everything that decides which events it will report from here on.

`Session.state` exports it and `Session.from_state` continues from it. `snapshot` turns it into bytes and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from ..datatypes import compact
from ..errors import InputError
from ..live import LiveOptions
from .islands import Endpoint, Island
from .outputs import ROUNDING
from .plan import Plan, Stats
from .reporter import ReportedAction

F32 = npt.NDArray[np.float32]


@compact
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Rows:
    """Rows float32 [n, width] of a stream; row 0 has the index `base`."""

    base: int
    values: F32

    @property
    def end(self) -> int:
        """One after the index of the last row."""
        return self.base + len(self.values)


@compact
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SessionState:
    """The state of a session between two calls. Indices count snippets from the beginning of the section.

    Attributes:
        stream: Name of the stream.
        run_id: Part of the event ids.
        resets: How often the session was reset.
        start_s: Media time at which the section begins.
        live: Options of a live stream, or None.
        degraded: The session scores with reduced effort.
        closed: The stream has ended.
        started: Something was pushed.
        snippets_before: Snippets of the stream before the section, including dropped ones.
        dropped_before: Snippets dropped in the gap before the section.
        lost_frames: Pairs (snippet, video frames missing in it).
        open: For each class where its open island started, or None.
        pending: Closed islands whose context is not known yet.
        actions: Reported actions that are neither final nor retracted.
        action_count: Number of actions reported so far.
        stats: Statistics so far.
        features: The latest features, rows of D values.
        tracks: The latest tracks, rows of C + 1 values.
    """

    stream: str
    run_id: str
    resets: int
    start_s: float
    live: LiveOptions | None
    degraded: bool
    closed: bool
    started: bool
    snippets_before: int
    dropped_before: int
    lost_frames: tuple[tuple[int, int], ...]
    open: tuple[Endpoint | None, ...]
    pending: tuple[Island, ...]
    actions: tuple[ReportedAction, ...]
    action_count: int
    stats: Stats
    features: Rows
    tracks: Rows

    def advanced(self, plan: Plan) -> int:
        """Number of snippets at the last advance."""
        return self.features.end - self.features.end % plan.hop(self.live)


def check_state(state: SessionState, plan: Plan) -> None:
    """Raise InputError unless all rows that the next advance reads are there and every value is in range."""
    features, tracks, classes = state.features, state.tracks, len(plan.labels)
    for rows, width in ((features, plan.dim), (tracks, classes + 1)):
        if rows.values.shape[1] != width:
            damaged(f"The snapshot holds rows of {rows.values.shape[1]} values instead of {width}")
    if len(state.open) != classes:
        damaged("The snapshot has another number of classes")
    settled = max(state.advanced(plan) - plan.right, 0)
    fits = (
        tracks.end == settled
        and features.base <= max(tracks.end - plan.left, 0)
        and tracks.base <= max(tracks.end - 1, 0)
    )
    if not fits and not state.closed:  # a closed session does not advance any more
        damaged("The parts of the snapshot do not fit together")
    if not np.isfinite(features.values).all():
        damaged("The features in the snapshot are not finite")
    if tracks.values.size and not (tracks.values.min() >= -ROUNDING and tracks.values.max() <= 1 + ROUNDING):
        damaged("The tracks in the snapshot are not probabilities")
    oldest = max(features.base, tracks.base)
    for start in (*(start for start in state.open if start is not None), *(island.start for island in state.pending)):
        low = start.index if start.edge else max(start.index - plan.context, 0)
        if low < oldest or start.index > tracks.end:
            damaged("An island of the snapshot begins outside its rows")
    for island in state.pending:
        if island.label >= classes or island.end.index >= tracks.end or island.end.position <= island.start.position:
            damaged("An island of the snapshot ends outside its rows")
    for action in state.actions:
        if action.label >= classes or action.end < action.start:
            damaged("A report of the snapshot has an unknown class, or ends before it starts")


def damaged(given: str) -> NoReturn:
    """Raise the error for a snapshot that cannot be used."""
    raise InputError("snapshot-damaged", given, "the bytes of Session.snapshot", "use an earlier snapshot")
