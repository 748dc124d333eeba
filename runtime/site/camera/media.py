"""What a camera process needs of the part that keeps video: pictures, and the answers to commands."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ...video.packets import PacketTap
from ..wire import Header

COMMANDS = ("clip", "picture", "live_picture")


class TimedTap(PacketTap, Protocol):
    """A tap that knows the media time at which its source begins."""

    start_s: float


class MediaCommands(Protocol):
    """Keeps video and answers commands."""

    def offer_frame(self, image: npt.NDArray[np.uint8], at_s: float, aspect: float) -> None:
        """Show it a decoded frame: the whole picture without masks, from the decoding thread. Must return at once.

        Args:
            image: uint8 [H, W, 3] RGB; not to be written to.
            at_s: Media time in seconds.
            aspect: Width of a pixel over its height.
        """
        ...

    def tap(self, start_s: float = 0.0) -> TimedTap | None:
        """What receives the compressed packets of a video that begins at media time `start_s`; None: they are not
        wanted."""
        ...

    def handle(self, header: Header) -> Header | None:
        """Take a command of `COMMANDS`, from the main thread. Must return at once.

        Returns:
            The fields of the answer; None if it is sent later, by another thread.
        """
        ...

    def stats(self) -> dict[str, Any]:
        """Counters that are added to the statistics of the camera."""
        ...

    def close(self) -> None: ...


class NoMedia:
    """Keeps nothing: for sources of features, and cameras without clips and pictures."""

    def offer_frame(self, image: npt.NDArray[np.uint8], at_s: float, aspect: float) -> None:
        """Does nothing."""

    def tap(self, start_s: float = 0.0) -> TimedTap | None:
        """None."""
        return None

    def handle(self, header: Header) -> Header | None:
        """The answer that there is no video."""
        return {"ok": False, "path": None, "why": "no video is kept"}

    def stats(self) -> dict[str, Any]:
        """No counters."""
        return {}

    def close(self) -> None:
        """Does nothing."""
