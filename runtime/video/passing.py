"""Base of frame sources that pass on the frames of another one."""

from __future__ import annotations

from collections.abc import Iterator

from ._frames import FrameSource, Gap, Policy, Sampled, VideoInfo


class PassedFrames:
    """A FrameSource that passes on what `frames` yields. Subclasses override `frames`."""

    def __init__(self, frames: FrameSource) -> None:
        self._frames = frames
        self.name, self.live = frames.name, frames.live

    @property
    def info(self) -> VideoInfo:
        return self._frames.info

    @property
    def dropped(self) -> dict[str, int]:
        return self._frames.dropped

    @property
    def policy(self) -> Policy:
        return self._frames.policy

    @property
    def lost_at_start_s(self) -> float:
        return self._frames.lost_at_start_s

    @property
    def unplaced(self) -> int:
        return self._frames.unplaced

    @property
    def trouble(self) -> str:
        """Why the source is currently unavailable; empty if it is available."""
        return str(getattr(self._frames, "trouble", ""))

    @property
    def reconnects(self) -> int:
        """How often the source was connected again."""
        return int(getattr(self._frames, "reconnects", 0))

    @property
    def received(self) -> int:
        """Number of frames that came from a live source."""
        return int(getattr(self._frames, "received", 0))

    def open(self) -> None:
        self._frames.open()

    def frames(self) -> Iterator[Sampled | Gap | None]:
        yield from self._frames.frames()

    def close(self) -> None:
        self._frames.close()
