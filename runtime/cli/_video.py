"""The options --fps and --decoder of commands that read videos."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import InputError

Fps = Annotated[
    float | None,
    typer.Option(
        help="Frame rate of a video without time stamps (raw H.264, H.265 or MPEG video, MJPEG). Default: the rate "
        "that the video declares, else 25. Live streams use the time of arrival."
    ),
]

Decoder = Annotated[
    str | None,
    typer.Option(
        help="Decoder of videos: software (default), auto, or a hardware decoder such as cuda, vaapi, videotoolbox or "
        "d3d11va, which must then decode the video. `punctum doctor` lists those of this machine."
    ),
]


def no_decoder(name: str) -> InputError:
    """The error for --decoder with input that is not a video."""
    return InputError(
        "option-unfit", f"--decoder has no effect on {name}, which is not a video", "a video", "leave --decoder out"
    )


def no_fps(fps: float, name: str) -> InputError:
    """The error for --fps with input that is not a video."""
    return InputError(
        "video-rate",
        f"--fps has no effect on {name}, which is not a video",
        "a video without time stamps",
        "leave --fps out",
    )
