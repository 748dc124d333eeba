"""What tests of live sources share: reading one to its end, and a server on loopback that answers as told."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from punctum.runtime.errors import InputError
from punctum.runtime.video import Gap, Sampled
from punctum.runtime.video.live import LiveFrames


def drain(source: LiveFrames) -> tuple[list[Sampled | Gap], InputError | None]:
    items: list[Sampled | Gap] = []
    error = None
    try:
        for item in source.frames():
            if item is not None:
                items.append(item)
    except InputError as caught:
        error = caught
    finally:
        source.close()
    return items, error


@contextlib.contextmanager
def talker(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server on loopback; `answer` talks to each connection, which stays open afterwards."""
    kept: list[socket.socket] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                kept.append(connection)
                with contextlib.suppress(OSError):
                    answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    for connection in kept:
        connection.close()
    thread.join(5)
