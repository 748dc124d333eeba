"""`punctum data merge`: several folders of labeled videos as one data set."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from .progress import track
from .terminal import echo, say


def merge(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER", help="Folders of videos with labels, or data sets of videos.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to create.")],
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy the videos. Otherwise they are linked where that is possible.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an earlier result that nobody has changed.")
    ] = False,
) -> None:
    """Join folders of labeled videos into one data set, for training on all of them.

    It takes folders of punctum label, reviews of punctum serve and data sets of videos. These are only read.

    Example: punctum data merge state/reviews/* my-videos --out all
    """
    from ..merge.run import merge_folders

    result = merge_folders(folders, out, replace=replace, copy=copy, watch=lambda names: track(names, "videos"))
    for line in result.losses():
        say(f"warning: {line}")
    for line in result.lines():
        echo(line)
    echo(f"train on it with: punctum train {shlex.quote(str(out))} --out runs/{shlex.quote(out.resolve().name)}")
