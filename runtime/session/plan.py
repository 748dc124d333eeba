"""What a session needs to know about a bundle, and what it counts while it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..bundle.config import PostProcess


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a session needs to know about a bundle."""

    labels: tuple[str, ...]
    dim: int
    stride_s: float
    left: int
    right: int
    post: PostProcess
    bundle_id: str
    overhang_s: float = 0.0
    """Media beyond a snippet's end that its features need: a backbone whose clips reach ahead."""

    @property
    def context(self) -> int:
        """Snippets beyond an island that its scoring may read, on either side (one more for interpolation)."""
        return math.ceil(self.post.right_context_s / self.stride_s) + 1

    @property
    def look_ahead_s(self) -> float:
        """Algorithmic delay: receptive field to the right, right context and what clips reach ahead, in seconds."""
        return (self.right + self.context) * self.stride_s + self.overhang_s


@dataclass(slots=True)
class Stats:
    """Seconds spent per stage, how much media they served, and what went missing. Times in seconds."""

    locate_s: float = 0.0
    islands_s: float = 0.0
    score_s: float = 0.0
    """In the engine, for final events; in a pool that is the run that the streams share."""
    post_s: float = 0.0
    """Proposals before, fusion, boundary adaptation and suppression after it."""
    report_s: float = 0.0
    media_s: float = 0.0
    snippets: int = 0
    islands: int = 0
    events: int = 0
    gaps: int = 0
    dropped: int = 0
    """Snippets that never came: the sum over all gaps."""

    def copy(self) -> Stats:
        return Stats(
            self.locate_s,
            self.islands_s,
            self.score_s,
            self.post_s,
            self.report_s,
            self.media_s,
            self.snippets,
            self.islands,
            self.events,
            self.gaps,
            self.dropped,
        )

    @property
    def real_time_factor(self) -> float:
        """Compute seconds a second of media; below 1 keeps up."""
        total = self.locate_s + self.islands_s + self.score_s + self.post_s + self.report_s
        return total / self.media_s if self.media_s else 0.0
