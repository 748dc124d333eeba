"""`punctum eval --alignment`: mean scores against shares of right events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def print_reliability(record: dict[str, Any], shown: Console) -> None:
    """Print the calibration error, and score and share of right events of each group."""
    if not record["events"]:
        shown.print("calibration error: not defined without events and actions")
        return
    scores = " ".join(f"{x:.2f}" for x in record["mean_score"])
    shares = " ".join(f"{x:.2f}" for x in record["share_right"])
    shown.print(f"the {record['events']} events with the highest scores, in groups of equal size:", soft_wrap=True)
    shown.print(f"  mean score               {scores}", soft_wrap=True)
    shown.print(f"  share right, tIoU {record['tiou']:.2f}   {shares}", soft_wrap=True)
    if record["error"] is None:
        shown.print("calibration error: not defined, because there are scores below 0 or above 1", soft_wrap=True)
    else:
        exact = f"exact probabilities would give {record['error_if_exact']:.3f} on average"
        number = f"by chance, with {record['events']} events"
        shown.print(f"calibration error: {record['error']:.3f}; {exact} ({number})", soft_wrap=True)
