"""Conversion of frames into chunks of features, with the times of the rows and the frames lost in them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..datatypes import compact
from .items import Chunk

if TYPE_CHECKING:
    from ..backbone.extractor import Extractor
    from ..bundle.backbone_spec import BackboneSpec

F32 = npt.NDArray[np.float32]
SLACK_S = 1e-6


@dataclass(slots=True)
class VideoStats:
    """Statistics of a video source.

    Attributes:
        decode_s: Seconds of decoding; for live sources CPU time only, without waiting for the camera.
        preprocess_s: Seconds of preprocessing.
        backbone_s: Seconds in the backbone.
        frames: Number of frames processed.
        snippets: Number of feature rows computed.
        lost: Number of frames lost.
        shed: Of these, frames dropped because the backbone was behind.
        gaps: Number of gaps.
        lost_at_start_s: Seconds of video before the first decodable frame; these frames are included in `lost`.
        recent: Latest durations by stage, in seconds per frame (backbone: per call).
    """

    decode_s: float = 0.0
    preprocess_s: float = 0.0
    backbone_s: float = 0.0
    frames: int = 0
    snippets: int = 0
    lost: int = 0
    shed: int = 0
    gaps: int = 0
    lost_at_start_s: float = 0.0
    recent: dict[str, deque[float]] = field(
        default_factory=lambda: {stage: deque(maxlen=4096) for stage in ("decode", "preprocess", "backbone")}
    )

    def percentiles(self, *percent: float) -> dict[str, list[float]]:
        """Return percentiles of the seconds per frame (backbone: per call) by stage; empty stages are left out."""
        return {stage: np.percentile(list(s), percent).tolist() for stage, s in self.recent.items() if s}

    def seconds(self) -> dict[str, float]:
        """Return the total seconds by stage."""
        return {"decode": self.decode_s, "preprocess": self.preprocess_s, "backbone": self.backbone_s}


@compact
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Frame:
    """A preprocessed frame.

    Attributes:
        plane: float32, input of the backbone for one frame.
        index: Index on the sampling grid.
        at: Media time in seconds.
        lost: Number of frames lost just before it.
    """

    plane: F32
    index: int
    at: float
    lost: int


@dataclass(frozen=True, slots=True)
class Break:
    """A gap up to media time `at` in seconds; lost: number of frames lost in it; reason: that of a `Gap`."""

    at: float
    lost: int
    reason: str = ""


class SnippetBuilder:
    """Collects the frames of continuous video into snippets, and starts again after each gap.

    Args:
        extractor: Computes features from frames.
        spec: Description of the backbone.
        stats: Statistics to update.
        name: Name of the source for messages.
        start_s: Offset in seconds, added to the media time of the frames.
        replayable: Whether chunks carry a position from which the source can be read again.
    """

    def __init__(
        self,
        extractor: Extractor,
        spec: BackboneSpec,
        stats: VideoStats,
        *,
        name: str,
        start_s: float,
        replayable: bool,
    ) -> None:
        self._extractor, self._spec, self._stats = extractor, spec, stats
        self._name, self._start_s, self._replayable = name, start_s, replayable
        self._index = 0  # of the first frame since the last gap
        self._at: float | None = None  # media time of that frame, start_s included; None: no frame yet
        self._taken = 0
        self._lost: list[tuple[int, int]] = []  # (snippet, number of frames lost in it or just before it)
        self._pending = 0  # frames lost before the first one
        self._gap = ""  # why a new section begins
        self._spent = 0.0
        self._delivered = extractor.skip

    def add(self, item: Frame | Break) -> Iterator[Chunk]:
        """Add the next frame or gap and yield the chunks that it completes."""
        if isinstance(item, Break):
            yield from self.end(item.at)
            self._gap = self._gap or item.reason
            self._pending += item.lost
            self._stats.lost += item.lost
            return
        if self._at is not None and item.index != self._index + self._taken:
            yield from self.end(item.at)  # the source skipped frames without reporting a gap
            self._gap = self._gap or "skipped"
        if self._at is None:
            self._at, self._index = self._start_s + item.at, item.index
            if self._pending:
                self._lost.append((0, self._pending))
            self._pending = 0
        if item.lost:
            self._lost.append((self._taken // self._spec.snippet_frames, item.lost))
            self._stats.lost += item.lost
        self._taken += 1
        yield from self._chunk(self._extractor.push_prepared(item.plane))

    def end(self, until: float | None) -> Iterator[Chunk]:
        """Finish the section at a gap up to media time `until` of the source in seconds, or (None) at the end."""
        if self._at is None:
            return
        partial = True
        if until is not None:
            # An incomplete last snippet must not overlap the next section.
            whole = self._taken // self._spec.snippet_frames + 1
            partial = self._at + whole * self._spec.stride_s <= until + self._start_s + SLACK_S
            self._stats.gaps += 1
        yield from self._chunk(self._extractor.flush(partial=partial))
        self._extractor.reset()
        self._pending += sum(lost for _, lost in self._lost)
        self._at, self._taken, self._lost = None, 0, []

    def _chunk(self, rows: F32) -> Iterator[Chunk]:
        stats, extractor = self._stats, self._extractor
        spent = extractor.backbone_s - stats.backbone_s
        if spent:
            stats.recent["backbone"].append(spent)
            stats.backbone_s = extractor.backbone_s
        if not len(rows):
            return
        stats.snippets += len(rows)
        stop = extractor.rows
        first = stop - len(rows)
        lost = tuple((max(snippet - first, 0), n) for snippet, n in self._lost if snippet < stop)
        self._lost = [(snippet, lost) for snippet, lost in self._lost if snippet >= stop]
        spent = stats.decode_s + stats.preprocess_s
        self._delivered += len(rows)
        gap = self._gap if first == 0 else ""
        self._gap = "" if first == 0 else self._gap
        begin = (self._at or 0.0) + first * self._spec.stride_s
        yield Chunk(
            rows,
            self._at if first == 0 else None,
            f"{self._name} at {begin:.2f} s",
            {"snippet": self._delivered} if self._replayable else {},
            spent - self._spent,
            lost,
            gap,
        )
        self._spent = spent
