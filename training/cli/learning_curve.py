"""`punctum learning-curve`: what more clicks would give."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from punctum.runtime.cli.terminal import cell, console, echo, echo_json, say
from punctum.runtime.text.display import counted, duration

from .common import FRESH_HELP, JSON_HELP, SEED_HELP, THREADS_HELP, unfit, warnings_as_lines

if TYPE_CHECKING:
    from punctum.runtime.datasets.dataset import Dataset
    from punctum.runtime.datasets.truth import Truth

    from ..records import Record

SCHEMA = "punctum.learning-curve/1"
RESULT = "curve.json"


def learning_curve(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Data set folder with features and clicks.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results. A second call resumes there.")],
    shares: Annotated[str, typer.Option(help="Shares of the clicks to train on, comma-separated.")] = "0.25,0.5,1",
    folds: Annotated[int, typer.Option(min=2, help="Number of folds; each is held out once.")] = 3,
    minutes: Annotated[
        float | None, typer.Option(help="Time budget: do not start a run that would probably end later.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="The whole recipe instead of its first network; three times as long.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of locator and center scorer.")] = None,
    config: Annotated[Path | None, typer.Option(help="Recipe file (JSON).")] = None,
    split: Annotated[str | None, typer.Option(help="Split folder in the data set, e.g. split_1.")] = None,
    points: Annotated[str, typer.Option(help="Points file in the data set.")] = "points.csv",
    train_list: Annotated[str, typer.Option(help="List of training videos.")] = "train.txt",
    seed: Annotated[int | None, typer.Option(min=0, help=SEED_HELP)] = None,
    threads: Annotated[int, typer.Option(min=0, help=THREADS_HELP)] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help=FRESH_HELP)] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Estimate what more clicks would give.

    Trains small runs on parts of the training videos, judges them on training videos held out (by clicks, and by
    intervals where gt.json has the training videos), and continues the curve to twice the clicks, for each class with
    enough clicks. States first how many runs it will train. Ctrl-C loses nothing: a second call resumes.

    Example: punctum learning-curve data/gtea --split split_1 --out curves/gtea --minutes 20
    """
    from punctum.runtime.datasets.dataset import Dataset
    from punctum.runtime.errors import InputError
    from punctum.runtime.files.outputs import check_folder

    from .. import recipes
    from .recipe_options import recipe_of
    from .train import check_torch

    check_torch("punctum learning-curve")
    parts = _shares(shares)
    if minutes is not None and not minutes > 0:
        raise InputError("option", f"`minutes` is {minutes}", "more than 0", "change `minutes`")
    out = check_folder(out, [dataset])
    open_data = partial(Dataset.open, dataset, split=split, points=points, train_list=train_list)
    if open_data(need_features=False).only_videos:
        raise unfit(
            "punctum learning-curve",
            "a data set of videos",
            required="features",
            next_step=f"train on the videos (punctum train {dataset} --out RUN), and give their features: RUN/data",
        )
    opened = open_data()
    recipe = recipe_of(config, seed=seed, epochs=epochs, calibrate=False)
    if not full:
        recipe = recipes.with_one_network(recipe)
    from ..confidence.curve import learning_curve as curve_of
    from ..data.videos import load_training_set
    from ..engine.learning_curve import finished, plans, remaining, run_all
    from ..engine.provenance import describe
    from ..engine.run_folder import prepare, sole_writer
    from ..engine.stop import TrainingInterrupted
    from ..records import write_json

    data = load_training_set(opened, seed=recipe.seed)
    todo = plans(data, parts, folds, seed=recipe.seed)
    if not todo:
        raise InputError(
            "curve-videos",
            f"Fewer than two training videos of {data.name} have clicks, so that none can be held out",
            required="at least two training videos with clicks",
            next_step="click more videos",
        )
    record = {**describe(data, recipe, None), "schema": SCHEMA, "folds": folds}
    with sole_writer(out):
        prepare(
            out, record, files=(RESULT,), compared=("config", "labels", "provenance", "folds"), resume=True, fresh=fresh
        )
        every = sum(len(sample.clicks) for sample in data.samples)
        cost = sum(plan.clicks for plan in todo) / every
        if not quiet:
            clicks = [plan.clicks for plan in todo]
            earlier = finished(todo, out)
            left = remaining(todo, earlier)
            say(
                f"{counted(len(todo), 'run')} ({counted(len(parts), 'part')}, "
                f"{counted(len({p.fold for p in todo}), 'fold')}) on {min(clicks)} to {max(clicks)} "
                f"of {every} clicks: as much training as {cost:.1f} runs on all of them. "
                + _progress(len(earlier), left)
            )
        try:
            with warnings_as_lines():
                results = run_all(
                    todo,
                    recipe,
                    out,
                    truth=_truth(opened),
                    threads=threads,
                    budget_s=None if minutes is None else 60 * minutes,
                    say=(lambda text: None) if quiet else say,
                )
        except TrainingInterrupted as error:
            raise TrainingInterrupted(
                "interrupted", f"{out} holds the runs that are finished", "", "call again with the same `out` to go on"
            ) from error
        classes = [sum(int((s.clicks.label == c).sum()) for s in data.samples) for c in range(len(data.labels))]
        curve = curve_of(results, data.labels, classes, planned={plan.share for plan in todo})
        curve = {
            "dataset": data.name,
            "split": split,
            "runs": len(results),
            "runs_left": len(todo) - len(results),
            **curve,
        }
        left = remaining(todo, results)
        if left:
            curve |= {"seconds_of_next_run": round(left[0], 1), "seconds_left": round(sum(left), 1)}
        write_json(out / RESULT, {"schema": SCHEMA, **curve})
    if json_output:
        echo_json(curve)
    else:
        _print(curve, out)
        if left:
            echo(_left(left, out, minutes))


