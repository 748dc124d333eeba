"""What the child processes of a site have in common: their channel, their limits, and their end."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from ..errors import InputError, PunctumError
from .wire import Channel, Header, log_to_stderr

BEAT_S = 0.5  # seconds between two signs of life; at least one a second is expected

_log = logging.getLogger(__name__)


def run_child(main: Callable[[Channel, Header], int]) -> NoReturn:
    """Take the channel from the command line, wait for the message "start", run `main` and end the process.

    The process ends at once when the other side of the channel is gone, whatever its threads are doing. An error that
    `main` raises is sent as "failed", and the exit code is 1.
    """
    log_to_stderr()
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal():
        sys.stderr.write("usage: this program is started by `punctum serve`, with the number of an open socket\n")
        os._exit(2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # frames and passwords must not end up in a core file
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent says when to stop
    code = 0
    try:
        channel = Channel(int(sys.argv[1]))
        received = channel.receive()
        if received is None or received[0].get("type") != "start":
            raise InputError("site-message", 'The first message is not "start"', next_step="start `punctum serve`")
        code = _guarded(main, channel, received[0])
    except (EOFError, ConnectionError):
        pass  # the parent has gone
    except PunctumError as error:
        _log.log(logging.ERROR, "[%s] %s", error.code, error)
        code = 1
    finally:
        logging.shutdown()
        sys.stderr.flush()
        os._exit(code)  # threads of decoders may never return
    raise AssertionError


def _guarded(main: Callable[[Channel, Header], int], channel: Channel, start: Header) -> int:
    try:
        return main(channel, start)
    except (EOFError, ConnectionError):
        return 0
    except PunctumError as error:
        _log.log(logging.ERROR, "[%s] %s", error.code, error)
        failure = {"code": error.code, "given": error.given, "next_step": error.next_step}
    except Exception as error:  # noqa: BLE001 - it is logged, and the supervisor starts the process again
        _log.exception("the process failed")
        fault = unexpected(error)
        failure = {"code": fault.code, "given": fault.given, "next_step": fault.next_step}
    with contextlib.suppress(OSError, EOFError):
        channel.send({"type": "failed", "camera": None, **failure})
    return 1


def unexpected(error: BaseException) -> PunctumError:
    """The error for one that no input should cause."""
    return PunctumError(
        "site-process",
        f"{type(error).__name__}: {error}"[:500],
        next_step="report it with the lines of the log before it; the process is started again",
    )


def rss_mb() -> float:
    """Memory of this process in MB."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return pages * resource.getpagesize() / 1e6


class Every:
    """Says when something is due that happens once in some seconds."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s, self._next = interval_s, 0.0

    def due(self) -> bool:
        """Whether the interval has passed; it then begins again."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._interval_s
        return True
