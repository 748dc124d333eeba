"""What --run-id and --start-utc mean."""

from __future__ import annotations

from ..errors import InputError
from ..events.run_id import check_run_id, new_run_id
from ..events.time_of_day import parse_utc

NEW, NONE, CREATION_TIME = "new", "none", "creation-time"


def run_id_of(given: str | None, *, live: bool) -> str:
    """The run id of a run. Without one a live source gets a new one: its media time begins anew with every run, while
    a recording's events are the same each time. Raises InputError for what cannot be one."""
    if given == NEW or (given is None and live):
        return new_run_id()
    if given is None or given == NONE:
        return ""
    if not given:
        raise InputError("run-id", "an empty run id", "a text, new, or none", "set --run-id none for ids without one")
    check_run_id(given)
    return given


def check_start(start_utc: str | None, recordings: int) -> None:
    """Raises InputError where one time of day cannot be right for all recordings, or is none."""
    if start_utc is None or start_utc == CREATION_TIME:
        return
    parse_utc(start_utc)
    if recordings > 1:
        raise InputError(
            "start-utc",
            f"--start-utc {start_utc} for {recordings} recordings",
            f"one recording, or --start-utc {CREATION_TIME}",
            "run them one by one",
        )


def start_of(start_utc: str, name: str) -> float:
    """Unix time of media time 0 of a recording. Raises InputError where it does not say."""
    if start_utc != CREATION_TIME:
        return parse_utc(start_utc)
    from ..sources.open import is_video_input
    from ..video.creation import creation_time

    if not is_video_input(name):
        raise InputError(
            "start-utc",
            f"--start-utc {CREATION_TIME} with {name}, which is no video",
            "a video file, or a time of day",
            "set --start-utc 2026-05-01T10:00:00Z",
        )
    return parse_utc(creation_time(name))
