"""The rows of a push on which the engine failed, kept until the caller pushes them again or goes on without them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..datatypes import compact


@compact
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FailedRows:
    """Rows float32 [n, D] that the session has not taken.

    Attributes:
        at: Media time of the first row in seconds.
        rows: The rows.
    """

    at: float
    rows: npt.NDArray[np.float32]

    def end_s(self, stride_s: float) -> float:
        """Media time at which the last row ends."""
        return self.at + len(self.rows) * stride_s

    def begins_like(self, rows: npt.NDArray[np.float32]) -> bool:
        """Whether a push repeats these rows, as far as both go. If not, they are missing from the stream."""
        common = min(len(rows), len(self.rows))
        return np.array_equal(rows[:common], self.rows[:common])
