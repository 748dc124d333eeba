"""Frames of one stretch of video to chunks of features: where rows lie in time, which frames were lost in them."""

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
    from .video import VideoSource

F32 = npt.NDArray[np.float32]
SLACK_S = 1e-6


@dataclass(slots=True)
class VideoStats:
    """Seconds spent per stage, frames and rows made, frames lost. Decoding a live source counts the CPU's time alone:
    waiting for the camera is not work. recent: the last few thousand of a stage, seconds a frame (backbone: a run).
    lost_at_start_s: seconds of video before the first frame that could be decoded; its frames are in `lost`."""

    decode_s: float = 0.0
    preprocess_s: float = 0.0
    backbone_s: float = 0.0
    frames: int = 0
    snippets: int = 0
    lost: int = 0
    gaps: int = 0
    lost_at_start_s: float = 0.0
    recent: dict[str, deque[float]] = field(
        default_factory=lambda: {stage: deque(maxlen=4096) for stage in ("decode", "preprocess", "backbone")}
    )

    def percentiles(self, *percent: float) -> dict[str, list[float]]:
        """Seconds a frame (backbone: a run) by stage, at each of `percent`; stages that did nothing are left out."""
        return {stage: np.percentile(list(s), percent).tolist() for stage, s in self.recent.items() if s}

    def seconds(self) -> dict[str, float]:
        """Seconds of work by stage."""
        return {"decode": self.decode_s, "preprocess": self.preprocess_s, "backbone": self.backbone_s}


@compact
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Frame:
    plane: F32
    index: int
    at: float
    lost: int


@dataclass(frozen=True, slots=True)
class Break:
    at: float
    lost: int


class Stretch:
    """What the reader knows about the stretch at hand: when it began, what was lost where."""

    def __init__(self, source: VideoSource, extractor: Extractor) -> None:
        self._source, self._extractor = source, extractor
        self._spec = source.backbone.spec
        self._index = 0  # of the first frame of the stretch
        self._at: float | None = None  # media time of the first frame, start_s included; None: no frame yet
        self._taken = 0
        self._lost: list[tuple[int, int]] = []  # (snippet, frames lost in it or just before it)
        self._pending = 0  # lost before the stretch
        self._spent = 0.0
        self._handed = extractor.skip

    def take(self, item: Frame | Break) -> Iterator[Chunk]:
        """The next of the queue."""
        if isinstance(item, Break):
            yield from self.end(item.at)
            self._pending += item.lost
            self._source.stats.lost += item.lost
            return
        if self._at is not None and item.index != self._index + self._taken:
            yield from self.end(item.at)  # a source that skips without saying so
        if self._at is None:
            self._at, self._index = self._source.start_s + item.at, item.index
            if self._pending:
                self._lost.append((0, self._pending))
            self._pending = 0
        if item.lost:
            self._lost.append((self._taken // self._spec.snippet_frames, item.lost))
            self._source.stats.lost += item.lost
        self._taken += 1
        yield from self._chunk(self._extractor.push_prepared(item.plane))

    def end(self, until: float | None) -> Iterator[Chunk]:
        """The stretch is over: by a gap up to media time `until` of the source, or (None) for good."""
        if self._at is None:
            return
        partial = True
        if until is not None:
            # A last snippet of which a part came must not reach into what follows.
            whole = self._taken // self._spec.snippet_frames + 1
            partial = self._at + whole * self._spec.stride_s <= until + self._source.start_s + SLACK_S
            self._source.stats.gaps += 1
        yield from self._chunk(self._extractor.flush(partial=partial))
        self._extractor.reset()
        self._pending += sum(lost for _, lost in self._lost)
        self._at, self._taken, self._lost = None, 0, []

    def _chunk(self, rows: F32) -> Iterator[Chunk]:
        source, extractor = self._source, self._extractor
        spent = extractor.backbone_s - source.stats.backbone_s
        if spent:
            source.stats.recent["backbone"].append(spent)
            source.stats.backbone_s = extractor.backbone_s
        if not len(rows):
            return
        source.stats.snippets += len(rows)
        stop = extractor.rows
        first = stop - len(rows)
        lost = tuple((max(snippet - first, 0), n) for snippet, n in self._lost if snippet < stop)
        self._lost = [(snippet, lost) for snippet, lost in self._lost if snippet >= stop]
        spent = source.stats.decode_s + source.stats.preprocess_s
        self._handed += len(rows)
        begin = (self._at or 0.0) + first * self._spec.stride_s
        yield Chunk(
            rows,
            self._at if first == 0 else None,
            f"{source.name} at {begin:.2f} s",
            {"snippet": self._handed} if source.replayable else {},
            spent - self._spent,
            lost,
        )
        self._spent = spent
