"""`punctum train`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def train(
    dataset: Annotated[Path, typer.Argument(help="Data set folder with features and points.csv.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder; goes on if it holds the same run.")],
    split: Annotated[str | None, typer.Option(help="Split folder, for example split_1.")] = None,
    points: Annotated[str, typer.Option(help="Points file.")] = "points.csv",
    train_list: Annotated[str, typer.Option(help="List of training videos.")] = "train.txt",
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    config: Annotated[Path | None, typer.Option(help="JSON file with settings (see config.json of any run).")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over in an existing run folder.")] = False,
) -> None:
    """Learn to localize actions from one click per action.

    Example: punctum train data/gtea --split split_1 --out runs/gtea-1
    """
    from punctum.runtime import Dataset, InputError
    from punctum.runtime.dataset import read_json
    from punctum.runtime.errors import MissingDependencyError
    from pydantic import ValidationError
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    try:
        import torch  # noqa: F401
    except ImportError:
        raise MissingDependencyError("torch", "train", "training") from None
    from .config import TrainConfig
    from .train import train_run

    try:
        settings = TrainConfig.model_validate({**(read_json(config) if config else {}), "seed": seed})
    except (ValidationError, TypeError) as error:
        raise InputError(
            "config-invalid", f"{config}: {str(error)[:300]}", 'fields of config.json\'s "train"', "fix the file"
        ) from None
    data = Dataset.open(dataset, split=split, points=points, train_list=train_list)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
        disable=not sys.stderr.isatty(),
        transient=True,
    ) as bar:
        tasks: dict[str, object] = {}

        def progress(name: str, step: int, steps: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=steps)
            bar.update(tasks[name], completed=step)  # type: ignore[arg-type]

        summary = train_run(data, out, settings, fresh=fresh, progress=progress)
    typer.echo(
        f"trained on {summary['clicks']} clicks in {summary['videos']} recordings in {summary['seconds']} s: {out}"
    )
