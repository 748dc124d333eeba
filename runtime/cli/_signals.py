"""Signals of a live run: SIGTERM and SIGINT end it, SIGHUP reopens the event file."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..service.loop import Loop


@contextlib.contextmanager
def hangups(event_file: bool) -> Iterator[threading.Event]:
    """From here to the end of the run, SIGHUP requests a new event file, for log rotation.

    Args:
        event_file: False: there is none, and SIGHUP keeps its meaning.

    Yields:
        What the signal sets.
    """
    requested = threading.Event()
    if not event_file:
        yield requested
        return
    before = signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, lambda number, frame: requested.set())
    try:
        yield requested
    finally:
        signal.signal(signal.SIGHUP, before)


@contextlib.contextmanager
def stop_signals(loop: Loop) -> Iterator[list[str]]:
    """SIGTERM and SIGINT end the loop; a second one ends the process.

    So does SIGHUP where there is no event file to reopen, unless the process was started to ignore it (nohup).

    Yields:
        The names of the signals that have arrived.
    """
    arrived: list[str] = []
    before = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    ends = [signal.SIGTERM, signal.SIGINT]
    rotates = loop.event_file is not None and loop.event_file.regular
    if not rotates and before[signal.SIGHUP] is not signal.SIG_IGN:
        ends.append(signal.SIGHUP)

    def stop(number: int, frame: FrameType | None) -> None:
        arrived.append(signal.Signals(number).name)
        loop.stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in ends:
        signal.signal(number, stop)
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
