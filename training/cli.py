"""`punctum train`: from clicks to a run folder."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from punctum.runtime.cli.terminal import echo, echo_json, say
from punctum.runtime.text.display import counted

if TYPE_CHECKING:
    from punctum.runtime.datasets.dataset import Dataset

    from .config import TrainConfig

THREADS = "CPU threads of torch; 0: one or all usable cores, whichever makes the first steps faster."


def train(
    dataset: Annotated[
        Path, typer.Argument(help="Data set folder (dataset.json, features/ or videos/, points, lists).")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder to make.")],
    split: Annotated[str | None, typer.Option(help="Split folder in the data set, e.g. split_1.")] = None,
    points: Annotated[str, typer.Option(help="Points file in the data set.")] = "points.csv",
    train_list: Annotated[str, typer.Option(help="List of training videos.")] = "train.txt",
    proposals: Annotated[
        Path | None, typer.Option(help="Train the head on another locator's results (ActivityNet JSON).")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Same seed and --threads, same weights [0].")] = None,
    objective: Annotated[str | None, typer.Option(help="Locator objective: points or lacp.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of every stage [the recipe's].")] = None,
    no_center: Annotated[bool, typer.Option("--no-center", help="Ablation: no center-score head.")] = False,
    no_adapt: Annotated[bool, typer.Option("--no-adapt", help="Ablation: no boundary adaptation.")] = False,
    no_point_update: Annotated[
        bool, typer.Option("--no-point-update", help="Ablation: points stay where they were clicked.")
    ] = False,
    published_head: Annotated[
        bool, typer.Option("--published-head", help="The published head, labels, losses, update and fusion.")
    ] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda; never falls back silently.")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help=THREADS)] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard what the run folder holds.")] = False,
    config: Annotated[
        Path | None, typer.Option(help="Recipe (JSON; see config.json of any run, field config).")
    ] = None,
    backbone: Annotated[
        Path | None, typer.Option(help="Videos: an existing backbone folder instead of learning one.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Videos: most computing time for the backbone, on one core of today [6].")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar, no summary.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Learn to find actions from one click per action.

    RUN then holds config.json, the weights (safetensors), post.json, log.jsonl and summary.json; `punctum export`
    makes a bundle of it. Ctrl-C leaves a usable checkpoint, and --resume continues it.

    A data set with videos/ and no features/ goes all the way: RUN/backbone, RUN/data (features), RUN/locator (the run)
    and RUN/bundle, which takes videos.

    Example: punctum train data/gtea --split split_1 --out runs/gtea-1 --seed 0

    Example: punctum train data/urfall --out runs/urfall && punctum run runs/urfall/bundle clip.mp4
    """
    from punctum.runtime.errors import InputError, MissingDependencyError
    from punctum.runtime.files.outputs import check_folder

    try:
        import safetensors  # noqa: F401
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingDependencyError(error.name or "torch", "train", "punctum train") from None
    if resume and fresh:
        raise InputError("flags-exclusive", "--resume and --fresh together", "one of them", "drop one")
    out = check_folder(out, [dataset, *([] if backbone is None else [backbone])])
    from punctum.runtime.datasets.dataset import Dataset

    from . import recipes

    loose = Dataset.open(dataset, split=split, points=points, train_list=train_list, need_features=False)
    if not loose.only_videos and (backbone is not None or minutes is not None):
        given = "--backbone" if backbone is not None else "--minutes"
        raise InputError("flags-exclusive", f"{given} for a data set of features", "a data set of videos", "drop it")
    if backbone is not None and minutes is not None:
        raise InputError("flags-exclusive", "--backbone and --minutes together", "one of them", "drop one")
    recipe = recipe_of(
        config,
        default=recipes.for_videos(_clicks(loose)) if loose.only_videos else None,
        seed=seed,
        objective=objective,
        epochs=epochs,
        center=not no_center,
        adapt=not no_adapt,
        point_update=not no_point_update,
        published=published_head,
    )
    if proposals is not None and recipe.center is None:
        raise InputError("flags-exclusive", "--proposals without a head to train", "a head", "drop --no-center")

    from .data.videos import load_training_set
    from .engine.trainer import train_run

    if loose.only_videos:
        from .cli_video import train_dataset

        if proposals is not None:
            raise InputError("flags-exclusive", "--proposals with videos", "a data set of features", "drop --proposals")
        train_dataset(
            loose,
            recipe,
            out,
            backbone=backbone,
            minutes=minutes,
            resume=resume,
            fresh=fresh,
            device=device,
            threads=threads,
            quiet=quiet,
            json_output=json_output,
        )
        return
    opened = Dataset.open(dataset, split=split, points=points, train_list=train_list)
    data = load_training_set(opened, holdout=recipe.holdout, seed=recipe.seed)
    with warnings_as_lines():
        summary = train_run(
            data,
            recipe,
            out,
            proposals=proposals,
            resume=resume,
            fresh=fresh,
            device=device,
            quiet=quiet,
            threads=threads,
        )
    if json_output:
        echo_json(summary)
    elif not quiet:
        _show(summary, out)


