"""Gives new reports to all clients that wait for them. A client is a position in the sequence of reports, no queue."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool

from ...datatypes import compact
from ...errors import PunctumError
from ..store.rows import Report
from .problems import refusal
from .records import dumped, report_record
from .view import SiteView

_KEPT = 2000  # latest reports in memory; clients that are further behind read from the store
_BATCH = 500
_LOOK_S = 5.0  # the store is looked at this often even without a notice
_READERS = 4  # clients that may read from the store at a time


@compact
@dataclass(frozen=True, slots=True)
class Item:
    """A report, ready to be sent. earlier: phases of the reports of its event before it, with their highest scores."""

    id: int
    camera: str
    label: str
    phase: str
    score: float
    earlier: Mapping[str, float]
    record: dict[str, Any]
    text: bytes

    @classmethod
    def of(cls, row: Report, earlier: Mapping[str, float], identity: str) -> Item:
        record = report_record(row)
        event = row.event
        text = b"id: %b\nevent: report\ndata: %b\n\n" % (_position(row.id, identity), dumped(record))
        return cls(row.id, row.camera, event.label, event.phase, event.score, earlier, record, text)


class Hub:
    """Reads each new report from the store once, and wakes the clients.

    Args:
        view: The service.
        clients: Clients at a time.
    """

    def __init__(self, view: SiteView, clients: int) -> None:
        self._view, self._most = view, clients
        self._kept: deque[Item] = deque(maxlen=_KEPT)
        self.identity = view.store.identity
        self._first = 0  # reports after this one are all kept
        self.last = 0
        self.closed = False
        self.clients = 0
        self._news = asyncio.Event()
        self._notice = asyncio.Event()
        self._readers = asyncio.Semaphore(_READERS)
        self._task: asyncio.Task[None] | None = None
        self._stop: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """To be called in the loop that serves the clients."""
        loop = asyncio.get_running_loop()

        def notice() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has just ended
                loop.call_soon_threadsafe(self._notice.set)

        self._stop = self._view.store.on_add(notice)
        self.last = self._first = await run_in_threadpool(self._view.store.last_report)
        self._task = asyncio.create_task(self._follow())

    def close(self) -> None:
        """End all streams. To be called in the thread of the loop."""
        self.closed = True
        self._stop()
        if self._task is not None:
            self._task.cancel()
        self._wake()

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[None]:
        """A place among the clients. Raises ApiProblem (503) if all are taken."""
        self.enter()
        try:
            yield
        finally:
            self.clients -= 1

    def enter(self) -> None:
        """Take a place; `leave` gives it back. Raises ApiProblem."""
        if self.clients >= self._most or self.closed:
            given, allowed = "Too many clients wait for events", f"{self._most} at a time"
            error = refusal(503, "site-api-clients", given, allowed, "try again later")
            error.retry_s = 5
            raise error
        self.clients += 1

    def leave(self) -> None:
        self.clients -= 1

    def position(self, number: int) -> str:
        """A position as clients get it: it says of which store it is."""
        return _position(number, self.identity).decode()

    def number(self, position: str) -> int | None:
        """The number of a position of a client; None if it is one of another store. Raises ValueError."""
        text, _, identity = position.partition(".")
        if not (text.isascii() and text.isdecimal() and len(text) <= 18):
            raise ValueError(position)
        found = int(text)
        # A position that we gave may be ahead of `last` for a moment: reports that a client read from the store.
        known = identity == self.identity if identity else found <= self.last
        return found if known else None

    async def after(self, position: int, limit: int = _BATCH) -> list[Item]:
        """Reports after a position, in order; empty: there is none yet. Raises PunctumError."""
        if position >= self.last:
            return []
        if position >= self._first:
            missing = [item for item in self._kept if item.id > position]
            return missing[:limit]
        async with self._readers:
            items: list[Item] = await run_in_threadpool(self._read, position, limit)
            return items

    def _read(self, position: int, limit: int) -> list[Item]:
        store = self._view.store
        rows = store.reports(position, limit)
        earlier = store.earlier(rows)
        return [Item.of(row, earlier.get(row.id, {}), self.identity) for row in rows]

    async def wait(self, position: int, seconds: float) -> None:
        """Until there may be reports after a position, the time is over, or the service ends."""
        if position < self.last or self.closed:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._notice.wait(), _LOOK_S)
            self._notice.clear()
            try:
                while items := await run_in_threadpool(self._read, self.last, _BATCH):
                    for item in items:
                        if len(self._kept) == _KEPT:
                            self._first = self._kept[0].id
                        self._kept.append(item)
                    self.last = items[-1].id
                    self._wake()
            except (PunctumError, OSError):
                await asyncio.sleep(1.0)  # the store says elsewhere what is wrong with it
                self._notice.set()


def _position(number: int, identity: str) -> bytes:
    return f"{number}.{identity}".encode()
