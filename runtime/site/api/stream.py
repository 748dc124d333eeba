"""Streams of reports: server-sent events that go on where the client was, and long polls."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...errors import PunctumError
from .hub import Hub, Item
from .records import dumped

_GONE = ("retracted",)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which reports a client wants. Empty: all.

    Retractions are sent whatever their score is, and so is what follows a report that was sent: the client would not
    learn how an action ended that it was told of.
    """

    cameras: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    phases: frozenset[str] = frozenset()
    min_score: float = 0.0

    def wants(self, item: Item) -> bool:
        return (
            (not self.cameras or item.camera in self.cameras)
            and (not self.labels or item.label in self.labels)
            and (not self.phases or item.phase in self.phases)
            and (item.score >= self.min_score or item.phase in _GONE or self._told(item))
        )

    def _told(self, item: Item) -> bool:
        """Whether an earlier report of the event was sent."""
        return any(
            score >= self.min_score and (not self.phases or phase in self.phases)
            for phase, score in item.earlier.items()
        )


class EventStream(Response):  # type: ignore[misc]
    """Server-sent events. Memory does not grow with a slow client: it is a position, and what its socket holds.

    Args:
        hub: Source of the reports.
        position: Reports after this one are sent; None: from now on.
        chosen: Which of them.
        reset: Whether the client knows things of another store.
        heartbeat_s: Seconds after which something is sent without news.
        slow_s: Seconds after which a client that takes nothing is disconnected.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        hub: Hub,
        position: int | None,
        chosen: Filter,
        *,
        reset: bool,
        heartbeat_s: float,
        slow_s: float,
        boot: str,
    ) -> None:
        super().__init__(None)
        self._hub, self._position, self._chosen, self._reset, self._boot = hub, position, chosen, reset, boot
        self._heartbeat_s, self._slow_s = heartbeat_s, slow_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The place among the clients was taken by who made the response."""
        gone: asyncio.Task[None] = asyncio.create_task(_until_gone(receive))
        sending = asyncio.create_task(self._send_all(scope, send))
        try:
            await asyncio.wait((gone, sending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (gone, sending):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, PunctumError, OSError):
                    await task
            self._hub.leave()

    async def _send_all(self, scope: Scope, send: Send) -> None:
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),  # nginx would hold events back
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            await self._pass_on(send)
        except TimeoutError:
            scope.get("punctum.abort", lambda: None)()
        else:
            await send({"type": "http.response.body", "body": b""})

    async def _pass_on(self, send: Send) -> None:
        hub = self._hub
        position = hub.last if self._position is None else self._position
        hello = dumped({"last": hub.last, "reset": self._reset, "boot": self._boot})
        begin = f"retry: 2000\nid: {hub.position(position)}\nevent: hello\ndata: ".encode()
        await self._put(send, begin + hello + b"\n\n")
        clock = asyncio.get_running_loop().time
        sent = clock()
        while not hub.closed:
            try:
                items = await hub.after(position)
            except PunctumError:
                await asyncio.sleep(1.0)
                continue
            wanted = [item.text for item in items if self._chosen.wants(item)]
            position = items[-1].id if items else position
            if not wanted and clock() >= sent + self._heartbeat_s:
                # An id without data is not an event, but where the client will go on.
                wanted = [f": still here\nid: {hub.position(position)}\n\n".encode()]
            if wanted:
                await self._put(send, b"".join(wanted))
                sent = clock()
            elif not items:
                await hub.wait(position, max(sent + self._heartbeat_s - clock(), 0.01))

    async def _put(self, send: Send, text: bytes) -> None:
        await asyncio.wait_for(send({"type": "http.response.body", "body": text, "more_body": True}), self._slow_s)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def poll(hub: Hub, position: int, chosen: Filter, *, seconds: float, limit: int) -> tuple[list[Item], int]:
    """Reports after a position as soon as there is one, and the position to go on with.

    Raises:
        PunctumError: The store cannot be read.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while True:
        items = await hub.after(position)
        wanted: list[Item] = []
        for item in items:
            position = item.id
            if chosen.wants(item):
                wanted.append(item)
                if len(wanted) >= limit:
                    break
        left = until - loop.time()
        if wanted or hub.closed or (left <= 0 and not items):
            return wanted, position
        if not items:
            await hub.wait(position, left)
