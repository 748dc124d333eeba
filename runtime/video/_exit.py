"""An orderly end of reading threads when the interpreter exits.

FFmpeg calls back into PyAV to ask whether to continue, which crashes once the interpreter is being torn down.
"""

from __future__ import annotations

import atexit
import threading
from typing import Protocol


class Stoppable(Protocol):
    """A source with a reading thread."""

    @property
    def stop_limit_s(self) -> float:
        """Seconds that the thread may need to stop."""
        ...

    def request_stop(self) -> None:
        """Ask the thread to stop, without waiting for it."""
        ...


_threads: dict[threading.Thread, Stoppable] = {}


def register(thread: threading.Thread, source: Stoppable) -> None:
    """Stop `thread` at exit, unless it unregisters before."""
    _threads[thread] = source
    atexit.unregister(_stop_all)  # registered once, however many sources there are
    atexit.register(_stop_all)


def unregister(thread: threading.Thread) -> None:
    """Forget a thread that is about to end."""
    _threads.pop(thread, None)


def _stop_all() -> None:
    atexit.unregister(_stop_all)
    threads = list(_threads.items())
    for _, source in threads:
        source.request_stop()
    for thread, source in threads:
        thread.join(source.stop_limit_s)
