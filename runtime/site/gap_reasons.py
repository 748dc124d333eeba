"""Reasons of gaps, as the API and the page show them."""

from __future__ import annotations

from typing import Any, Literal, get_args

GapReason = Literal[
    "service-down",
    "camera-absent",
    "frames-lost",
    "overflow",
    "process-restarted",
    "changed",
    "disabled",
    "schedule",
    "removed",
    "unreadable",
    "missing",
]
"""service-down: the service did not run, or had not opened the camera yet. camera-absent: the camera sent nothing, or
its connection broke off. frames-lost: frames were lost on the way, or could not be decoded. overflow: they were not
processed fast enough. process-restarted: the process of the camera was started again. changed, disabled, schedule,
removed: the camera was changed, disabled, outside its schedule, or removed and added again. unreadable: features
could not be read. missing: the source skipped something without giving a reason."""

NO_REASON: GapReason = "missing"
_ALL = get_args(GapReason)
_OF_VIDEO: dict[str, GapReason] = {
    "reconnected": "camera-absent",
    "stall": "camera-absent",
    "stamps-jumped": "frames-lost",
    "skipped": "frames-lost",
    "overflow": "overflow",
}


def reason_of(value: Any) -> GapReason:
    """The reason in a message or a record; `NO_REASON` for everything else."""
    return value if value in _ALL else NO_REASON  # type: ignore[no-any-return]  # one of the literals


def reason_of_video(reason: str) -> GapReason | None:
    """The reason of a `Gap` of a video; None for none."""
    return _OF_VIDEO.get(reason)
