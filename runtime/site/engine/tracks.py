"""The latest tracks of cameras that somebody looks at."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...session.session import Session

KEPT_S = 60.0  # seconds of media
WATCHED_S = 30.0  # seconds after the last request during which tracks are collected


@dataclass(slots=True, eq=False)
class TrackHistory:
    """Tracks of one camera. A session keeps only the rows that it still needs, so they are collected once a second.

    Attributes:
        asked: When somebody asked for them last, on the monotonic clock.
        start_s: Media time at which the section of the stream begins that the rows belong to.
        first: Index of the first row in that section.
        rows: [n, C + 1]; the last column is actionness.
    """

    asked: float = -WATCHED_S
    start_s: float = 0.0
    first: int = 0
    rows: npt.NDArray[np.float32] | None = field(default=None, repr=False)

    @property
    def watched(self) -> bool:
        """Whether somebody has asked recently."""
        return time.monotonic() - self.asked < WATCHED_S

    def collect(self, session: Session) -> None:
        """Take the rows that are new."""
        state = session.state()
        base, rows = state.tracks.base, state.tracks.values
        known = self.rows
        if known is None or state.start_s != self.start_s or not self.first <= base <= self.first + len(known):
            self.start_s, self.first, self.rows = state.start_s, base, rows
        else:
            self.rows = np.concatenate([known[: base - self.first], rows])
        surplus = len(self.rows) - round(KEPT_S / session.plan.stride_s)
        if surplus > 0:
            self.first, self.rows = self.first + surplus, self.rows[surplus:]

    def message(self, session: Session, labels: tuple[str, ...]) -> dict[str, Any]:
        """The fields of the answer."""
        rows = np.zeros((0, len(labels) + 1), np.float32) if self.rows is None else self.rows
        stride_s = session.plan.stride_s
        return {
            "start_s": self.start_s + self.first * stride_s,
            "stride_s": stride_s,
            "actionness": np.round(rows[:, -1], 3).tolist(),
            "classes": {label: np.round(rows[:, k], 3).tolist() for k, label in enumerate(labels)},
        }
