"""Bounded buffer between the thread that reads a live source and the consumer of its frames."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

from ._frames import Gap, Policy
from .sampler import Cell

MIN_CELLS = 4
T = TypeVar("T")


class CellBuffer(Generic[T]):
    """First-in, first-out buffer of at most `limit` cells and gaps, for one writer and one reader.

    With policy "wait", `put` waits for room. With "drop_oldest", a Gap "overflow" replaces the older half, so that the
    reader gets whole sections rather than scattered frames.
    """

    def __init__(self, limit: int, *, fps: float, policy: Policy) -> None:
        self._limit, self._fps, self._policy = max(MIN_CELLS, limit), fps, policy
        self._items: deque[Cell[T] | Gap] = deque()
        self._change = threading.Condition()
        self._closed = self._ended = False
        self._new_start: float | None = None  # start of the section after an overflow
        self._skip = 0  # cells of the current section before that start
        self._shed_index: int | None = None  # index of the first cell after the gap at the front of the buffer
        self.overflowed = 0
        """Number of cells dropped so far."""

    @property
    def finished(self) -> bool:
        """Whether everything was read and no more items will come."""
        with self._change:
            return self._ended and not self._items

    def put(self, item: Cell[T] | Gap) -> bool:
        """Append an item. Returns False once the buffer is closed."""
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
        """Declare that no more items will come."""
        with self._change:
            self._ended = True
            self._change.notify_all()

    def close(self) -> None:
        """Drop everything and wake waiting threads."""
        with self._change:
            self._closed = self._ended = True
            self._items.clear()
            self._change.notify_all()

    def get(self, timeout_s: float) -> Cell[T] | Gap | None:
        """Return the next item; None if none arrived in time or none will come."""
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
        return Cell(item.frame, index, self._new_start + index / self._fps, item.lost)

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
