"""A recording as a report needs it: its features, thumbnails and compute times, and a run of a bundle on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..backends.options import CPU, EngineSpec
from ..datatypes import compact
from ..errors import InputError
from ..events.event import Event
from ..features.features import Features, load_features
from ..live import LiveOptions
from ._model import Thumbnail

if TYPE_CHECKING:
    from ..bundle.reader import Bundle
    from ..localizer import Localizer
    from ..sources.video import VideoSource


@compact
@dataclass(slots=True, eq=False, repr=False)
class Footage:
    """A recording as read: spans of features without gaps, thumbnails, seconds of compute per stage, lost frames."""

    spans: list[Features]
    thumbnails: tuple[Thumbnail, ...] = ()
    stages: dict[str, float] = field(default_factory=dict)
    lost: int = 0

    @property
    def start_s(self) -> float:
        return self.spans[0].start_s

    @property
    def duration_s(self) -> float:
        last = self.spans[-1]
        return last.start_s + last.duration_s - self.start_s


def read_footage(
    bundle: Bundle,
    localizer: Localizer,
    path: str | Path,
    *,
    spec: EngineSpec = CPU,
    pictures: bool = True,
    fps: float | None = None,
) -> Footage:
    """Read features from a `.npy` file, or compute them from a video with the bundle's backbone. Raises InputError."""
    from ..sources.open import is_video_input, video_source

    path = Path(path)
    if not path.exists():
        raise InputError(
            "input-missing",
            f"{path} does not exist",
            required="a .npy file or a video file",
            next_step="check the path",
        )
    if path.is_dir():
        raise InputError(
            "input-folder",
            f"{path} is a folder",
            required="one .npy file or video",
            next_step="name a file, or use `data` for a data set",
        )
    if not is_video_input(str(path)):
        if fps is not None:
            raise InputError(
                "video-rate",
                f"`fps={fps:g}` does not apply to {path}, which is not a video",
                required="a video without timestamps",
                next_step="leave out `fps`",
            )
        return Footage([load_features(path, stride_s=localizer.plan.stride_s, dim=localizer.plan.dim)])
    source = video_source(str(path), bundle, fps=fps, spec=spec)
    return _read_video(bundle, str(path), source, pictures=pictures)


def _read_video(bundle: Bundle, address: str, source: VideoSource, *, pictures: bool) -> Footage:
    from ..sources.video import coalesce
    from ..video.tapped import TappedFrames
    from .thumbnails import ThumbnailTaker

    taker = ThumbnailTaker()
    if pictures:
        source.frames = TappedFrames(source.frames, taker.offer, start_s=source.start_s)
    stride_s = bundle.manifest.features.stride_s
    parts: list[tuple[float, list[npt.NDArray[np.float32]]]] = []
    lost = 0
    source.open()
    try:
        for chunk in coalesce(source.items()):
            lost += chunk.dropped
            if chunk.at is not None or not parts:
                parts.append((source.start_s if chunk.at is None else chunk.at, []))
            parts[-1][1].append(chunk.rows)
    finally:
        source.close()
    if not parts:
        raise InputError(
            "video-too-short",
            f"{address} is shorter than one snippet",
            required=f"at least {stride_s:g} s of video",
            next_step="check the file",
        )
    spans = [Features(np.concatenate(rows), stride_s, at) for at, rows in parts]
    spent = source.stats
    stages = {
        "decode": max(spent.decode_s - taker.spent_s, 0.0),
        "preprocess": spent.preprocess_s,
        "backbone": spent.backbone_s,
    }
    return Footage(spans, taker.thumbnails, stages, max(lost, spent.lost))


def run_footage(
    localizer: Localizer, footage: Footage, *, stream: str, max_delay_s: float | None
) -> tuple[list[Event], dict[str, float]]:
    """Run a bundle on a recording: all events of the session, and seconds of compute per stage."""
    first = footage.spans[0]
    if max_delay_s is None and len(footage.spans) == 1:
        result = localizer.localize(first, stream=stream, start_s=first.start_s)
        events, stats = list(result), result.stats
    else:
        live = None if max_delay_s is None else LiveOptions(max_delay_s=max_delay_s)
        session = localizer.session(stream=stream, start_s=first.start_s, live=live)
        events = []
        for span in footage.spans:
            events += session.push(span.data, at=span.start_s)
        events += session.flush()
        stats = session.stats
    stages = {"locator": stats.locate_s, "islands": stats.islands_s, "scorer": stats.score_s, "post": stats.post_s}
    if max_delay_s is not None:
        stages["live reports"] = stats.report_s
    return events, stages
