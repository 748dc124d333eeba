"""What one fold of the calibration gives with one choice of post-processing, in memory and as JSON."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from punctum.runtime.diagnosis.held_out import HeldOutVideo

from ..confidence.judge import JudgedEvents
from ..records import Record


@dataclass(frozen=True, slots=True)
class FoldResult:
    """The events on the held-out videos.

    Attributes:
        full: judged events of full scoring.
        reduced: judged events of reduced scoring.
        videos: events of full scoring by video.
    """

    full: JudgedEvents
    reduced: JudgedEvents
    videos: dict[str, HeldOutVideo]

    def to_record(self) -> Record:
        """For JSON."""
        return {
            "full": _record(self.full),
            "reduced": _record(self.reduced),
            "videos": {video: each.to_record() for video, each in self.videos.items()},
        }

    @classmethod
    def of_record(cls, record: Record) -> FoldResult:
        """From JSON. Raises AttributeError, KeyError, TypeError or ValueError for anything else."""
        return cls(
            _read(record["full"]),
            _read(record["reduced"]),
            {video: HeldOutVideo.of_record(each) for video, each in record["videos"].items()},
        )


def _record(part: JudgedEvents) -> Record:
    return {"label": part.label.tolist(), "raw": part.raw.tolist(), "right": part.right.tolist()}


def _read(record: Record) -> JudgedEvents:
    return JudgedEvents(
        np.array(record["label"], np.int64), np.array(record["raw"], np.float64), np.array(record["right"], bool)
    )
