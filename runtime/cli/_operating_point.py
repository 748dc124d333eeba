"""Options that say from which score events count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .options import Panel
from .terminal import say

if TYPE_CHECKING:
    from pathlib import Path

    from ..bundle.chosen import ChosenMinimum
    from ..bundle.operating_point import OperatingPoint
    from ..bundle.reader import Bundle

_PANEL: Panel = {"rich_help_panel": "Which events"}

MinScore = Annotated[
    float | None,
    typer.Option(
        help="Keep events with at least this score, which for a calibrated bundle is a probability; 0 keeps all. "
        "Default: the minimum of the bundle, which has nearly the best expected F1 on the videos of its calibration.",
        show_default=False,
        **_PANEL,
    ),
]
TargetPrecision = Annotated[
    float | None,
    typer.Option(
        help="Instead of a minimum score: at least this share of the events is right on the videos of the "
        "calibration (held-out training videos, or those of punctum calibrate).",
        **_PANEL,
    ),
]
TargetRecall = Annotated[
    float | None,
    typer.Option(
        help="Instead of a minimum score: at least this share of the actions is found on the videos of the "
        "calibration.",
        **_PANEL,
    ),
]
FalseAlarms = Annotated[
    float | None,
    typer.Option(
        "--false-alarms-per-hour",
        help="Instead of a minimum score: at most this many wrong events per hour of media on the videos of the "
        "calibration.",
        **_PANEL,
    ),
]


def announce_scores(bundle: Bundle, path: Path | str) -> None:
    """Say on standard error that scores are no probabilities, or that the bundle is for trying things out."""
    if str(path) == "default":
        say("note: default recognizes motions of drawn shapes, to try punctum out; it does not work on real footage")
    if bundle.manifest.calibration is None:
        say(
            f"note: {bundle.id} is not calibrated: its scores only rank events and are no probabilities, and by "
            "default every event counts. Next: punctum calibrate, or train without --no-calibration"
        )


def choose(point: OperatingPoint, bundle: Bundle, *, quiet: bool = False) -> ChosenMinimum:
    """The minimum score for a bundle. Warns where the footage of its calibration cannot support a target."""
    from ..bundle.chosen import choose_minimum

    found = choose_minimum(point, bundle.manifest, bundle.labels)
    if found.doubt and not quiet:
        say(f"warning: {found.doubt}")
    return found
