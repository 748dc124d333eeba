"""The server of the labeling page: the page itself, the videos, the clicks, and the events that keep pages in step."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from .._version import __version__
from ..errors import InputError, PunctumError
from ..text.display import as_utf8
from ..text.strict_json import parse_json
from ..web import SHARED, shared_file
from .agreement import agreement
from .answers import json_answer
from .changes import Change, Conflict
from .guard import Guard, elsewhere
from .guide_routes import guide_routes
from .learner import Learner
from .library import Library
from .store import ClickStore

MAX_PAGES = 64
_FAR, _FAR_S = 2.0, 60.0
_DIGITS = 9  # of the number of a thumbnail
_PART = (2 << 20) - 1  # bytes of a video beyond the first one in one answer
_QUEUE = 2000  # events that a page may be behind before it has to load everything again
_BEAT_S = 10.0
_LOOK_S = 2.0  # how often the points file is checked for changes by other programs
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
PAGE = (
    *("index.html", "label.css", "main.js", "model.js", "player.js", "keys.js", "timeline.js", "panels.js"),
    *("reaction.js", "dom.js", "connection.js", "guide.js", "outcome.js", "api.js"),
    *("history.js", "dialogs.js", "legend.js", "export.js", "training.js", "waiting.js", "notices.js", "durable.js"),
    *("answers.js", "unlabeled.js", "wording.js"),
)


class Label:
    """The application behind the page.

    Args:
        store: The clicks.
        library: The videos.
        learner: Training in the background.
        annotator: Name of the annotator, until a page chooses another one.
        title: Name of the folder.
        listed: Names of the videos that train.txt and test.txt list; None without lists.
    """

    def __init__(
        self,
        store: ClickStore,
        library: Library,
        learner: Learner,
        *,
        annotator: str,
        title: str,
        listed: set[str] | None = None,
    ) -> None:
        self.store, self.library, self.learner = store, library, learner
        self._annotator, self._title, self._listed = annotator, as_utf8(title), listed
        self._boot = secrets.token_hex(8)
        self._place = as_utf8(str(store.folder.resolve()))
        self._pages: set[asyncio.Queue[str | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        library.notify = learner.notify = self._from_thread

    def app(self, *, port: int, token: str) -> Guard:
        """The ASGI application."""
        routes = [
            Route("/", self._index),
            Route("/page/{name}", self._static),
            Route("/api/state", self._state),
            Route("/api/change", self._change, methods=["POST"]),
            Route("/api/agreement", self._agreement),
            Route("/api/events", self._events),
            *guide_routes(self.learner),
            Route("/api/videos/{ident}/open", self._open, methods=["POST"]),
            Route("/api/videos/{ident}/convert", self._convert, methods=["POST"]),
            Route("/api/videos/{ident}/overview", self._overview),
            Route("/media/{ident}/thumbnail/{number}", self._thumbnail),
            Route("/media/{ident}/video", self._video),
        ]
        inner = Starlette(routes=routes, lifespan=self._lifespan, exception_handlers={Exception: _failed})
        return Guard(inner, port=port, token=token, folder=self.store.identity, place=self._place)

    def close(self) -> None:
        """End the streams of events, so that the server can stop. To be called in the thread of its loop."""
        for queue in list(self._pages):
            _put(queue, None)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        watch = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watch.cancel()
            self.close()

    async def _watch(self) -> None:
        """Tell pages when another program has changed the points file, or the folder is is no longer at its place."""
        gone = ""
        while True:
            await asyncio.sleep(_LOOK_S)
            changed, before, gone = False, gone, await run_in_threadpool(lambda: self.store.gone)
            with contextlib.suppress(PunctumError, OSError, ValueError):  # half-written: the next change says so
                changed = await run_in_threadpool(self.store.refresh)
            if changed or gone != before:
                self._send({"reload": True})

    def _from_thread(self, event: dict[str, Any]) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            with contextlib.suppress(RuntimeError):  # the loop has just ended
                loop.call_soon_threadsafe(self._send, event)

    def _send(self, event: dict[str, Any]) -> None:
        text = json.dumps(event)
        for queue in list(self._pages):
            _put(queue, text)

    async def _index(self, request: Request) -> Response:
        return await self._static(request, "index.html")

    async def _static(self, request: Request, name: str = "") -> Response:
        name = name or request.path_params["name"]
        if name in SHARED:
            text = shared_file(name).read_text("utf-8")
        elif name in PAGE:
            text = (resources.files(__package__) / "page" / name).read_text("utf-8")
        else:
            return Response(status_code=404)
        return Response(text, media_type=_TYPES[Path(name).suffix], headers={"Cache-Control": "no-cache"})

    async def _state(self, request: Request) -> Response:
        def collect() -> dict[str, Any]:
            with contextlib.suppress(PunctumError):
                self.store.refresh()
            return self.store.state()

        state = await run_in_threadpool(collect)
        videos = [video.to_record() for video in self.library.videos.values()]
        for video in videos:
            video["listed"] = self._listed is None or video["name"] in self._listed
        facts: dict[str, Any] = {"folder": self.store.identity, "origin": self.store.origin, "place": self._place}
        facts |= {"boot": self._boot, "product": __version__}
        facts["learning"] = await run_in_threadpool(self.learner.status)
        return json_answer({**facts, "title": self._title, "annotator": self._annotator, **state, "videos": videos})

    async def _change(self, request: Request) -> Response:
        try:
            record = parse_json(await request.body())
            change = Change.parse(record)
            if not isinstance(record, dict) or record.get("folder") != self.store.identity:
                return elsewhere(self._place)
            self._check_time(change)
            event = await run_in_threadpool(self.store.apply, change)
        except Conflict as conflict:
            now = None if conflict.click is None else conflict.click.to_record()
            return json_answer({"conflict": True, "click": now, "reload": conflict.reloaded}, 409)
        except PunctumError as error:
            text = _sentences(error)
            return json_answer(
                {"code": error.code, "error": text, "saved": False}, 400 if error.exit_code == 2 else 503
            )
        except (ValueError, RecursionError):
            return json_answer({"code": "label-change", "error": "The change is no JSON", "saved": False}, 400)
        except ClientDisconnect:
            return Response(status_code=413)
        event = {**event, "boot": self._boot}
        others = {name: value for name, value in event.items() if name != "restore"}
        self._send({**others, "from": request.headers.get("x-page", "")[:64]})
        return json_answer(event)

    def _check_time(self, change: Change) -> None:
        """Refuse a click far beyond the end of its video. Headers can be wrong by a little, so others are taken."""
        time_s, click = change.values.get("time_s"), self.store.clicks.get(change.ident)
        name = change.values.get("video") or (None if click is None else click.video)
        video = self.library.named(name) if isinstance(name, str) else None
        if time_s is None or video is None or time_s <= _FAR * video.duration_s + _FAR_S:
            return
        if video.duration_s:
            raise InputError(
                "label-change",
                f"{video.name} ends at {video.duration_s:.1f} s, and the click is at {time_s:.1f} s",
                required="a time in the video",
                next_step="load the page again",
            )

    async def _agreement(self, request: Request) -> Response:
        return json_answer(await run_in_threadpool(agreement, self.store))

    async def _events(self, request: Request) -> Response:
        if len(self._pages) >= MAX_PAGES:
            return Response(status_code=503)
        queue: asyncio.Queue[str | None] = asyncio.Queue(_QUEUE)
        self._pages.add(queue)
        hello = json.dumps({"hello": self._boot, "version": self.store.version, "folder": self.store.identity})
        return StreamingResponse(self._stream(queue, hello), media_type="text/event-stream")

    async def _stream(self, queue: asyncio.Queue[str | None], hello: str) -> AsyncIterator[str]:
        try:
            yield f"data: {hello}\n\n"
            while True:
                try:
                    text = await asyncio.wait_for(queue.get(), _BEAT_S)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if text is None:
                    return
                yield f"data: {text}\n\n"
        finally:
            self._pages.discard(queue)

    async def _open(self, request: Request) -> Response:
        video = await run_in_threadpool(self.library.open, request.path_params["ident"])
        return Response(status_code=404) if video is None else json_answer(video.to_record())

    async def _convert(self, request: Request) -> Response:
        video = await run_in_threadpool(self.library.refuse_direct, request.path_params["ident"])
        return Response(status_code=404) if video is None else json_answer(video.to_record())

    async def _overview(self, request: Request) -> Response:
        overview = await run_in_threadpool(self.library.overview, request.path_params["ident"])
        return Response(status_code=404) if overview is None else json_answer(overview.to_record())

    async def _thumbnail(self, request: Request) -> Response:
        overview = await run_in_threadpool(self.library.overview, request.path_params["ident"])
        number = request.path_params["number"]
        wanted = int(number) if number.isascii() and number.isdecimal() and len(number) <= _DIGITS else -1
        jpeg = None if overview is None else overview.thumbnail(wanted)
        if jpeg is None:
            return Response(status_code=404)
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    async def _video(self, request: Request) -> Response:
        video = self.library.videos.get(request.path_params["ident"])
        path = None if video is None else video.playable
        if video is None or path is None:
            return Response(status_code=404)
        if not await run_in_threadpool(path.is_file):
            await run_in_threadpool(self.library.lost, video.id)
            return Response(status_code=404)
        _shorten_range(request)
        return FileResponse(path, media_type=video.kind, headers={"Cache-Control": "no-cache"})


def _shorten_range(request: Request) -> None:
    """Shorten a request for the rest of a file to its next part.

    Browsers hold the answer open while they have enough of a video, and open few connections to a host: three windows
    would leave none to save a click.
    """
    headers = list(request.scope["headers"])
    ranges = [k for k, (name, _) in enumerate(headers) if name == b"range"]
    match = re.fullmatch(rb"bytes=(\d{1,18})-(\d{0,18})", headers[ranges[0]][1]) if len(ranges) == 1 else None
    if match is None:
        return
    start = int(match[1])
    end = int(match[2]) if match[2] else start + _PART
    headers[ranges[0]] = (b"range", b"bytes=%d-%d" % (start, min(end, start + _PART)))
    request.scope["headers"] = headers


def _sentences(error: PunctumError) -> str:
    """What is wrong, and what to do next, as sentences."""
    step = error.next_step[:1].upper() + error.next_step[1:]
    return f"{error.given}. {step}" if step else error.given


async def _failed(request: Request, error: Exception) -> Response:
    """The answer to a request that fails for a reason that nobody has foreseen: pages say that nothing is saved."""
    text = f"the server has failed ({type(error).__name__})"
    return json_answer({"code": "bug", "error": text, "saved": False}, 500)


def _put(queue: asyncio.Queue[str | None], text: str | None) -> None:
    """Give a page an event. One that is too far behind is disconnected: it then loads everything again."""
    if queue.full():
        while not queue.empty():
            queue.get_nowait()
        text = None
    queue.put_nowait(text)
