"""Serving the labeling page on the loopback interface until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, MissingDependencyError
from ..text.display import as_utf8
from .due import AFTER
from .folder import LabelFolder
from .learner import Learner
from .library import Library
from .lock import WORK

if TYPE_CHECKING:
    import uvicorn

    from .guard import Guard

HOST = "127.0.0.1"
_PORTS = range(8600, 9000)
_STOP_S = 2.0
_IDLE = 32  # connections without a request at a time


def need_server() -> None:
    """Raise MissingDependencyError without the libraries of the server, or without PyAV."""
    for library, extra, purpose in (
        ("starlette", "label", "the labeling page"),
        ("uvicorn", "label", "the labeling page"),
        ("av", "label", "video input"),
    ):
        try:
            __import__(library)
        except ImportError:
            raise MissingDependencyError(library, extra, purpose) from None


def serve(
    opened: LabelFolder,
    *,
    annotator: str,
    port: int | None = None,
    ready: Callable[[str], None] = lambda url: None,
    train_after: int = AFTER,
) -> None:
    """Serve the page of a folder until SIGINT or SIGTERM.

    Args:
        opened: The folder; its store is closed at the end.
        annotator: Name of the annotator.
        port: Port of the loopback interface; 0: any free one. None: one that depends on the folder only, so that an
            open page finds the server again after a restart; another one if it is taken.
        ready: Called with the address, which contains the token of this run, once the server accepts connections.
        train_after: Clicks from which training runs in the background; 0: only when a page asks.

    Raises:
        InputError: The port cannot be used.
        MissingDependencyError: A library is missing.
    """
    from .server import Label

    try:
        listener = _listen(opened.folder, port)
    except InputError:
        opened.store.close()
        raise
    try:
        number = int(listener.getsockname()[1])
        library = Library(opened.videos, opened.folder / WORK, notify=lambda event: None)
        learner = Learner(opened.store, opened.folder, opened.folder / WORK, after=train_after)
        label = Label(
            opened.store,
            library,
            learner,
            annotator=annotator,
            title=as_utf8(opened.folder.resolve().name),
            listed=opened.listed,
        )
        token = secrets.token_urlsafe(24)
        app = label.app(port=number, token=token)
        library.start()
        learner.start()
        try:
            asyncio.run(
                _run(_server(app), listener, label.close, lambda: ready(f"http://{HOST}:{number}/?token={token}"))
            )
        finally:
            learner.close()
            library.close()
    finally:
        listener.close()
        opened.store.close()


def _server(app: Guard) -> uvicorn.Server:
    import uvicorn

    from ..web.connections import Connections

    connections = Connections(app, idle=_IDLE)
    config = uvicorn.Config(
        connections,
        loop="asyncio",
        http=connections.protocol(),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # the loop handles them; uvicorn would raise them again at the end
    return server


async def _run(
    server: uvicorn.Server, listener: socket.socket, close: Callable[[], None], ready: Callable[[], None]
) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        close()
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not the main thread
            loop.add_signal_handler(number, stop)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    try:
        if server.started:
            ready()
    except BaseException:  # the address could not be printed, so nobody can use it
        stop()
        raise
    finally:
        await serving


def _listen(folder: Path, port: int | None) -> socket.socket:
    if port is not None:
        return _bound(port)
    digest = hashlib.sha256(str(folder.resolve()).encode("utf-8", "surrogateescape")).digest()
    own = _PORTS[int.from_bytes(digest[:4], "big") % len(_PORTS)]
    try:
        return _bound(own)
    except InputError:
        return _bound(0)


def _bound(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)
        listener.setblocking(False)
    except (OSError, OverflowError) as error:
        listener.close()
        raise InputError(
            "label-port",
            f"Port {port} of this machine cannot be used ({error})",
            required="a free port",
            next_step="choose another one, or leave `port` out",
        ) from None
    return listener
