"""From frames to feature rows: clips, their edges, batches. One extractor per stream; it does no I/O."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from .encoder import F32, ClipEncoder


class Extractor:
    """Cuts a continuous span of frames into clips and runs them in batches.

    Batches depend only on the position in the span: clips [k * batch, (k + 1) * batch) are one run of the graph. The
    rows are therefore the same, bit by bit, however the frames arrive. Each frame is prepared once and kept as long as
    a clip needs it.

    Args:
        backbone: The network.
        batch: Rows that are computed at once; 1 for the lowest delay.
    """

    def __init__(self, backbone: ClipEncoder, *, batch: int = 1) -> None:
        self.backbone, self.batch = backbone, batch
        self.backbone_s = 0.0
        """Seconds spent in the graph."""
        self.skip = 0
        """Number of the next rows that are not returned, and not computed where that saves a run of the graph."""
        spec = backbone.spec
        self._prepare = backbone.preprocessor()
        # A batch runs once its last clip is complete; the frames of its clips reach back this far at most.
        self._span = spec.clip_frames + (batch - 1) * spec.snippet_frames
        self._frames = np.empty((2 * self._span + spec.snippet_frames, *self._plane), np.float32)
        self.reset()

    @property
    def _plane(self) -> tuple[int, int, int]:
        spec = self.backbone.spec
        return spec.channels, spec.height, spec.width

    def reset(self) -> None:
        """Start a new span of frames, without context from the one before. Call `flush` first."""
        self._base = 0  # index of the first frame in memory
        self._count = 0  # frames of this span
        self._rows = 0  # snippets of this span that were computed or skipped

    @property
    def rows(self) -> int:
        """Snippets of this span that are done. The last row returned is that of snippet `rows - 1`."""
        return self._rows

    def push(self, image: npt.ArrayLike, aspect: float = 1.0) -> F32:
        """Add the next frame.

        Args:
            image: uint8 [H, W, 3] in RGB order.
            aspect: Width of a pixel divided by its height.

        Returns:
            The rows that became complete, float32 [n, D]; n may be 0.
        """
        return self.push_prepared(self._prepare(image, aspect))

    def push_prepared(self, plane: F32) -> F32:
        """As `push`, for a frame that was prepared by `VideoBackbone.preprocessor`."""
        if self._count - self._base == len(self._frames):
            keep = min(self._span, self._count - self._base)
            self._frames[:keep] = self._frames[self._count - self._base - keep : self._count - self._base]
            self._base = self._count - keep
        self._frames[self._count - self._base] = plane
        self._count += 1
        spec = self.backbone.spec
        if self._count < (self._rows + self.batch) * spec.snippet_frames + spec.right_frames:
            return self._no_rows
        return self._run(self.batch)

    def flush(self, *, partial: bool = True) -> F32:
        """End the span and return the rows of all remaining snippets. Call `reset` before the next span.

        Args:
            partial: Include a last snippet of which at least half the frames have arrived.
        """
        size = self.backbone.spec.snippet_frames
        total = self._count // size
        if partial and 2 * (self._count % size) >= size > 1:
            total += 1
        parts = []
        while self._rows < total:
            parts.append(self._run(min(self.batch, total - self._rows)))
        return np.concatenate(parts) if parts else self._no_rows

    @property
    def _no_rows(self) -> F32:
        return np.zeros((0, self.backbone.dim), np.float32)

    def _run(self, count: int) -> F32:
        first, self._rows = self._rows, self._rows + count
        if self.skip >= count:
            self.skip -= count
            return self._no_rows
        spec = self.backbone.spec
        ends = (np.arange(first, first + count) + 1) * spec.snippet_frames + spec.right_frames
        index = ends[:, None] - spec.clip_frames + np.arange(spec.clip_frames)
        clips = self._frames[np.clip(index, 0, self._count - 1) - self._base]
        if spec.layout == "NCTHW":
            clips = np.ascontiguousarray(clips.transpose(0, 2, 1, 3, 4))
        began = time.perf_counter()
        rows = self.backbone.embed(clips)
        self.backbone_s += time.perf_counter() - began
        skipped, self.skip = self.skip, 0
        return rows[skipped:]
