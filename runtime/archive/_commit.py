"""Commits in a thread of their own, so that workers do not wait for the disk (about 50 ms per synced write)."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType

from ._items import Outcome
from ._ledger import Archive

MAX_PENDING = 32  # outcomes waiting for the disk; beyond this, workers wait
MAX_BATCH = 16  # outcomes per commit


class Committer:
    """A thread that commits outcomes in order, and those that arrive meanwhile together.

    Errors are raised by the next `put`, or at the end of the `with` block, which waits for all pending outcomes.

    Args:
        archive: The opened archive.
        on_commit: Called with each committed outcome, in the thread.
    """

    def __init__(self, archive: Archive, on_commit: Callable[[Outcome], None]) -> None:
        self._archive, self._on_commit = archive, on_commit
        self._queue: queue.Queue[Outcome | None] = queue.Queue(MAX_PENDING)
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
            while len(waiting) < MAX_BATCH and not self._queue.empty():
                waiting.append(self._queue.get())
            last = waiting[-1] is None
            outcomes = [outcome for outcome in waiting if outcome is not None]
            if outcomes and self._error is None:  # after an error, empty the queue to release waiting callers
                try:
                    self._archive.commit(outcomes)
                    for outcome in outcomes:
                        self._on_commit(outcome)
                except BaseException as error:  # noqa: BLE001 - raised by the next `put`
                    self._error = error
