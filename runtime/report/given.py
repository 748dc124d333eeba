"""True actions and recorded events that a report shows beside what the bundle finds."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..events.event import Event
from ..events.validate import MAX_S, PHASES, check_numbers, check_phase
from ..text.display import some
from ._model import Action, check_segment


def read_actions(path: str | Path, video: str, labels: tuple[str, ...]) -> tuple[Action, ...]:
    """Read the true actions of one video from a file in ActivityNet format. Raises InputError."""
    from ..datasets.dataset import read_truth

    truth = read_truth(Path(path), (video,), labels)
    return tuple(Action(labels[c], float(a), float(b)) for c, (a, b) in zip(truth.label, truth.segments, strict=True))


def read_events(path: str | Path, stream: str, labels: tuple[str, ...]) -> tuple[Event, ...]:
    """Read the events of one stream from JSON Lines, all phases. The name of a file's only stream does not matter.

    Raises:
        InputError: A line is invalid, or the file has several streams and none of this name.
    """
    from ..datasets.tables import read_input

    path = Path(path)
    text = read_input(path, "events-unreadable", required="JSON Lines of events", parameter="events")
    streams: dict[str, list[Event]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            event = Event.from_json(line)
            _check_event(event, labels)
        except InputError as error:
            raise InputError(
                error.code, f"{path} line {number}: {error.given}", error.allowed, "fix the line, or record again"
            ) from None
        streams.setdefault(str(event.stream), []).append(event)
    if stream in streams:
        return tuple(streams[stream])
    if len(streams) == 1:
        return tuple(next(iter(streams.values())))
    if not streams:
        return ()
    names = ", ".join(sorted(streams)[:5])
    raise InputError(
        "events-other-stream",
        f"{path} contains {len(streams)} streams ({names}), and none is {stream!r}",
        required="a file with a stream that has the name of the input",
        next_step="rename the input to the name of its stream",
    )


def _check_event(event: Event, labels: tuple[str, ...]) -> None:
    try:
        check_numbers(event)
        check_phase(event)
    except ValueError as error:
        raise InputError(
            "event-invalid",
            str(error),
            required=f"numbers from -{MAX_S:g} to {MAX_S:g}, and one of the phases {', '.join(PHASES)}",
        ) from None
    check_segment(event.start, event.end, event.score, f"event {event.id}")
    if event.label not in labels:
        raise InputError("label-unknown", f"The bundle has no class {event.label!r}", some(labels))
