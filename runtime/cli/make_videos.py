"""`punctum data make-videos`: a data set of rendered videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..text.display import counted
from .progress import progress_bar
from .terminal import echo, say


def make_videos(
    out: Annotated[Path, typer.Option("--out", help="Folder to create.")],
    count: Annotated[int, typer.Option(help="Number of videos.")] = 40,
    seed: Annotated[int, typer.Option(help="Random seed. The same seed gives the same videos.")] = 1,
    seconds: Annotated[float, typer.Option(help="Length of each video in seconds.")] = 40.0,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT in pixels; even numbers.")] = "160x120",
    fps: Annotated[float, typer.Option(help="Frame rate.")] = 20.0,
) -> None:
    """Generate a data set of rendered videos with simulated clicks: ten classes of action among similar motions.

    A quarter of the videos is for testing. Train on it with punctum train VIDEOS --out RUN.

    Example: punctum data make-videos --out videos --count 40 --seed 1
    """
    from ..files.outputs import check_folder
    from ..synthetic.video import write_videos

    check_folder(out, [])
    with progress_bar("rendering", count * seconds, "s") as progress:
        unseen = write_videos(
            out, count=count, seed=seed, seconds=seconds, size=_parse_size(size), fps=fps, progress=progress
        )
    echo(f"wrote {counted(count, 'video')} to {out}")
    if unseen:
        say(
            f"warning: no training video shows {', '.join(unseen)}, and training refuses classes without clicks. Next: "
            "raise --count or --seconds"
        )


def _parse_size(text: str) -> tuple[int, int]:
    """Height and width of "WIDTHxHEIGHT". Raises InputError."""
    from ..errors import InputError

    width, mark, height = text.lower().partition("x")
    if not (mark and width.isdecimal() and height.isdecimal()):
        raise InputError(
            "scene-option", f"--size {text} is not a size", "WIDTHxHEIGHT, for example 160x120", "correct it"
        )
    return int(height), int(width)
