"""The thread that stores reports, gaps and the state of cameras, so that a slow disk delays neither features nor the
watch over the processes, and a full one loses nothing."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

from ...errors import InputError, PunctumError
from ...events.event import Event
from ...text.display import counted
from ..store.database import StoreDamagedError
from ..store.rows import GapRow, MediaRow

if TYPE_CHECKING:
    from ..store.rows import Report
    from ..store.store import Store

_log = logging.getLogger(__name__)
RETRY_S = 2.0
MOST_ROWS = 100_000  # of gaps and media that wait, while the disk fails for long
MOST_WAITING = 2000  # batches; beyond that, which takes a disk that fails for long, provisional reports are dropped


@dataclass(frozen=True, slots=True)
class Batch:
    """Reports of one camera, from one message of an engine. done: called once they are stored."""

    camera: str
    bundle: str
    reports: Sequence[Event]
    sinks: Sequence[str]
    done: Callable[[], None]


Change = Callable[["Store"], object]
"""Stores something other than reports. It may raise PunctumError, and is then called again."""
T = TypeVar("T")


class _EndedError(Exception):
    """The service ends while the disk is full."""


class Writer:
    """Stores batches and changes in order, and rows of gaps and media as many as wait at a time; it tries again until
    that works. What never can, since a value is refused, is logged and left out.

    Args:
        store: Where they go.
        stored: Called with the new reports of each batch, in this thread.
    """

    def __init__(self, store: Store, stored: Callable[[Sequence[Report]], None]) -> None:
        self._store, self._stored = store, stored
        self._queue: queue.SimpleQueue[Batch | Change | Literal["rows"] | None] = queue.SimpleQueue()
        self._rows: list[MediaRow | GapRow] = []
        self._rows_lock = threading.Lock()
        self._rows_lost = self._damaged = False
        self.trouble = ""
        """Why reports cannot be stored at the moment; empty: they can."""
        self.dropped = 0
        """Provisional reports that were dropped."""
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._stop = threading.Event()
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Messages that are not stored yet."""
        return self._queue.qsize()

    def put(self, batch: Batch) -> None:
        """Never waits."""
        if self.waiting >= MOST_WAITING:
            kept = [event for event in batch.reports if event.phase in ("final", "retracted")]
            self.dropped += len(batch.reports) - len(kept)
            batch = replace(batch, reports=kept)
        self._queue.put(batch)

    def put_row(self, row: MediaRow | GapRow) -> None:
        """Store a row, after what is already queued. Never waits: a sender can cause more rows than a disk can sync."""
        with self._rows_lock:
            if len(self._rows) >= MOST_ROWS:
                if not self._rows_lost:
                    _log.error("too many gaps, clips and pictures wait for the disk: more are not registered")
                self._rows_lost = True
                return
            self._rows.append(row)
            first = len(self._rows) == 1
        if first:
            self._queue.put("rows")

    def change(self, change: Change) -> None:
        """Store something other than reports, after what is already queued. Never waits."""
        self._queue.put(change)

    def close(self, timeout_s: float = 10.0) -> None:
        """Store what waits, for so long at most."""
        self._queue.put(None)
        self._thread.join(timeout_s)
        self._stop.set()

    def _run(self) -> None:
        # What is not stored when the service ends is still in the journals of the engines.
        # Storing an item may add another one: the end of a recording is stored after its last reports.
        while (item := self._queue.get()) is not None or not self._queue.empty():
            try:
                if item is not None:
                    self._store_item(item)
            except StoreDamagedError as error:
                self.trouble, self._damaged = str(error.given), True
            except _EndedError:
                return
            if item is None:
                self._queue.put(None)

    def _store_item(self, item: Batch | Change | Literal["rows"]) -> None:
        # A damaged database ends the service, see `run`. No more reports are stored until then: storing a later one
        # would confirm earlier ones, which have to be computed again after the next start. State that is kept in files
        # as well is still written there.
        if self._damaged and (item == "rows" or (isinstance(item, Batch) and item.reports)):
            return
        if item == "rows":
            self._add_rows()
        elif isinstance(item, Batch):
            what = f"reports of camera {item.camera}"
            new = self._until_stored(partial(_add, item), what) if item.reports else ()
            item.done()
            if new:
                self._stored(new)
        else:
            self._until_stored(item, "changes of the state")

    def _add_rows(self) -> None:
        with self._rows_lock:
            rows, self._rows, self._rows_lost = self._rows, [], False
        media = [row for row in rows if isinstance(row, MediaRow)]
        gaps = [row for row in rows if isinstance(row, GapRow)]
        text = f"{counted(len(media), 'clip or picture', 'clips and pictures')} and {counted(len(gaps), 'gap')}"
        self._until_stored(lambda store: store.add_rows(media, gaps), text)

    def _until_stored(self, store: Callable[[Store], T], what: str) -> T | None:
        """What `store` returns; None: a value was refused. Raises _EndedError and StoreDamagedError."""
        while True:
            try:
                result = store(self._store)
            except InputError as error:
                _log.error("[%s] %s cannot be stored, and are left out: %s", error.code, what, error.given)
                return None
            except StoreDamagedError:
                raise
            except PunctumError as error:
                if not self.trouble:
                    _log.error("[%s] %s; trying again until it works", error.code, error)
                self.trouble = str(error.given)
                if self._stop.wait(RETRY_S):
                    raise _EndedError from None
                continue
            if self.trouble:
                _log.warning("reports are stored again")
                self.trouble = ""
            return result


def _add(batch: Batch, store: Store) -> Sequence[Report]:
    return store.add(batch.camera, batch.bundle, batch.reports, batch.sinks, time.time())
