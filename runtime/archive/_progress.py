"""Progress of a run: one line that is updated on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

from ..text.display import counted, duration, were
from ._items import Outcome


class Progress:
    """The progress display.

    Args:
        items: Number of items to score.
        size: Their size in bytes.
        stream: Where to write; default: standard error.
        every_s: Seconds between lines without a terminal.
        clock: Monotonic clock.
    """

    def __init__(
        self,
        items: int,
        size: int,
        *,
        stream: TextIO | None = None,
        every_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._every_s = 0.2 if self._live else every_s
        self._clock = clock
        self._items, self._size = items, size
        self._done = self._failed = self._bytes = 0
        self._media_s = 0.0
        self._began = self._printed_at = clock()
        self._recent: deque[tuple[float, int, int]] = deque([(self._began, 0, 0)], maxlen=400)

    def start(self, done: int, workers: int) -> None:
        """Print the amount of work. done: number of items that are already finished."""
        before = f"; {done} {were(done)} done before" if done else ""
        self._write(
            f"score: {counted(self._items, 'item')} to do, {self._size / 1e6:.1f} MB, "
            f"{counted(workers, 'worker')}{before}\n"
        )

    def note(self, text: str) -> None:
        """Print a line."""
        self._write(f"{text}\n")

    def add(self, outcome: Outcome) -> None:
        self._done += len(outcome.records)
        self._failed += sum(1 for record in outcome.records if record.status == "failed")
        self._bytes += sum(record.size for record in outcome.records)
        self._media_s += sum(record.media_s for record in outcome.records)
        now = self._clock()
        self._recent.append((now, self._done, self._bytes))
        if now - self._printed_at >= self._every_s:
            self.print_line(now)

    def line(self, now: float) -> str:
        spent = max(now - self._began, 1e-9)
        text = f"{self._done}/{counted(self._items, 'item')}"
        if self._failed:
            text += f" ({self._failed} failed)"
        text += f", {self._media_s / 3600:.2f} h of media, {self._rate(now):.3g} items/s"
        text += f", {self._media_s / spent:.4g} times real time"
        remaining = self.remaining_s(now)
        return text + (f", {duration(remaining)} left" if remaining is not None else "")

    def _rate(self, now: float) -> float:
        at, items, _ = self._recent[0]
        return (self._done - items) / max(now - at, 1e-9)

    def remaining_s(self, now: float) -> float | None:
        """Estimated remaining seconds, by bytes at the rate of the last groups; None before the second one is done."""
        if len(self._recent) < 3:  # the first group includes the start of the workers
            return None
        at, items, size = self._recent[0 if len(self._recent) == self._recent.maxlen else 1]
        if self._done >= self._items or self._done == items:
            return None
        if self._bytes > size and self._size > self._bytes:
            return (self._size - self._bytes) * (now - at) / (self._bytes - size)
        return (self._items - self._done) * (now - at) / (self._done - items)

    def print_line(self, now: float | None = None) -> None:
        now = self._clock() if now is None else now
        self._printed_at = now
        text = self.line(now)
        self._write(f"\r\x1b[K{text}" if self._live else f"score: {text}\n")

    def close(self) -> None:
        if self._items:
            self.print_line()
            if self._live:
                self._write("\n")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a full or closed standard error must not end the run
            self._stream.write(text)
            self._stream.flush()
