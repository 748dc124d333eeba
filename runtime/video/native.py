"""All frames of a video file with their media times, instead of those of a sampling grid."""

from __future__ import annotations

from collections.abc import Callable

from ..credentials.redact import Address
from ._decoded import DecodedFrame
from ._frames import Gap
from .files import FileFrames
from .sampler import Cell, GridSampler

_GRID = 25.0  # cells per second: a grid needs a rate, which has no effect here


class _Every(GridSampler[DecodedFrame]):
    """Passes on every frame with its own media time."""

    def push(
        self, frame: DecodedFrame, at: float, *, duration_s: float, lost: int = 0, broken: str | None = None
    ) -> list[Cell[DecodedFrame] | Gap]:
        return [Cell(frame, 0, at, lost)]

    def finish(self, *, lost: int = 0) -> list[Cell[DecodedFrame] | Gap]:
        return []


class NativeFrames(FileFrames):
    """Every frame of a video file, with `Sampled.at` as its own media time; `index` is always 0. See `FrameSource`.

    Args:
        path: The file.
        warn: Called with each warning about media time; default: none are given.
    """

    def __init__(self, path: str, *, warn: Callable[[str], None] = lambda text: None) -> None:
        super().__init__(Address("file", path, path), fps=_GRID, warn=warn, decode_all=True)

    def open(self) -> None:
        super().open()
        if self._timeline is not None:
            self._timeline.sampler = _Every(_GRID)

    @property
    def shift_s(self) -> float:
        """Media time minus time stamp, in seconds, as far as it is known; to be asked for after the first frame."""
        shift = None if self._timeline is None else self._timeline.clock.shift
        return 0.0 if shift is None else shift

    @property
    def end_s(self) -> float:
        """Media time at which the last frame so far leaves the screen."""
        return 0.0 if self._timeline is None else self._timeline.end_s
