"""Ctrl-C and SIGTERM as a flag: training stops between two steps and leaves a usable checkpoint."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from punctum.runtime.errors import PunctumError


class TrainingInterrupted(PunctumError):
    """Training was stopped by the user; the folder can be resumed."""

    exit_code = 130


class StopSignal:
    """Context manager; `requested` becomes True on Ctrl-C or SIGTERM. A second Ctrl-C interrupts at once."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        # Only the main thread may install handlers; in other threads the caller decides how to stop.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
