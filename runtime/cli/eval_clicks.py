"""`punctum eval` by clicks: what can be said of a bundle without ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..text.display import amount, counted
from .terminal import cell

if TYPE_CHECKING:
    from rich.console import Console

    from ..bundle.operating_point import MinScore
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


def check_listed(data: Dataset, subset: str) -> None:
    """Raise InputError, which says what is enough, for a data set without the list and without ground truth."""
    from ..errors import InputError

    if data.truth_file.is_file() or (data.test if subset == "test" else data.train):
        return
    raise InputError(
        "list-missing",
        f"{data.folder} lists no {subset} videos",
        required=f"a {subset}.txt with one labeled video per line: their clicks are enough, gt.json is not needed",
        next_step=f"write it with videos that the bundle was not trained on, or label some with `punctum label "
        f"{data.folder}`",
    )


def check_inside(
    data: Dataset, video: str, clicks: Sequence[Point], start_s: float, end_s: float, stride_s: float
) -> None:
    """Raise InputError for a click outside of its video: it would count as one that was not found.

    Args:
        data: The data set.
        video: The video.
        clicks: Its clicks.
        start_s: Where the video begins.
        end_s: Where it ends.
        stride_s: Seconds per snippet; like training, one more counts on both sides.
    """
    from ..datasets.dataset import LATE_CLICK_S
    from ..errors import InputError
    from ..text.display import seconds, shown

    first, last = start_s - stride_s, end_s + max(stride_s, LATE_CLICK_S)
    if wrong := next((point for point in clicks if not first <= point.time_s <= last), None):
        raise InputError(
            "point-outside-video",
            f"Video {shown(video)} has a click at {seconds(wrong.time_s)} s",
            f"{start_s:.3f} to {end_s:.3f} s, the duration of the video",
            f"run `punctum data check` on the data set and correct {data.points_file.name}",
        )


def judge_by_clicks(
    min_score: MinScore,
    data: Dataset,
    events: Mapping[str, Sequence[Event]],
    clicks: Mapping[str, Sequence[Point]],
    media_s: float,
) -> ClickEvaluation:
    """Judge the final events of a bundle at a minimum score."""
    from ..evaluation.clicks import evaluate_clicks

    return evaluate_clicks(
        events,
        clicks,
        data.labels,
        hours=media_s / 3600,
        min_score=min_score,
    )


def print_clicks(record: dict[str, Any], shown: Console, *, per_class: bool) -> None:
    """Print the result: one line for the chosen minimum score, and a table of other minimum scores."""
    from rich.table import Table

    chosen = record["at_minimum_score"]
    found, right = chosen["recall"], chosen["precision"]
    least = "the minimum scores" if chosen["min_score"] is None else f"a score of {chosen['min_score']:g}"
    shown.print(
        f"by clicks, in {counted(record['videos'], 'video')}, {record['hours']:.2g} h: from {least} on, "
        f"{share_text(found)} of {counted(found['of'], 'click')} found, {share_text(right)} of "
        f"{counted(right['of'], 'event')} hold a click, "
        f"{amount(chosen['without_click_per_hour'])} events without a click per hour",
        soft_wrap=True,
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
    rate = amount(row["without_click_per_hour"])
    return name, share_text(row["recall"]), share_text(row["precision"]), rate, f"{row['f1']:.2f}"


def share_text(share: dict[str, Any]) -> str:
    """A share with its 95 % interval."""
    if share["value"] is None:
        return "-"
    return f"{share['value']:.0%} ({share['low']:.0%} to {share['high']:.0%})"


def print_notes(notes: Sequence[str], shown: Console) -> None:
    """Print what a reader has to know of the figures, one line each."""
    for note in notes:
        shown.print(cell(f"note: {note}"), soft_wrap=True)
