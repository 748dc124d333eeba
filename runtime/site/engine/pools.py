"""The pools of one engine: one for each choice of provisional events, all on the same backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import PunctumError
from ...events.event import Event
from ...live import LiveOptions
from ...session.pool import Pool, PoolOptions
from ...session.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...localizer import Localizer
    from .journal import F32

TURN_S = 4.0  # seconds of media that a stream is served in a step, so that a large chunk does not hold up others
MOST_STREAMS = 4096
UNBOUNDED_S = 1e9  # one chunk at a time is put: queues are kept, and bounded, before they are journaled


class Pools:
    """Streams by name, whatever their options.

    Args:
        localizer: The bundle on its engine.
    """

    def __init__(self, localizer: Localizer) -> None:
        self.localizer = localizer
        self._pools: dict[float | None, Pool] = {}
        self._of: dict[str, Pool] = {}

    def open(self, name: str, *, max_delay_s: float | None, stream: str, start_s: float, run_id: str) -> None:
        """Begin a stream. Raises InputError."""
        live = None if max_delay_s is None else LiveOptions(max_delay_s=max_delay_s)
        session = self.localizer.session(stream=stream, start_s=start_s, live=live, run_id=run_id)
        self._put(name, session)

    def restore(self, name: str, data: bytes) -> Session:
        """Continue a stream from the snapshot of its session. Raises InputError."""
        session = self.localizer.restore(data)
        self._put(name, session)
        return session

    def _put(self, name: str, session: Session) -> None:
        key = None if session.live is None else session.live.max_delay_s
        if key not in self._pools:
            options = PoolOptions(
                max_queue_s=UNBOUNDED_S, turn_s=TURN_S, max_streams=MOST_STREAMS, live=session.live, run_id=""
            )
            self._pools[key] = self.localizer.pool(options)
        self._pools[key].open(name, restored=session)
        self._of[name] = self._pools[key]

    def is_open(self, name: str) -> bool:
        """Whether the stream has a session."""
        return self.session(name) is not None

    def session(self, name: str) -> Session | None:
        """The session of a stream, to read its state; None if there is none."""
        pool = self._of.get(name)
        return None if pool is None else pool.session(name)

    def put(self, name: str, rows: F32, at: float, lost: Sequence[tuple[int, int]]) -> None:
        """Queue a chunk that was checked. Raises InputError."""
        self._of[name].put(name, rows, at=at, lost=lost)

    def waiting(self, name: str) -> bool:
        """Whether a chunk of the stream waits for a step."""
        pool = self._of.get(name)
        return pool is not None and pool.waiting(name)

    def step(self) -> tuple[list[Event], PunctumError | None]:
        """A step of every pool with chunks: the events, and the error of a pool of which the engine served nothing."""
        events: list[Event] = []
        failed: PunctumError | None = None
        for pool in self._pools.values():
            try:
                events += pool.step()
            except PunctumError as error:
                failed = error
        return events, failed

    def end(self, name: str) -> list[Event]:
        """Flush a stream. Raises PunctumError."""
        return self._of[name].end(name) if self.is_open(name) else []

    def abandon(self, name: str, reason: str) -> list[Event]:
        """End a stream without the engine."""
        return self._of[name].abandon(name, reason=reason) if self.is_open(name) else []

    def snapshot(self, name: str) -> bytes | None:
        """The state of a session; empty where there is none, None while a chunk waits."""
        return self._of[name].snapshot(name) if self.is_open(name) else b""

    def failure(self, name: str) -> str:
        """Why the engine ended a stream by itself; empty if it did not."""
        pool = self._of.get(name)
        stats = None if pool is None else pool.stats().get(name)
        return "" if stats is None else stats.ended

    def forget(self, name: str) -> None:
        """Forget why a stream ended."""
        self._of.pop(name, None)
