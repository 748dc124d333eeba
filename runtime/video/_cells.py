"""Bounded buffer between the thread that reads a live source and whoever consumes its frames."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

from ._frames import Gap, Policy
from .sampler import Cell

MIN_CELLS = 4
T = TypeVar("T")


class CellBuffer(Generic[T]):
    """Cells and gaps of a grid in, the same out, at most `limit` in between. For one writer and one reader.

    policy "wait": `put` waits for room. "drop_oldest": the older half goes and a Gap "overflow" takes its place, so
    that the reader gets whole stretches rather than a frame here and there.
    """

    def __init__(self, limit: int, *, fps: float, policy: Policy) -> None:
        self._limit, self._fps, self._policy = max(MIN_CELLS, limit), fps, policy
        self._items: deque[Cell[T] | Gap] = deque()
        self._change = threading.Condition()
        self._closed = self._ended = False
        self._new_start: float | None = None  # where the stretch begins that an overflow opened
        self._skip = 0  # cells of the stretch being read that came before that
        self._shed_index: int | None = None  # index of the first cell after the gap at the front of the buffer
        self.overflowed = 0
        """Cells dropped so far."""

    @property
    def finished(self) -> bool:
        """Whether everything was read and nothing comes any more."""
        with self._change:
            return self._ended and not self._items

    def put(self, item: Cell[T] | Gap) -> bool:
        """False once the buffer was closed."""
        with self._change:
            if self._policy == "wait":
                self._change.wait_for(lambda: self._closed or len(self._items) < self._limit)
            elif len(self._items) >= self._limit:
                self._shed()
            if self._closed:
                return False
            self._items.append(item)
            self._change.notify_all()
            return True

    def end(self) -> None:
        """Nothing comes any more."""
        with self._change:
            self._ended = True
            self._change.notify_all()

    def close(self) -> None:
        """Drop everything and release whoever waits."""
        with self._change:
            self._closed = self._ended = True
            self._items.clear()
            self._change.notify_all()

    def get(self, timeout_s: float) -> Cell[T] | Gap | None:
        """The next item; None when none came in time, or none comes any more."""
        with self._change:
            self._change.wait_for(lambda: self._items or self._ended, timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            index, self._shed_index = self._shed_index, None
            self._change.notify_all()
        if isinstance(item, Gap):
            self._new_start, self._skip = (None, 0) if index is None else (item.at, index)
            return item
        if self._new_start is None:
            return item
        index = item.index - self._skip
        return Cell(item.picture, index, self._new_start + index / self._fps, item.lost)

    def _shed(self) -> None:
        """Drop the older half and put a gap in its place. The caller holds the lock."""
        lost = 0
        for _ in range(self._limit // 2 + 1):
            item = self._items.popleft()
            lost += item.lost
            if isinstance(item, Cell):
                lost += 1
                self.overflowed += 1
        first, self._shed_index = self._items[0], None
        if isinstance(first, Gap):
            self._items[0] = Gap(first.at, first.lost + lost, first.reason)
        else:
            self._items.appendleft(Gap(first.at, lost, "overflow"))
            self._shed_index = first.index
