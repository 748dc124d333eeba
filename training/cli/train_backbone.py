"""`punctum train-backbone`: a small video backbone from the user's own footage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from punctum.runtime.cli.terminal import echo_json

from .common import (
    FRESH_HELP,
    JSON_HELP,
    MINUTES_HELP,
    QUIET_HELP,
    RESUME_HELP,
    SEED_HELP,
    THREADS_HELP,
    exclusive,
    show_backbone,
    warnings_as_lines,
)

if TYPE_CHECKING:
    from ..backbone.exporter import BackboneExporter


def train_backbone_command(exporter: BackboneExporter) -> Callable[..., None]:
    """The command function. exporter: writes the backbone's graph."""

    def train_backbone(
        videos: Annotated[Path, typer.Argument(metavar="VIDEOS", help="Folder of videos, or a data set with videos/.")],
        out: Annotated[Path, typer.Option("--out", "-o", help="Backbone folder to write.")],
        points: Annotated[
            str | None,
            typer.Option(
                help="Clicks: CSV with class, video_id and point (frame number) or time_s (seconds) [points.csv]."
            ),
        ] = None,
        train_list: Annotated[str, typer.Option(help="List of training videos of a data set.")] = "train.txt",
        no_points: Annotated[bool, typer.Option("--no-points", help="Learn from the footage without clicks.")] = False,
        seed: Annotated[int | None, typer.Option(min=0, help=SEED_HELP)] = None,
        minutes: Annotated[float | None, typer.Option(help=MINUTES_HELP[0].upper() + MINUTES_HELP[1:])] = None,
        epochs: Annotated[
            float | None,
            typer.Option(help="Passes over the footage; 3 steps per click and --minutes are upper bounds [6]."),
        ] = None,
        size: Annotated[
            str | None, typer.Option(help="Size of the frames that the network takes, HEIGHTxWIDTH [48x64].")
        ] = None,
        config: Annotated[Path | None, typer.Option(help="Recipe file (JSON), or config.json of a backbone.")] = None,
        threads: Annotated[int, typer.Option(min=0, help=THREADS_HELP)] = 0,
        resume: Annotated[bool, typer.Option("--resume", help=RESUME_HELP)] = False,
        fresh: Annotated[bool, typer.Option("--fresh", help=FRESH_HELP)] = False,
        quiet: Annotated[bool, typer.Option("--quiet", help=QUIET_HELP)] = False,
        json_output: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
    ) -> None:
        """Train a small video backbone on footage, and on clicks if there are any.

        Training starts from the weights of the shipped backbone, `motion` ("start": "random" in a recipe: from random
        weights). BACKBONE then holds backbone.onnx and backbone.json, for `punctum train VIDEOS --backbone`,
        `punctum features` and `punctum export --backbone`. --minutes is converted to a number of steps by the size of
        the network, so it does not depend on the speed of the machine.

        On both real video sets of the benchmarks, `punctum train` found more with the shipped weights as they are than
        with weights that were trained further: compare them on videos from other places than the training videos.

        Example: punctum train-backbone my-videos --out backbones/mine --seed 0
        """
        from punctum.runtime.errors import InputError
        from punctum.runtime.files.outputs import check_folder

        check_video_training(exporter, "punctum train-backbone")
        if resume and fresh:
            raise exclusive("--resume", "--fresh")
        if points is not None and no_points:
            raise exclusive("--points", "--no-points")
        out = check_folder(out, [videos])
        from ..backbone.footage import read_footage
        from ..backbone.recipes import backbone_recipe
        from ..backbone.train import train_backbone

        if train_list != "train.txt" and not (videos / "dataset.json").is_file():
            raise InputError(
                "flags-idle",
                f"--train-list has no effect: {videos} is a plain folder, of which all videos are used",
                required="a data set (dataset.json)",
                next_step="leave --train-list out",
            )
        footage = read_footage(videos, points=points, train_list=train_list, clicked=not no_points)
        recipe = backbone_recipe(config, seed=seed, minutes=minutes, epochs=epochs, size=size)
        with warnings_as_lines():
            summary = train_backbone(
                footage, recipe, out, exporter=exporter, resume=resume, fresh=fresh, quiet=quiet, threads=threads
            )
        if json_output:
            echo_json(summary)
        elif not quiet:
            show_backbone(summary, out)

    return train_backbone


def check_video_training(exporter: BackboneExporter, purpose: str) -> None:
    """Raise MissingDependencyError, naming the extra, for the first library that training on videos lacks.

    purpose: the command, as the subject of the message.
    """
    from importlib.util import find_spec

    from punctum.runtime.errors import MissingDependencyError

    for library, extra in (("torch", "train"), ("safetensors", "train"), ("av", "video")):
        if find_spec(library) is None:
            raise MissingDependencyError(library, extra, purpose)
    exporter.check_installed(purpose)
