"""The latest rows of a growing array."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
BufferMark = tuple[F32, int, int, int]


class RowBuffer:
    """float32 rows [base, end) of a stream, addressed by their index in the stream.

    Appending and dropping rarely move rows, so the cost of a push does not depend on how much the buffer holds.

    Attributes:
        base: Index of the first row held.
    """

    __slots__ = ("_data", "_high", "_low", "base")

    def __init__(self, width: int, *, base: int = 0, rows: F32 | None = None) -> None:
        initial = np.zeros((0, width), np.float32) if rows is None else np.ascontiguousarray(rows, np.float32)
        self._data = np.empty((max(64, 2 * len(initial)), width), np.float32)
        self._data[: len(initial)] = initial
        self._low, self._high = 0, len(initial)
        self.base = base

    @property
    def end(self) -> int:
        """Number of rows appended so far: one after the index of the last."""
        return self.base + self._high - self._low

    @property
    def rows(self) -> F32:
        """All rows held, as a view."""
        return self._data[self._low : self._high]

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return int(self._data.nbytes)

    def append(self, rows: F32) -> None:
        """Add rows [n, width] at the end."""
        count = len(rows)
        if self._high + count > len(self._data):
            held = self._high - self._low
            if held + count > len(self._data) // 2:  # otherwise there is room once the rows move to the front
                data = np.empty((2 * (held + count), self._data.shape[1]), np.float32)
            else:  # not in place: a mark may still refer to the rows as they were
                data = np.empty_like(self._data)
            data[:held] = self.rows
            self._data = data
            self._low, self._high = 0, held
        self._data[self._high : self._high + count] = rows
        self._high += count

    def mark(self) -> BufferMark:
        """The present state, for `rewind`. Copies no rows: rows appended later do not overwrite the present ones."""
        return self._data, self._low, self._high, self.base

    def rewind(self, mark: BufferMark) -> None:
        """Undo everything since `mark`."""
        self._data, self._low, self._high, self.base = mark

    def slice(self, start: int, stop: int) -> F32:
        """Rows [start, stop) by their index in the stream, as a view."""
        low = self._low - self.base
        return self._data[start + low : stop + low]

    def drop_before(self, index: int) -> None:
        """Drop the rows before `index`. A large buffer that has become nearly empty releases its memory."""
        step = min(max(index - self.base, 0), self._high - self._low)
        self._low += step
        self.base += step
        held = self._high - self._low
        if len(self._data) > 4096 and held < len(self._data) // 8:
            rows = self.rows.copy()
            self._data = np.empty((max(64, 2 * held), rows.shape[1]), np.float32)
            self._data[:held] = rows
            self._low, self._high = 0, held
