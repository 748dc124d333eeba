"""The options of commands that read videos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from .terminal import say

if TYPE_CHECKING:
    from ..video import VideoOptions

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
        help="Decoder of videos: software (default), auto (the first hardware decoder that can be opened, else "
        "software; prints its choice), or a hardware decoder such as cuda, vaapi, videotoolbox or d3d11va, which must "
        "then decode the video. `punctum doctor` lists those of this machine."
    ),
]


def announce_decoder(decoder: str | None) -> None:
    """Say which decoder "auto" takes, and why."""
    from ..video._frames import AUTO

    if decoder == AUTO:
        from ..video._hardware import auto_choice

        say(f"decoder: {auto_choice()}")


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


def recording_options(
    input: str, allow_hosts: tuple[str, ...], credentials_file: Path | None, decoder: str | None
) -> VideoOptions:
    """Options of a recording. It is not opened again when it breaks off, since it would start over."""
    from ..credentials.store import Credentials
    from ..sources.media import is_address
    from ..video import SOFTWARE, VideoOptions

    credentials = Credentials.load(credentials_file)
    given = {"--allow-host": bool(allow_hosts), "--credentials-file": credentials_file is not None}
    for option in [name for name, there in given.items() if there and not is_address(input)]:
        raise InputError(
            "option-unfit", f"{option} has no effect on files", "a source over HTTP", f"leave {option} out"
        )
    if not credentials.from_file <= {"source"}:
        raise InputError(
            "option-unfit",
            "--credentials-file has tables other than [source], which only live runs use",
            "[source]",
            "remove the others",
        )
    login = credentials.source
    return VideoOptions(
        reconnect_s=0.0,
        allow_hosts=allow_hosts,
        user=login.user,
        password=login.password,
        decoder=SOFTWARE if decoder is None else decoder,
    )
