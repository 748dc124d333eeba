"""`punctum train-backbone`: a small video backbone from one's own footage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from punctum.runtime.cli.terminal import echo, echo_json, say
from punctum.runtime.text.display import counted

from .cli import THREADS, warnings_as_lines

if TYPE_CHECKING:
    from punctum.runtime.datasets.dataset import Dataset

    from .config import TrainConfig


def train_backbone(
    videos: Annotated[Path, typer.Argument(help="Folder of videos, or a video data set (dataset.json, videos/).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Backbone folder to make.")],
    points: Annotated[
        str | None,
        typer.Option(help="Clicks: CSV with class, video_id and point (frames) or time_s (seconds) [points.csv]."),
    ] = None,
    train_list: Annotated[str, typer.Option(help="List of training videos of a data set.")] = "train.txt",
    no_points: Annotated[bool, typer.Option("--no-points", help="Learn from the footage alone.")] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Same seed and --threads, same weights [0].")] = None,
    minutes: Annotated[float | None, typer.Option(help="Most computing time, on one core of today [6].")] = None,
    epochs: Annotated[
        float | None, typer.Option(help="Passes over the footage, as far as clicks and --minutes allow [6].")
    ] = None,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH that the network sees [48x64].")] = None,
    config: Annotated[Path | None, typer.Option(help="Recipe (JSON; see config.json of any backbone).")] = None,
    threads: Annotated[int, typer.Option(min=0, help=THREADS)] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard what the folder holds.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar, no summary.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Learn a small video backbone: from footage, and from clicks where there are some.

    It starts from what the shipped bundle learned about motion ("start": "random" in a recipe: from nothing).
    BACKBONE then holds backbone.onnx and backbone.json, for `punctum features` and `punctum export --backbone`.
    The same command, with --threads, gives the same weights on the same machine; --minutes is converted to a number of
    steps.

    Example: punctum train-backbone data/urfall --out backbones/urfall --seed 0
    """
    from punctum.runtime.errors import InputError
    from punctum.runtime.files.outputs import check_folder

    needs_training("punctum train-backbone")
    if resume and fresh:
        raise InputError("flags-exclusive", "--resume and --fresh together", "one of them", "drop one")
    if points is not None and no_points:
        raise InputError("flags-exclusive", "--points and --no-points together", "one of them", "drop one")
    out = check_folder(out, [videos])
    from .backbone.train import train_backbone as learn
    from .videos import backbone_recipe, read_footage

    if train_list != "train.txt" and not (videos / "dataset.json").is_file():
        raise InputError(
            "flags-idle",
            f"--train-list {train_list}, and {videos} is a plain folder, all of which is used",
            "a data set (dataset.json)",
            "drop --train-list",
        )
    footage = read_footage(videos, points=points, train_list=train_list, clicked=not no_points)
    recipe = backbone_recipe(config, seed=seed, minutes=minutes, epochs=epochs, size=size)
    with warnings_as_lines():
        summary = learn(footage, recipe, out, resume=resume, fresh=fresh, quiet=quiet, threads=threads)
    if json_output:
        echo_json(summary)
    elif not quiet:
        show_backbone(summary, out)


def needs_training(purpose: str, *libraries: str) -> None:
    """Raises MissingDependencyError naming the first library that is not there."""
    from importlib.util import find_spec

    from punctum.runtime.errors import MissingDependencyError

    extras = {"torch": "train", "safetensors": "train", "av": "video", "onnx": "export", "onnxscript": "export"}
    for library in ("torch", "safetensors", "av", "onnx", "onnxscript", "onnxruntime", *libraries):
        if find_spec(library) is None:
            raise MissingDependencyError(library, extras.get(library, "export"), purpose)


def train_dataset(
    data: Dataset,
    recipe: TrainConfig,
    out: Path,
    *,
    backbone: Path | None,
    minutes: float | None,
    resume: bool,
    fresh: bool,
    device: str,
    threads: int,
    quiet: bool,
    json_output: bool,
) -> None:
    """`punctum train` for a data set of videos."""
    needs_training("punctum train with videos")
    from .videos import backbone_recipe, train_videos

    learned = backbone if backbone is not None else backbone_recipe(seed=recipe.seed, minutes=minutes)
    with warnings_as_lines():
        summary = train_videos(
            data, recipe, learned, out, resume=resume, fresh=fresh, device=device, quiet=quiet, threads=threads
        )
    if json_output:
        echo_json(summary)
    elif not quiet:
        if "training" in summary["backbone"]:
            show_backbone(summary["backbone"], out / "backbone")
        located = summary["locator"]
        counts = f"{counted(located['videos'], 'video')}, {counted(located['clicks'], 'click')}"
        echo(f"{counts}: locator and head in {located['seconds']:.0f} s")
        echo(f"bundle {summary['bundle']} -> {out / 'bundle'}")
    for video, lost in summary["lost"].items():
        say(f"warning: {video}: {lost}")


def show_backbone(summary: dict[str, Any], out: Path) -> None:
    """Two lines about a backbone that was learned."""
    trained = summary["training"]
    counts = ", ".join(counted(summary[f"{thing}s"], thing) for thing in ("video", "snippet", "click"))
    echo(
        f"{counts}: {counted(trained['steps'], 'step')} in {trained['seconds']:.0f} s, "
        f"loss {trained['loss']:.3f} -> {out}"
    )
    size = f"{summary['bytes'] / 1e6:.2f} MB"
    echo(f"  {counted(summary['dim'], 'feature')} every {summary['stride_s']:g} s, {size}")
