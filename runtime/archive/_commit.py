"""Commits beside the work: a disk may take a twentieth of a second to say that it has a group; nobody waits for it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType

from ._items import Outcome
from ._ledger import Archive

HELD = 32  # outcomes that wait for the disk; workers wait beyond
TOGETHER = 16  # outcomes that share a turn of the disk


class Committer:
    """A thread that commits outcomes in the order given, as many at once as have come meanwhile.

    told: called after each commit, in that thread. What goes wrong is raised by the next `put`, or at the end of the
    block, which waits for all that was put.
    """

    def __init__(self, archive: Archive, told: Callable[[Outcome], None]) -> None:
        self._archive, self._told = archive, told
        self._queue: queue.Queue[Outcome | None] = queue.Queue(HELD)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="punctum-commit", daemon=True)

    def __enter__(self) -> Committer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error

    def put(self, outcome: Outcome) -> None:
        if self._error is not None:
            raise self._error
        self._queue.put(outcome)

    def _run(self) -> None:
        last = False
        while not last:
            waiting = [self._queue.get()]
            while len(waiting) < TOGETHER and not self._queue.empty():
                waiting.append(self._queue.get())
            last = waiting[-1] is None
            outcomes = [outcome for outcome in waiting if outcome is not None]
            if outcomes and self._error is None:  # after an error the queue is emptied, so that nobody waits at it
                try:
                    self._archive.commit(outcomes)
                    for outcome in outcomes:
                        self._told(outcome)
                except BaseException as error:  # noqa: BLE001 - raised by whoever puts next
                    self._error = error
