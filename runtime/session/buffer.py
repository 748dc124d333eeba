"""Rows of a growing stream, of which only the last part is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
Mark = tuple[F32, int, int, int]


class RowBuffer:
    """float32 rows [base, end) of a stream, by absolute index.

    Appending and forgetting move no rows most of the time: a push costs what it brings, not what is kept.
    """

    __slots__ = ("_data", "_high", "_low", "base")

    def __init__(self, width: int, *, base: int = 0, rows: F32 | None = None) -> None:
        kept = np.zeros((0, width), np.float32) if rows is None else np.ascontiguousarray(rows, np.float32)
        self._data = np.empty((max(64, 2 * len(kept)), width), np.float32)
        self._data[: len(kept)] = kept
        self._low, self._high = 0, len(kept)
        self.base = base

    @property
    def end(self) -> int:
        return self.base + self._high - self._low

    @property
    def rows(self) -> F32:
        """What is kept, as a view that the next append may overwrite."""
        return self._data[self._low : self._high]

    @property
    def nbytes(self) -> int:
        return int(self._data.nbytes)

    def append(self, rows: npt.NDArray[Any]) -> None:
        count = len(rows)
        if self._high + count > len(self._data):
            live = self._high - self._low
            if live + count > len(self._data) // 2:  # otherwise there is room once the live rows move to the front
                grown = np.empty((2 * (live + count), self._data.shape[1]), np.float32)
                grown[:live] = self.rows
                self._data = grown
            else:  # never in place: a mark may still stand for the rows as they were
                moved = np.empty_like(self._data)
                moved[:live] = self.rows
                self._data = moved
            self._low, self._high = 0, live
        self._data[self._high : self._high + count] = rows
        self._high += count

    def mark(self) -> Mark:
        """The rows as they are now, for `rewind`. Costs nothing: what is appended later never overwrites them."""
        return self._data, self._low, self._high, self.base

    def rewind(self, mark: Mark) -> None:
        """Undo everything since `mark`."""
        self._data, self._low, self._high, self.base = mark

    def slice(self, start: int, stop: int) -> F32:
        """Rows [start, stop) by absolute index, as a view."""
        low = self._low - self.base
        return self._data[start + low : stop + low]

    def drop_before(self, index: int) -> None:
        """Forget rows before `index`; a buffer that once held much gives its memory back."""
        step = min(max(index - self.base, 0), self._high - self._low)
        self._low += step
        self.base += step
        live = self._high - self._low
        if len(self._data) > 4096 and live < len(self._data) // 8:
            kept = self.rows.copy()
            self._data = np.empty((max(64, 2 * live), kept.shape[1]), np.float32)
            self._data[:live] = kept
            self._low, self._high = 0, live
