"""`punctum calibrate`: scores of an existing bundle as probabilities, on footage of the user's own."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer
from punctum.runtime.cli.terminal import echo, echo_json, say
from punctum.runtime.text.display import counted


def calibrate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help='Bundle folder or zip, or "default".')],
    dataset: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET",
            help="Data set, or folder of videos, that the bundle was not trained on, with or without clicks.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Bundle folder to write.")],
    subset: Annotated[
        str | None,
        typer.Option(help="Videos to use: test or train. Default: test, or in a folder without lists all of them."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split folder of the data set, e.g. split_1.")] = None,
    points: Annotated[str, typer.Option(help="Points file: one click per action of these videos.")] = "points.csv",
    no_points: Annotated[
        bool, typer.Option("--no-points", help="Use --actions-per-hour only, even if there are clicks.")
    ] = False,
    actions_per_hour: Annotated[
        float | None, typer.Option(help="Without clicks: how many actions an hour of this footage holds on average.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an existing bundle.")] = False,
    expect_sha256: Annotated[
        str | None,
        typer.Option(
            metavar="DIGEST",
            help="Refuse the bundle unless this is its SHA-256, which `punctum doctor BUNDLE` prints.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Calibrate the scores of a bundle for a camera or site, and set its default minimum score.

    With clicks, an event counts as right if it overlaps the extent of a clicked action, as the bundle estimates it,
    by a tIoU of 0.55. A calibrated bundle keeps its calibration as far as the clicks do not contradict it, so a
    handful is enough. Without clicks, --actions-per-hour says how many events are right.

    Example: punctum calibrate runs/falls/bundle data/other-site --out bundles/other-site

    Example: punctum calibrate runs/falls/bundle data/other-site --no-points --actions-per-hour 2 --out bundles/other
    """
    from punctum.runtime import Bundle
    from punctum.runtime.bundle.writer import save_bundle
    from punctum.runtime.errors import InputError
    from punctum.runtime.files.outputs import check_folder

    from .._names import check_new_folder
    from ..calibrate import FEW, LARGE_SHIFT, calibrate_bundle

    if no_points and points != "points.csv":
        raise InputError("arguments", "`points` has no effect with `no_points`", "one of them", "leave one out")
    check_folder(out, [bundle, dataset], whole=True)
    check_new_folder(out, replace=replace)
    loaded = Bundle.load(bundle, expect_sha256=expect_sha256)
    calibrated = loaded.manifest.calibration is not None
    result, facts = calibrate_bundle(
        loaded,
        dataset,
        subset=subset,
        split=split,
        points=None if no_points else points,
        actions_per_hour=actions_per_hour,
        quiet=as_json,
    )
    save_bundle(result, out, replace=replace)
    if as_json:
        echo_json({"bundle": result.id, "sha256": result.sha256, "calibration": facts})
        return
    where = f"{counted(facts['events'], 'event')} in {facts['hours']:.2g} h of footage"
    if facts["clicks"] is None:
        echo(
            f"{where}, {facts['actions']:.1f} actions by the rate: log-odds shifted by {facts['shift']:+.2f}, "
            f"{facts['expected']:.1f} right events expected ({facts['expected_before']:.1f} before)"
        )
        echo(
            f"the default minimum score stays {facts['min_score']:.2f}; "
            f"{counted(facts['from_min_score'], 'event')} of this footage reach it"
        )
        if abs(facts["shift"]) > LARGE_SHIFT:
            say("warning: the shift is large: check the rate of actions, and that nearly all of them have an event")
    else:
        empty = facts["videos_without_clicks"]
        videos = f"{counted(facts['videos'], 'video')} with {counted(facts['clicks'], 'click')}"
        if empty:
            videos += f" ({empty} without any, as footage in which nothing happens)"
        echo(
            f"{where}, {videos}: on these same videos, from a minimum score of "
            f"{facts['min_score']:.2f} on, recall {facts['recall']:.0%} and precision {facts['precision']:.0%}; on "
            "others it may be worse (punctum eval)"
        )
        if not calibrated and facts["clicks"] < FEW:
            say(
                f"warning: {counted(facts['clicks'], 'click')} for a bundle without calibration; a few dozen are "
                "needed for probabilities that hold elsewhere"
            )
    echo(f"wrote {result.id} to {out}")
    source = "VIDEO" if result.manifest.backbone else "FEATURES.npy"
    say(f"Next: punctum run {quote(str(out))} {source}")