def _clicks(data: Dataset) -> int:
    """Clicks in training videos."""
    points = data.points()
    return sum(len(points.get(video, ())) for video in data.train)


def recipe_of(
    file: Path | None,
    *,
    default: TrainConfig | None = None,
    seed: int | None = None,
    objective: str | None = None,
    epochs: int | None = None,
    center: bool = True,
    adapt: bool = True,
    point_update: bool = True,
    published: bool = False,
) -> TrainConfig:
    """The recipe file (or `default`, or the default recipe) with the command line's switches applied."""
    from punctum.runtime.errors import InputError

    from . import recipes
    from .config import TrainConfig, load_config

    recipe = (default or TrainConfig()) if file is None else load_config(file)
    if not center and (published or not point_update):
        given = "--published-head" if published else "--no-point-update"
        raise InputError("flags-exclusive", f"{given} and --no-center together", "one of them", "drop one")
    if objective not in (None, "points", "lacp"):
        raise InputError("objective-unknown", f"--objective {objective}", "points, lacp", "choose one of them")
    if objective == "lacp" and recipe.objective.kind != "lacp":
        recipe = recipes.with_lacp(recipe)
    elif objective == "points" and recipe.objective.kind != "points":
        recipe = recipes.with_points(recipe)
    if published:
        recipe = recipes.with_published_head(recipe)
    changes: dict[str, Any] = {}
    if seed is not None:
        changes["seed"] = seed
    if epochs is not None:
        length = {"epochs": epochs, "steps": None}
        changes["locator_optim"] = recipe.locator_optim.model_copy(update=length)
        changes["center_optim"] = recipe.center_optim.model_copy(update=length)
        changes["partners"] = tuple(
            p.model_copy(update={"optim": p.optim.model_copy(update=length)}) for p in recipe.partners
        )
    if not center:
        changes |= {name: getattr(TrainConfig(), name) for name in ("center_objective", "center_optim")}
        changes["center"] = None
    if not adapt:
        changes["post"] = recipe.post.model_copy(update={"adapt": False})
    if not point_update:
        if recipe.center_objective.kind != "points":
            raise InputError(
                "flags-idle",
                f'--no-point-update has no effect: the objective "{recipe.center_objective.kind}" never moves a point',
                'a head that learns from points (center_objective.kind = "points")',
                "drop it, or add --published-head",
            )
        changes["center_objective"] = recipe.center_objective.model_copy(update={"update": "none"})
    return recipe.model_copy(update=changes)


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Warnings of training as single lines on standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = _tell
        yield


def _tell(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
    say(f"warning: {message}")


def _show(summary: dict[str, Any], out: Path) -> None:
    counts = f"{counted(summary['videos'], 'video')}, {counted(summary['clicks'], 'click')}"
    echo(f"{counts}, {summary['seconds']:.1f} s -> {out}")
    for name, stage in summary["stages"].items():
        if "steps" in stage:
            echo(f"  {name}: {counted(stage['steps'], 'step')}, loss {stage['loss']:.4f}, {stage['seconds']:.1f} s")
        else:
            echo(f"  {name}: done before")
