"""`punctum train`: from clicks to a run folder, or from videos and clicks to a bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer
from punctum.runtime.cli.options import Panel
from punctum.runtime.cli.terminal import echo, echo_json, say
from punctum.runtime.text.display import counted

from .common import (
    COPIES_HELP,
    FRESH_HELP,
    JSON_HELP,
    MINUTES_HELP,
    QUIET_HELP,
    RESUME_HELP,
    SEED_HELP,
    THREADS_HELP,
    calibration_line,
    exclusive,
    named_data,
    resumable,
    show_backbone,
    show_choice,
    show_run,
    show_settings,
    show_suspects,
    show_unjudged,
    unfit,
    warnings_as_lines,
)

if TYPE_CHECKING:
    from punctum.runtime.datasets.dataset import Dataset

    from ..candidates import Source
    from ..config import TrainConfig
    from ..videos import Exporter


_DATA_SET: Panel = {"rich_help_panel": "Data set"}
_RECIPE: Panel = {"rich_help_panel": "Recipe"}
_ABLATIONS: Panel = {"rich_help_panel": "Ablations"}


def train_command(exporter: Exporter) -> Callable[..., None]:
    """The command function. exporter: writes the bundle of a run on videos."""

    def train(
        dataset: Annotated[
            Path,
            typer.Argument(
                metavar="DATASET", help="Data set folder: dataset.json, features/ or videos/, points file, lists."
            ),
        ],
        out: Annotated[Path, typer.Option("--out", "-o", help="Run folder to write.")],
        epochs: Annotated[
            int | None,
            typer.Option(
                min=1,
                help="Epochs of locator and center scorer, not of the backbone (--minutes) "
                "[15 for the locator, 300 steps for the center scorer].",
            ),
        ] = None,
        backbone: Annotated[
            list[str] | None,
            typer.Option(
                metavar="FOLDER",
                help="With videos: the folder of a backbone, or shipped for the weights that ship [shipped]. Give it "
                "several times to train on each and to use the best one by the clicks of held-out videos; the first "
                "one is used unless another is better with confidence.",
            ),
        ] = None,
        minutes: Annotated[
            float | None,
            typer.Option(
                help="With videos: train the shipped weights further on your footage and clicks; on test videos of "
                f"both benchmarks that was worse than using them as they are. The number is the {MINUTES_HELP}"
            ),
        ] = None,
        augmented_copies: Annotated[int | None, typer.Option(min=0, max=16, help=COPIES_HELP)] = None,
        seed: Annotated[int | None, typer.Option(min=0, help=SEED_HELP)] = None,
        device: Annotated[
            str, typer.Option(help="cpu or cuda, for locator and center scorer; there is no silent fallback.")
        ] = "cpu",
        threads: Annotated[int, typer.Option(min=0, help=THREADS_HELP)] = 0,
        resume: Annotated[bool, typer.Option("--resume", help=RESUME_HELP)] = False,
        fresh: Annotated[bool, typer.Option("--fresh", help=FRESH_HELP)] = False,
        quiet: Annotated[bool, typer.Option("--quiet", help=QUIET_HELP)] = False,
        json_output: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
        split: Annotated[
            str | None, typer.Option(help="Split folder in the data set, e.g. split_1.", **_DATA_SET)
        ] = None,
        points: Annotated[
            str, typer.Option(help="Points file in the data set: one click per action.", **_DATA_SET)
        ] = "points.csv",
        train_list: Annotated[str, typer.Option(help="List of training videos.", **_DATA_SET)] = "train.txt",
        proposals: Annotated[
            Path | None,
            typer.Option(
                help="Results of another base locator (ActivityNet JSON) to train the center scorer on.", **_DATA_SET
            ),
        ] = None,
        config: Annotated[
            Path | None,
            typer.Option(help="Recipe file (JSON), or config.json of a run.", **_RECIPE),
        ] = None,
        objective: Annotated[
            str | None,
            typer.Option(help="Objective of the locator: points, lacp, or package.module:factory.", **_RECIPE),
        ] = None,
        no_center: Annotated[bool, typer.Option("--no-center", help="No center scorer.", **_ABLATIONS)] = False,
        no_adapt: Annotated[
            bool, typer.Option("--no-adapt", help="No boundary adaptation (ABA).", **_ABLATIONS)
        ] = False,
        no_point_update: Annotated[
            bool,
            typer.Option("--no-point-update", help="No saliency point update; clicks stay in place.", **_ABLATIONS),
        ] = False,
        no_calibration: Annotated[
            bool,
            typer.Option(
                "--no-calibration",
                help="Scores that only rank events: a third of the training time, but no probabilities and no default "
                "minimum score.",
                **_RECIPE,
            ),
        ] = False,
        published_head: Annotated[
            bool,
            typer.Option(
                "--published-head", help="The published head with its labels, losses, update and fusion.", **_ABLATIONS
            ),
        ] = False,
    ) -> None:
        """Learn to find actions from one click per action.

        RUN then holds config.json, the weights (safetensors), post.json, log.jsonl and summary.json; `punctum export`
        makes a bundle of it. Ctrl-C leaves a usable checkpoint, which --resume continues.

        A data set with videos/ and without features/, or a folder of videos and clicks (punctum label), is trained up
        to the bundle: RUN/backbone, RUN/data (features), RUN/locator (the run) and RUN/bundle, which takes videos.

        Example: punctum train data/gtea --split split_1 --out runs/gtea-1 --seed 0

        Example: punctum train data/urfall --out runs/urfall && punctum run runs/urfall/bundle clip.mp4
        """
        from punctum.runtime.files.outputs import check_folder

        check_torch("punctum train")
        from ..candidates import AS_SHIPPED

        if resume and fresh:
            raise exclusive("--resume", "--fresh")
        sources: list[Source] = [AS_SHIPPED if each == AS_SHIPPED else Path(each) for each in backbone or ()]
        out = check_folder(out, [dataset, *(each for each in sources if isinstance(each, Path))])
        from punctum.runtime.datasets.dataset import Dataset

        from .recipe_options import recipe_of

        listed = Dataset.open(dataset, split=split, points=points, train_list=train_list, need_features=False)
        only_videos = (
            ("--backbone", backbone or None),
            ("--minutes", minutes),
            ("--augmented-copies", augmented_copies),
        )
        for option, value in only_videos:
            if value is not None and not listed.only_videos:
                raise unfit(option, "a data set of features", "a data set of videos")
        if sources and minutes is not None:
            raise exclusive("--backbone", "--minutes")
        recipe = recipe_of(
            config,
            default=_video_recipe(listed, clicks_seen=minutes is not None) if listed.only_videos else None,
            seed=seed,
            objective=objective,
            epochs=epochs,
            center=not no_center,
            adapt=not no_adapt,
            point_update=not no_point_update,
            published=published_head,
            calibrate=not no_calibration,
        )
        if proposals is not None and recipe.center is None:
            raise unfit("--proposals", "a recipe without a center scorer", "a center scorer to train")
        if proposals is not None and listed.only_videos:
            raise unfit("--proposals", "a data set of videos", "a data set of features")
        if listed.only_videos:
            _train_on_videos(
                listed,
                recipe,
                out,
                exporter=exporter,
                backbones=sources or [AS_SHIPPED],
                minutes=minutes,
                copies=augmented_copies,
                resume=resume,
                fresh=fresh,
                device=device,
                threads=threads,
                quiet=quiet,
                json_output=json_output,
                named=named_data(dataset, split, points),
            )
            return
        from ..data.videos import load_training_set
        from ..engine.trainer import train_run

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
            show_run(summary, out, named_data(dataset, split, points))

    return train


def _train_on_videos(
    data: Dataset,
    recipe: TrainConfig,
    out: Path,
    *,
    exporter: Exporter,
    backbones: Sequence[Source],
    minutes: float | None,
    copies: int | None,
    resume: bool,
    fresh: bool,
    device: str,
    threads: int,
    quiet: bool,
    json_output: bool,
    named: str,
) -> None:
    from .train_backbone import check_video_training

    check_video_training(exporter, "punctum train with videos")
    from ..backbone.recipes import backbone_recipe
    from ..videos import train_on_videos

    source = backbones if minutes is None else backbone_recipe(seed=recipe.seed, minutes=minutes)
    with warnings_as_lines(), resumable():
        summary = train_on_videos(
            data,
            recipe,
            source,
            out,
            exporter=exporter,
            resume=resume,
            fresh=fresh,
            device=device,
            quiet=quiet,
            threads=threads,
            copies=copies,
        )
    if data.unlabeled:
        say(
            f"{counted(data.unlabeled, 'video')} without labels left out; label them with punctum label {data.folder}, "
            "or list those in which nothing happens in train.txt (punctum data init)"
        )
    if json_output:
        echo_json(summary)
    elif not quiet:
        if "training" in summary["backbone"]:
            show_backbone(summary["backbone"], out / "backbone")
        if "choice" in summary:
            show_choice(summary["choice"])
        run = summary["locator"]
        counts = f"{counted(run['videos'], 'video')}, {counted(run['clicks'], 'click')}"
        if run["copies"]:
            counts += f", {counted(run['copies'], 'augmented copy', 'augmented copies')} of each video"
        echo(f"{counts}: locator and center scorer in {run['seconds']:.0f} s")
        calibration = run["stages"].get("calibration", {})
        if "folds" in calibration:
            echo(f"  {calibration_line(calibration)}")
            show_unjudged(calibration)
            show_settings(calibration)
        elif not calibration.get("resumed"):
            echo("  not calibrated: scores only rank events, and the bundle has no default minimum score")
        show_suspects(calibration, out, named)
        echo(f"bundle {summary['bundle']} -> {out / 'bundle'}")
        say(f"Next: punctum run {quote(str(out / 'bundle'))} VIDEO")
    for video, lost in summary["lost"].items():
        say(f"warning: {video}: {lost}")


def check_torch(purpose: str) -> None:
    """Raise MissingDependencyError without the libraries that every training needs."""
    from punctum.runtime.errors import MissingDependencyError

    try:
        import safetensors  # noqa: F401
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingDependencyError(error.name or "torch", "train", purpose) from None


def _video_recipe(data: Dataset, *, clicks_seen: bool) -> TrainConfig:
    """The default recipe for the number of clicks in the training videos."""
    from .. import recipes

    points = data.points()
    return recipes.for_videos(sum(len(points.get(video, ())) for video in data.train), clicks_seen=clicks_seen)
