"""`punctum eval` by clicks: what can be said of a bundle without ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..text.display import counted
from .terminal import cell

if TYPE_CHECKING:
    from rich.console import Console

    from ..bundle.reader import Bundle
    from ..datasets.dataset import Dataset, Point
    from ..evaluation.clicks import ClickEvaluation
    from ..events.event import Event


def clicked_videos(data: Dataset, subset: str) -> dict[str, list[Point]]:
    """The clicks of the listed videos of a subset; empty if there is no points file or no click in them."""
    if not data.points_file.is_file():
        return {}
    listed = data.test if subset == "test" else data.train
    points = data.points()
    clicks = {video: points.get(video, []) for video in listed}
    return clicks if any(clicks.values()) else {}


def judge_by_clicks(
    bundle: Bundle,
    data: Dataset,
    events: Mapping[str, Sequence[Event]],
    clicks: Mapping[str, Sequence[Point]],
    media_s: float,
) -> ClickEvaluation:
    """Judge the final events of a bundle at its own minimum score."""
    from ..bundle.operating_point import OperatingPoint
    from ..evaluation.clicks import evaluate_clicks

    return evaluate_clicks(
        events,
        clicks,
        data.labels,
        hours=media_s / 3600,
        min_score=OperatingPoint().of(bundle.manifest.calibration, bundle.labels),
    )


def print_clicks(record: dict[str, Any], shown: Console, *, per_class: bool) -> None:
    """Print the result: one line for the bundle's minimum score, and a table of other minimum scores."""
    from rich.table import Table

    chosen = record["at_minimum_score"]
    found, right = chosen["recall"], chosen["precision"]
    least = "the bundle's minimum scores" if chosen["min_score"] is None else f"a score of {chosen['min_score']:g}"
    shown.print(
        f"by clicks, in {counted(record['videos'], 'video')}, {record['hours']:.2g} h: from {least} on, "
        f"{_share(found)} of {counted(found['of'], 'click')} found, {_share(right)} of {counted(right['of'], 'event')} "
        f"hold a click, {chosen['without_click_per_hour']:.3g} events without a click per hour"
    )
    if empty := record["videos_without_clicks"]:
        shown.print(
            f"{counted(empty, 'video has', 'videos have')} no click: every event there counts as one without a click. "
            "Take videos out of the list whose actions nobody has clicked"
        )
    table = Table(title="minimum score, judged by clicks (95 % intervals)")
    for name in ("", "clicks found", "events with a click", "without a click per hour", "F1"):
        table.add_column(name, justify="right")
    for row in record["table"]:
        table.add_row(*_cells(f"{row['min_score']:.2f}", row))
    if per_class:
        for label, row in record["per_class"].items():
            table.add_row(*_cells(cell(label), row))
    shown.print(table)


def _cells(name: Any, row: dict[str, Any]) -> tuple[Any, ...]:
    rate = f"{row['without_click_per_hour']:.3g}"
    return name, _share(row["recall"]), _share(row["precision"]), rate, f"{row['f1']:.2f}"


def _share(share: dict[str, Any]) -> str:
    if share["value"] is None:
        return "-"
    return f"{share['value']:.0%} ({share['low']:.0%} to {share['high']:.0%})"
