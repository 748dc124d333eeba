"""One stream of a pool: its session, its queue, and its turn in a step."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..events.event import Event
from .jobs import Steps
from .pool_options import Policy, StreamStats
from .session import Session

F32 = npt.NDArray[np.float32]
Lost = Sequence[tuple[int, int]]
"""Missing video frames, as pairs (row of a chunk, number of frames)."""


@dataclass(slots=True, eq=False)
class Turn:
    """One stream in one step.

    Attributes:
        room: Snippets that it may still process.
        events: Events so far.
        arrivals: Times of arrival of the chunks processed.
        done: The turn came to its end.
        answered: The engine has computed at least one result.
        begun: The session's `degraded` is set; it stays the same if the turn is repeated after a failure.
    """

    room: int
    events: list[Event] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    done: bool = False
    answered: bool = False
    begun: bool = False


@dataclass(slots=True, eq=False)
class PoolStream:
    """An open stream.

    Attributes:
        session: Its session.
        bound: Snippets that its queue may hold.
        stats: Its counters.
        queue: (rows, media time of the first, time of arrival, missing video frames) of each chunk.
        waiting: Snippets in the queue.
        caught_up: The last turn emptied the queue.
        next_s: Media time at which the last chunk in the queue ends.
        failures: Consecutive steps in which the engine failed the stream.
        unfinished: After a failed turn, the number of snippets that it may still process.
    """

    session: Session
    bound: int
    stats: StreamStats = field(default_factory=StreamStats)
    queue: deque[tuple[F32, float, float, Lost]] = field(default_factory=deque)
    waiting: int = 0
    caught_up: bool = True
    next_s: float | None = None
    failures: int = 0
    unfinished: int | None = None

    def put(self, rows: F32, at: float | None, arrival: float, lost: Lost = ()) -> None:
        """Add checked rows to the queue. at: media time of the first; None: right after the last chunk."""
        begin = at if at is not None else self.next_s
        begin = self.session.now_s if begin is None else begin
        self.queue.append((np.array(rows), begin, arrival, lost))
        self.waiting += len(rows)
        self.next_s = begin + len(rows) * self.session.plan.stride_s

    def next_turn(self, room: int) -> Turn:
        """A new turn of `room` snippets; after a failed turn, its remainder."""
        return Turn(room) if self.unfinished is None else Turn(self.unfinished, begun=True)

    def serve(self, turn: Turn, policy: Policy) -> Steps[None]:
        """The steps of one turn. A chunk leaves the queue, and its events count, once the session has taken it."""
        if policy == "degrade" and not turn.begun:
            # From half the bound on, and until a turn empties the queue, so that the mode does not alternate.
            behind = self.waiting > self.bound / 2
            self.session.degraded = behind or (self.session.degraded and not self.caught_up)
            self.stats.degraded_turns += self.session.degraded
        turn.begun = True
        while self.queue and turn.room > 0:
            rows, begin, arrival, lost = self.queue[0]
            part = rows[: turn.room]
            whole = len(part) == len(rows)
            now = lost if whole else [one for one in lost if one[0] < len(part)]
            turn.events += yield from self.session.push_steps(part, begin, now)
            if not whole:
                self.queue[0] = _after(self.queue[0], len(part), self.session.plan.stride_s)
            else:
                self.queue.popleft()
                turn.arrivals.append(arrival)
            turn.room -= max(len(part), 1)
            self.waiting -= len(part)
            self.stats.snippets += len(part)
        self.caught_up = not self.queue
        turn.done = True

    def count(self, turn: Turn, now: float, deadline_s: float | None) -> None:
        """Add a turn that ended at `now` to the counters."""
        lags = [now - arrival for arrival in turn.arrivals]
        self.stats.max_lag_s = max([self.stats.max_lag_s, *lags])
        self.stats.events += sum(1 for e in turn.events if e.phase == "final")
        if deadline_s is not None:
            self.stats.deadline_missed += sum(1 for lag in lags if lag > deadline_s)

    def drop_oldest(self) -> None:
        """Drop the oldest snippets beyond the bound of the queue."""
        while self.waiting > self.bound and self.queue:
            chunk = self.queue.popleft()
            dropped = min(len(chunk[0]), self.waiting - self.bound)
            if dropped < len(chunk[0]):
                self.queue.appendleft(_after(chunk, dropped, self.session.plan.stride_s))
            self.waiting -= dropped
            self.stats.dropped_snippets += dropped

    def update_stats(self, now: float) -> None:
        """Bring the counters that depend on the queue up to date."""
        self.stats.lag_s = now - self.queue[0][2] if self.queue else 0.0
        self.stats.queue_depth = self.waiting
        self.stats.state_bytes = self.session.state_bytes + sum(chunk[0].nbytes for chunk in self.queue)

    def close(self, reason: str) -> StreamStats:
        """The stream has ended: empty the queue and return the final counters."""
        self.queue.clear()
        self.stats.ended = reason
        self.stats.lag_s, self.stats.queue_depth, self.stats.state_bytes = 0.0, 0, 0
        return self.stats


def _after(chunk: tuple[F32, float, float, Lost], row: int, stride_s: float) -> tuple[F32, float, float, Lost]:
    """The rest of a chunk of the queue from a row on."""
    rows, begin, arrival, lost = chunk
    return rows[row:], begin + row * stride_s, arrival, [(one - row, frames) for one, frames in lost if one >= row]
