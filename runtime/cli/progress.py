"""The one progress display, on standard error: a bar on a terminal, elsewhere a line every few seconds."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, TypeVar

from ..text.display import duration
from .terminal import console, say

T = TypeVar("T")
EVERY_S = 10.0  # between two lines


class ProgressLines:
    """Lines for a log or a pipe: none for short work, so that only long work says how far it is.

    Args:
        title: What is done.
        total: Amount of work at its end.
        done: Amount that is already done.
        unit: Unit of the amounts.
        clock: Monotonic clock.
    """

    def __init__(
        self,
        title: str,
        total: float,
        *,
        done: float = 0.0,
        unit: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title, self._total, self._unit, self._clock = title, total, unit, clock
        self._before = self._done = done
        self._began = self._printed_at = clock()

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Note progress, and print a line if one is due. note: added to it."""
        self._done += amount
        now = self._clock()
        if now - self._printed_at < EVERY_S or self._done >= self._total:
            return
        self._printed_at = now
        left_s = (now - self._began) * (self._total - self._done) / max(self._done - self._before, 1e-9)
        parts = [f"{self._done:.0f} of {self._total:.0f} {self._unit}".rstrip(), note, f"{duration(left_s)} left"]
        say(f"{self._title}: {', '.join(part for part in parts if part)}")


class ProgressBar:
    """A bar that is advanced by hand, or lines where there is no terminal.

    Args:
        title: Text before the bar.
        total: Amount of work at its end.
        done: Amount that is already done.
        unit: Unit of the amounts.
        visible: False: nothing is shown.
    """

    def __init__(self, title: str, total: float, *, done: float = 0.0, unit: str = "", visible: bool = True) -> None:
        self._bar: Any = None  # rich takes whole numbers only, by its types
        self._lines: ProgressLines | None = None
        if not visible:
            return
        shown = console(stderr=True)
        if not shown.is_terminal:
            self._lines = ProgressLines(title, total, done=done, unit=unit)
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        amount = "{task.completed:.0f} of {task.total:.0f} " + unit
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn(amount), TextColumn("{task.fields[note]}"))
        self._bar = Progress(*columns, TimeRemainingColumn(), console=shown)
        self._bar.start()
        self._task = self._bar.add_task(title, total=total, completed=done, note="")

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Move the bar on; note: replaces the text behind it."""
        if self._bar is not None:
            self._bar.update(self._task, advance=amount, note=note)
        elif self._lines is not None:
            self._lines.advance(amount, note)

    def close(self) -> None:
        """Leave the bar as it is. Safe to call twice."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._lines = None


def say_stage(text: str) -> None:
    """Where there is no terminal, and so no bar: a line about what begins now."""
    if not console(stderr=True).is_terminal:
        say(text)


@contextlib.contextmanager
def progress_bar(title: str, total: float, unit: str) -> Iterator[Callable[[float], None]]:
    """A bar for the block; what it yields advances it."""
    bar = ProgressBar(title, total, unit=unit)
    try:
        yield bar.advance
    finally:
        bar.close()


def track(items: Collection[T], title: str) -> Iterable[T]:
    """The items, with a bar that disappears after the last one."""
    shown = console(stderr=True)
    if not shown.is_terminal:
        return _with_lines(items, title)
    from rich.progress import track as rich_track

    return rich_track(items, title, total=len(items), console=shown, transient=True)


def _with_lines(items: Collection[T], title: str) -> Iterator[T]:
    lines = ProgressLines(title, len(items))
    for item in items:
        yield item
        lines.advance()
