"""The one progress display: a bar on standard error while it is a terminal, nothing otherwise."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, TypeVar

from .terminal import console

T = TypeVar("T")


class ProgressBar:
    """A bar that is advanced by hand.

    Args:
        title: Text before the bar.
        total: Amount of work at its end.
        done: Amount that is already done.
        unit: Unit of the amounts; shown with them. Empty: a free note is shown instead; see `advance`.
        visible: False: nothing is shown, even on a terminal.
    """

    def __init__(self, title: str, total: float, *, done: float = 0.0, unit: str = "", visible: bool = True) -> None:
        self._bar: Any = None  # rich takes whole numbers only, by its types
        shown = console(stderr=True)
        if not (visible and shown.is_terminal):
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        amount = "{task.completed:.0f} of {task.total:.0f} " + unit if unit else "{task.fields[note]}"
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn(amount), TimeRemainingColumn())
        self._bar = Progress(*columns, console=shown)
        self._bar.start()
        self._task = self._bar.add_task(title, total=total, completed=done, note="")

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Move the bar on; note: replaces the text behind it."""
        if self._bar is not None:
            self._bar.update(self._task, advance=amount, note=note)

    def close(self) -> None:
        """Leave the bar as it is. Safe to call twice."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


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
        return items
    from rich.progress import track as rich_track

    return rich_track(items, title, total=len(items), console=shown, transient=True)
