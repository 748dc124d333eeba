"""What the commands that take videos print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from ..text.display import counted

if TYPE_CHECKING:
    from ..session.plan import Stats
    from ..sources.video import VideoStats

Fps = Annotated[
    float | None,
    typer.Option(
        help="Frames per second of a video without time stamps (raw H.264, H.265 or MPEG video, MJPEG). Default: the "
        "rate that the stream declares, else 25; live streams use the time of arrival."
    ),
]


def no_fps(fps: float, name: str) -> InputError:
    """The error for --fps with input that is not a video."""
    return InputError(
        "video-rate",
        f"--fps {fps:g} for {name}, which is not a video",
        "a video without time stamps",
        "leave out --fps",
    )


def losses(spent: Stats, video: VideoStats | None) -> str:
    """What of a recording is missing from the result, in words; empty: nothing."""
    parts = []
    if video is not None and video.lost:
        start_s = getattr(video, "lost_at_start_s", 0.0)
        where = f", {start_s:.1f} s of them at the start" if start_s else ""
        parts.append(f"{counted(video.lost, 'video frame')} lost{where}")
    if spent.dropped:
        media = spent.dropped * (spent.media_s / spent.snippets) if spent.snippets else 0.0
        seconds = f", about {media:.1f} s of media" if media else ""
        parts.append(f"{counted(spent.dropped, 'snippet')} missing in {counted(spent.gaps, 'gap')}{seconds}")
    return "; ".join(parts)


def stages(spent: Stats, video: VideoStats | None) -> str:
    """Milliseconds of work a second of media, stage by stage; of a video also a frame, or a run of the backbone."""
    parts = {} if video is None else video.seconds()
    parts |= {"locate": spent.locate_s, "islands": spent.islands_s, "score": spent.score_s, "post": spent.post_s}
    media = spent.media_s or 1.0
    told = "per second of media: " + ", ".join(f"{name} {1e3 * s / media:.2f} ms" for name, s in parts.items())
    for name, (middle, high) in ({} if video is None else video.percentiles(50, 99)).items():
        told += f"; {name} p50 {1e3 * middle:.2f} p99 {1e3 * high:.2f} ms"
    return told
