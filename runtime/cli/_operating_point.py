"""Options that say from which score events count."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Panel

_PANEL: Panel = {"rich_help_panel": "Which events"}

MinScore = Annotated[
    float | None,
    typer.Option(
        help="Keep events with at least this score, which for a calibrated bundle is a probability; 0 keeps all. "
        "Default: the minimum of the bundle, for each class that with the best F1 on its training videos.",
        show_default=False,
        **_PANEL,
    ),
]
TargetPrecision = Annotated[
    float | None,
    typer.Option(help="Instead of a minimum score: at least this share of the events should be right.", **_PANEL),
]
TargetRecall = Annotated[
    float | None,
    typer.Option(help="Instead of a minimum score: at least this share of the actions should be found.", **_PANEL),
]
FalseAlarms = Annotated[
    float | None,
    typer.Option(
        "--false-alarms-per-hour",
        help="Instead of a minimum score: at most this many wrong events per hour of media.",
        **_PANEL,
    ),
]
