"""What the training commands share: option texts, refusals, and what they print."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Any

from punctum.runtime.cli.terminal import echo, say
from punctum.runtime.errors import InputError
from punctum.runtime.text.display import counted, some

from ..records import Record

SEED_HELP = "Random seed; the same --seed and --threads give the same weights on the same machine [0]."
THREADS_HELP = "CPU threads of torch; 0: one thread or all usable cores, whichever makes the first steps faster."
RESUME_HELP = "Continue an interrupted run."
FRESH_HELP = "Discard what the output folder holds."
MINUTES_HELP = (
    "upper bound of the backbone's training, in minutes that one current core would take. It is converted to steps by "
    "the size of the network, so that the result does not depend on the machine. Footage and clicks bound it, too: "
    "at most 6 passes over the footage and 3 steps per click [6]."
)
COPIES_HELP = (
    "With videos: copies of each video with other light, noise and compression, on which the networks are trained as "
    "well. Each takes as long as the features [4 for the shipped backbone with fewer than 200 clicks in at most 1 hour "
    "of video, else 0]."
)
QUIET_HELP = "No progress and no summary."
JSON_HELP = "Print the summary as JSON."


def exclusive(first: str, second: str) -> InputError:
    """The error for two options that exclude each other."""
    return InputError(
        "flags-exclusive", f"{first} and {second} exclude each other", required="one of them", next_step="leave one out"
    )


def unfit(option: str, given: str, required: str, next_step: str | None = None) -> InputError:
    """The error for an option or command that does not apply to the data set or recipe."""
    return InputError(
        "flags-exclusive",
        f"{option} does not apply to {given}",
        required=required,
        next_step=next_step or f"leave {option} out",
    )


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print warnings of training as single lines on standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = _say_warning
        yield


@contextmanager
def resumable() -> Iterator[None]:
    """Say how an interrupted command continues, where no stage that was interrupted says so itself."""
    try:
        yield
    except KeyboardInterrupt:
        say("nothing is lost: the same command with --resume continues")
        raise


def _say_warning(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
    say(f"warning: {message}")


def show_run(summary: Record, out: Path, data: str) -> None:
    """Print the summary of a run: one line for the run, one per stage. data: how diagnose is told the data set."""
    counts = f"{counted(summary['videos'], 'video')}, {counted(summary['clicks'], 'click')}"
    echo(f"{counts}, {summary['seconds']:.1f} s -> {out}")
    for name, stage in summary["stages"].items():
        if "steps" in stage:
            echo(f"  {name}: {counted(stage['steps'], 'step')}, loss {stage['loss']:.4f}, {stage['seconds']:.1f} s")
        elif name == "calibration" and "folds" in stage:
            echo(f"  {calibration_line(stage)}")
            show_unjudged(stage)
            show_settings(stage)
            show_suspects(stage, out, data)
        else:
            echo(f"  {name}: already trained")
    if "calibration" not in summary["stages"]:
        echo("  not calibrated: scores only rank events, and a bundle has no default minimum score")
    say(f"Next: punctum export {quote(str(out))} --out BUNDLE")


def calibration_line(facts: Record) -> str:
    """One line about what a bundle's scores are worth, from held-out training videos."""
    if not facts.get("calibrated") and facts.get("events"):
        return (
            f"calibration: none, because {facts['right']} of {counted(facts['events'], 'event')} on held-out training "
            "videos are right, and it needs right and wrong ones; scores only rank events"
        )
    if not facts.get("calibrated"):
        return "calibration: none, for lack of clicks in at least two videos; scores only rank events"
    head = (
        f"calibration: {counted(facts['folds'], 'fold')}; on held-out training videos, a minimum score of "
        f"{facts['min_score']:.2f} "
    )
    if facts["precision"] is None:
        return head + "shows no event"
    return head + (
        f"gives recall {facts['recall']:.0%}, precision {facts['precision']:.0%}. An event is right here if it "
        "overlaps the pseudo segment of a click by tIoU 0.55, which is stricter than the clicks alone (punctum "
        "diagnose). Measure on other videos with punctum eval"
    )


def show_unjudged(facts: Record) -> None:
    """Print the classes that calibration could not judge, if there are any."""
    if names := facts.get("unjudged_classes"):
        which = "the class" if len(names) == 1 else "each of the classes"
        echo(
            f"  not judged: {some(names, 5)}. All clicks of {which} are in one video or group, and were held out at "
            "once: the scores follow the other classes, and the figures leave it out. Click it elsewhere, too"
        )


def show_settings(facts: Record) -> None:
    """Print which settings of post-processing were compared on held-out videos, and which ones are used."""
    compared = [row for row in facts.get("post_processing", ()) if row.get("accuracy") is not None]
    used = next((row for row in compared if row["chosen"]), None)
    if used is None or len(compared) < 2:
        return
    if used is compared[0]:
        others = counted(len(compared) - 1, "other setting")
        echo(f"  post-processing: that of the recipe; on held-out videos, none of {others} was clearly better")
        return
    echo(
        f"  post-processing: boundary adaptation {'on' if used['adapt'] else 'off'}, exponents of class probability "
        f"{used['class_probability']:g} and contrast {used['contrast']:g}; on held-out videos better than that of the "
        f"recipe (mAP against pseudo segments {used['gain']:+.3f})"
    )


def show_suspects(facts: Record, out: Path, data: str) -> None:
    """Print how many labels may be wrong, if there are any, and the command that lists them."""
    if number := facts.get("suspects"):
        which = "label is" if number == 1 else "labels are"
        echo(
            f"  {number} {which} contradicted by a confident event and may be wrong; look at the first ones of "
            f"punctum diagnose {data} --run {quote(str(out))}"
        )


def named_data(dataset: Path, split: str | None, points: str) -> str:
    """The data set as arguments of another command."""
    words = [str(dataset)]
    words += [] if split is None else ["--split", split]
    words += [] if points == "points.csv" else ["--points", points]
    return " ".join(map(quote, words))


def show_backbone(summary: Record, out: Path) -> None:
    """Print the summary of a trained backbone in two lines."""
    trained = summary["training"]
    counts = ", ".join(counted(summary[f"{thing}s"], thing) for thing in ("video", "snippet", "click"))
    echo(
        f"{counts}: {counted(trained['steps'], 'step')} in {trained['seconds']:.0f} s, "
        f"loss {trained['loss']:.3f} -> {out}"
    )
    size = f"{summary['bytes'] / 1e6:.2f} MB"
    echo(f"  {counted(summary['dim'], 'feature')} every {summary['stride_s']:g} s, {size}")


def show_choice(record: Record) -> None:
    """Print how several backbones compare, and which one is used."""
    rows = record["candidates"]
    if any(row["accuracy"] is None for row in rows):
        why = "for lack of a class with clicks in at least two videos"
        echo(f"backbones not compared, {why}: {record['chosen']} is used")
        return
    echo("backbones by the clicks of held-out videos (mAP against pseudo segments):")
    for row in rows:
        line = f"  {row['name']}: {row['accuracy']:.3f}"
        if row is not rows[0]:
            line += f" ({row['gain']:+.3f}"
            if row["least_gain"] is not None:
                line += f", 80 % interval {row['least_gain']:+.3f} to {row['most_gain']:+.3f}"
            line += ")"
        echo(line + (" <- used" if row["name"] == record["chosen"] else ""))
