"""A recording in `punctum run`: localized as a whole, with what was lost and how long it took."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..events.time_of_day import FixedStart, stamped
from ..service.summary import losses, stage_times
from ..session.plan import Stats
from ..text.display import as_utf8, counted
from ._identity import start_of
from .terminal import say

if TYPE_CHECKING:
    from ..backbone.backbone import VideoBackbone
    from ..events.event import Event
    from ..localizer import Localizer
    from ..sources.video import VideoStats
    from ..video import VideoOptions


class Recording:
    """One file of features, or one video, that is processed as a whole."""

    def __init__(
        self,
        name: str,
        localizer: Localizer,
        backbone: VideoBackbone | None,
        frames: VideoOptions,
        fps: float | None = None,
    ) -> None:
        self.name, self.is_video = name, backbone is not None
        self.stream = as_utf8(Path(name).stem)
        self._localizer, self._backbone, self._frames, self._fps = localizer, backbone, frames, fps
        self._video: VideoStats | None = None
        self._stats = Stats()
        self._wall_s = 0.0

    def localize(self, run_id: str, start_utc: str | None) -> list[Event]:
        """All events. start_utc: time of day of its start. Raises InputError."""
        began = time.perf_counter()
        localizer, plan = self._localizer, self._localizer.plan
        clock = None if start_utc is None else FixedStart(start_of(start_utc, self.name))
        if self._backbone is None:
            from ..features.features import load_features

            features = load_features(self.name, stride_s=plan.stride_s, dim=plan.dim)
            events = localizer.localize(features, stream=self.stream, run_id=run_id)
        else:
            from ..sources.video import coalesce, open_video

            source = open_video(self.name, self._backbone, overflow="wait", fps=self._fps, options=self._frames)
            self.stream, self._video = source.stream, source.stats
            events = localizer.localize_chunks(coalesce(source.items()), stream=self.stream, run_id=run_id)
        self._wall_s, self._stats = time.perf_counter() - began, events.stats
        return stamped(events, clock)

    def warn_of_loss(self) -> None:
        """Print one line if parts of the recording are missing from the result."""
        lost = losses(self._stats, self._video)
        if lost:
            say(f"warning: {self.stream}: {lost}")

    def statistics(self, candidates: int, printed: int) -> str:
        """One line about the time that it took.

        Args:
            candidates: Number of events of any score and class.
            printed: Number of those that are written.
        """
        spent = self._stats
        factor = spent.real_time_factor if self._video is None else self._wall_s / (spent.media_s or 1.0)
        video = self._video
        lost = f" ({counted(video.lost, 'frame')} lost, {counted(video.gaps, 'gap')})" if video is not None else ""
        return (
            f"{self.stream}: {spent.media_s:.1f} s of media{lost}, {counted(candidates, 'candidate')}, {printed} "
            f"printed; {stage_times(spent, video)}; real-time factor {factor:.5f}"
        )
