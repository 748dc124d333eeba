"""Frames in, feature rows out: clips, their edges, batches. No input or output of its own; one a stream."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from .backbone import VideoBackbone

F32 = npt.NDArray[np.float32]


class Extractor:
    """The clips of one stretch of frames, in batches that depend on the position in the stretch alone.

    For any way in which the frames arrive the rows are the same, bit by bit: clips [k * batch, (k + 1) * batch) are
    one run of the graph. batch: rows that come at once; 1 for the least delay.
    Each frame is prepared once and kept as long as a clip needs it.
    """

    def __init__(self, backbone: VideoBackbone, *, batch: int = 1) -> None:
        self.backbone, self.batch = backbone, batch
        self.backbone_s = 0.0
        """Seconds spent in the graph."""
        self.skip = 0
        """The next so many rows are left out, and not computed where that saves a run of the graph."""
        spec = backbone.spec
        self._prepare = backbone.preprocessor()
        # A batch is run once its last clip is complete; a clip reaches back at most this far from there.
        self._span = spec.clip_frames + (batch - 1) * spec.snippet_frames
        self._frames = np.empty((2 * self._span + spec.snippet_frames, *self._plane), np.float32)
        self.reset()

    @property
    def _plane(self) -> tuple[int, int, int]:
        spec = self.backbone.spec
        return spec.channels, spec.height, spec.width

    def reset(self) -> None:
        """A new stretch begins: what came before is no context for what follows. Call `flush` first."""
        self._base = 0  # index of the first frame that is kept
        self._count = 0  # frames of this stretch
        self._rows = 0  # snippets of this stretch that were computed or left out

    @property
    def rows(self) -> int:
        """Snippets of this stretch that are done: what was returned last ends here."""
        return self._rows

    def push(self, image: Any, aspect: float = 1.0) -> F32:
        """The next frame, uint8 [H, W, 3] RGB -> rows float32 [n, D] that became complete; n may be 0.

        aspect: width of a pixel divided by its height.
        """
        return self.push_prepared(self._prepare(image, aspect))

    def push_prepared(self, plane: F32) -> F32:
        """`push` of a frame that `VideoBackbone.preprocessor` has prepared."""
        if self._count - self._base == len(self._frames):
            keep = min(self._span, self._count - self._base)
            self._frames[:keep] = self._frames[self._count - self._base - keep : self._count - self._base]
            self._base = self._count - keep
        self._frames[self._count - self._base] = plane
        self._count += 1
        spec = self.backbone.spec
        if self._count < (self._rows + self.batch) * spec.snippet_frames + spec.right_frames:
            return self._none
        return self._run(self.batch)

    def flush(self, *, partial: bool = True) -> F32:
        """The stretch has ended: the rows of all snippets that still wait.

        partial: also of a last snippet of which at least half the frames came. Call `reset` before another stretch.
        """
        size = self.backbone.spec.snippet_frames
        total = self._count // size
        if partial and 2 * (self._count % size) >= size > 1:
            total += 1
        parts = []
        while self._rows < total:
            parts.append(self._run(min(self.batch, total - self._rows)))
        return np.concatenate(parts) if parts else self._none

    @property
    def _none(self) -> F32:
        return np.zeros((0, self.backbone.dim), np.float32)

    def _run(self, count: int) -> F32:
        first, self._rows = self._rows, self._rows + count
        if self.skip >= count:
            self.skip -= count
            return self._none
        spec = self.backbone.spec
        ends = (np.arange(first, first + count) + 1) * spec.snippet_frames + spec.right_frames
        index = ends[:, None] - spec.clip_frames + np.arange(spec.clip_frames)
        clips = self._frames[np.clip(index, 0, self._count - 1) - self._base]
        if spec.layout == "NCTHW":
            clips = np.ascontiguousarray(clips.transpose(0, 2, 1, 3, 4))
        began = time.perf_counter()
        rows = self.backbone.embed(clips)
        self.backbone_s += time.perf_counter() - began
        left_out, self.skip = self.skip, 0
        return rows[left_out:]