def _shares(text: str) -> list[float]:
    from punctum.runtime.errors import InputError

    try:
        found = sorted({float(part) for part in text.split(",")})
    except ValueError:
        found = []
    if not found or not all(0 < share <= 1 for share in found):
        raise InputError(
            "curve-shares", f"`shares` is {text!r}", "numbers above 0, at most 1, such as 0.25,0.5,1", "change `shares`"
        )
    return found


def _truth(data: Dataset) -> Truth | None:
    """Ground truth of the training videos; None where gt.json does not have them all."""
    from punctum.runtime.errors import InputError

    if not data.truth_file.is_file():
        return None
    try:
        return data.truth("train")
    except InputError as error:
        if error.code == "truth-missing":
            return None
        raise


def _print(curve: Record, out: Path) -> None:
    from rich.table import Table

    from ..confidence.curve import ENOUGH

    shown = console()
    table = Table(title="accuracy on held-out training videos, by number of clicks", title_justify="left")
    for name in ("clicks", "runs", "AP by clicks", "best F1 by clicks", "mAP 0.1:0.7"):
        table.add_column(name, justify="right")
    for p in curve["points"]:
        row = (f"{p['clicks']:.0f}", str(p["runs"]), _three(p["ap"]), _three(p["f1"]), _three(p["map"]))
        table.add_row(*row)
    shown.print(table)
    for key, name in (("ap", "AP by clicks"), ("map", "mAP")):
        found = curve[key]
        if found is not None:
            certain = ""
            if "gain_low" in found:
                certain = f"; the single folds say {found['gain_low']:+.3f} to {found['gain_high']:+.3f}"
            echo(
                f"{name}: about {found['now']:.3f} with all {curve['clicks']} clicks, and {found['twice']:.3f} with "
                f"twice as many ({found['twice'] - found['now']:+.3f}{certain})"
            )
    if curve["ap"] is None:
        echo("no estimate: the curve needs at least two numbers of clicks")
    if curve["classes"]:
        table = Table(title="by class: AP with all clicks and with twice as many", title_justify="left")
        table.add_column("class")
        for name in ("clicks", "now", "twice", "gain"):
            table.add_column(name, justify="right")
        rows = sorted(curve["classes"].items(), key=lambda item: item[1]["now"] - item[1]["twice"])
        for label, each in rows:
            gain = each["twice"] - each["now"]
            table.add_row(cell(label), str(each["clicks"]), _three(each["now"]), _three(each["twice"]), f"{gain:+.3f}")
        shown.print(table)
    if few := curve["too_few"]:
        listed = ", ".join(f"{label} ({number})" for label, number in few.items())
        echo(f"no estimate for classes with fewer than {ENOUGH} clicks: {listed}")
    echo("AP by clicks is lenient (an event counts if it holds a click); mAP by intervals is lower")
    if not curve["complete"]:
        echo("no fold has all its runs yet: points of different videos are hardly comparable, and estimates are rough")
    elif curve["folds"] == 1 and curve["ap"] is not None:
        echo("only one fold has all its runs, so that nothing shows how far the estimates can be trusted")


def _progress(earlier: int, left: list[float]) -> str:
    if not earlier:
        return "How long that takes is known after the first run"
    return f"{earlier} of them done before; {f'about {duration(sum(left))} for the others' if left else 'none is left'}"


def _left(left: list[float], out: Path, minutes: float | None) -> str:
    """What is left to do, and the budget with which a further call goes on: less would start no run at all."""
    runs, rest = counted(len(left), "run"), f"about {duration(sum(left))} for all"
    if minutes is not None and left[0] > 60 * minutes:
        # A margin, because the prediction of the next call is the same, and the call itself takes time.
        enough = math.ceil(1.1 * left[0] / 60)
        return (
            f"{runs} left, {rest}: the next needs about {duration(left[0])}, more than --minutes {minutes:g}. "
            f"Repeat the command with --out {out} and --minutes {enough} or more"
        )
    return f"{runs} left for lack of time, {rest}: repeat the command with the same --out {out} to go on"


def _three(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
