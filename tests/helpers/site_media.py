"""Videos read through a ring of packets, and clips read back frame by frame."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from punctum.runtime.site.media.cutting import Cut, cut, store
from punctum.runtime.site.media.ring import Ring
from punctum.runtime.video import Sampled, VideoOptions, open_frames
from punctum.runtime.video._decoded import Turn

from tests.helpers import video_corpus as corpus

FPS = 25.0


def read(
    address: str | Path, ring: Ring, *, start_s: float = 0.0, fps: float = FPS, **options: object
) -> dict[float, int]:
    """Read a whole video. Gives the number of the frame that every cell shows, by the media time of the cell."""
    source = open_frames(str(address), fps=fps, options=VideoOptions(packets=ring.tap(start_s), **options))  # type: ignore[arg-type]
    try:
        return {
            round(start_s + item.at, 6): corpus.number(item.image)
            for item in source.frames()
            if isinstance(item, Sampled)
        }
    finally:
        source.close()


def clip_of(ring: Ring, start_s: float, end_s: float, path: Path) -> Cut:
    """Write a clip; it must exist."""
    part = cut(ring, start_s, end_s)
    assert isinstance(part, Cut), part
    store(part, path)
    return part


def frames_of(path: Path) -> list[tuple[float, np.ndarray]]:
    """Time in seconds and upright picture of each frame of a file."""
    with av.open(str(path)) as container:
        return [
            (float(frame.pts * frame.time_base), Turn.of(frame)(frame.to_ndarray(format="rgb24")))
            for frame in container.decode(video=0)
        ]


def check(part: Cut, path: Path, seen: dict[float, int], *, fps: float = FPS) -> list[int]:
    """Compare what a player shows of a clip with what the source showed at the same media time, to a frame.

    Returns the numbers of the clip's frames.
    """
    frames = [(part.start_s + at, corpus.number(image)) for at, image in frames_of(path)]
    compared = 0
    for at, number in seen.items():
        middle = at + 0.5 / fps
        if not part.start_s <= middle < part.end_s:
            continue
        shown = [n for t, n in frames if t <= middle + 1e-3]
        assert shown and shown[-1] == number, (at, number, shown[-3:])
        compared += 1
    assert compared
    return [number for _, number in frames]
