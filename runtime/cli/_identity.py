"""The options --run-id and --start-utc."""

from __future__ import annotations

from ..errors import InputError
from ..events.run_id import check_run_id, new_run_id
from ..events.time_of_day import parse_utc

NEW, NONE, CREATION_TIME = "new", "none", "creation-time"


def run_id_of(given: str | None, *, live: bool) -> str:
    """The run id for the value of --run-id. Raises InputError for an invalid one.

    By default live sources get a new id, since their media time starts over in each run, and recordings get none, since
    their events are the same in each run.
    """
    if given == NEW or (given is None and live):
        return new_run_id()
    if given is None or given == NONE:
        return ""
    if not given:
        raise InputError(
            "run-id", "The run id is empty", "a text, new, or none", "use --run-id none for event ids without a run id"
        )
    check_run_id(given)
    return given


def check_start(start_utc: str | None, recordings: int) -> None:
    """Raises InputError for an invalid time of day, and for one time for several recordings."""
    if start_utc is None or start_utc == CREATION_TIME:
        return
    parse_utc(start_utc)
    if recordings > 1:
        raise InputError(
            "start-utc",
            f"--start-utc {start_utc} cannot apply to {recordings} recordings",
            f"one recording, or --start-utc {CREATION_TIME}",
            "run them one by one",
        )


def start_of(start_utc: str, name: str) -> float:
    """Unix time of media time 0 of a recording. Raises InputError if the file does not contain it."""
    if start_utc != CREATION_TIME:
        return parse_utc(start_utc)
    from ..sources.open import is_video_input
    from ..video.creation import creation_time

    if not is_video_input(name):
        raise InputError(
            "start-utc",
            f"--start-utc {CREATION_TIME} cannot be used with {name}, which is not a video",
            "a video file, or a time of day",
            "set --start-utc 2026-05-01T10:00:00Z",
        )
    return parse_utc(creation_time(name))
