"""Events of punctum: JSON Lines, and the Parquet of `punctum score`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import InputError
from ..events.event import SCHEMA, Event
from ..events.validate import check_numbers
from ._model import Mark, Timelines, counted, gather
from ._options import ReadOptions, Source, WriteOptions, Written

CONVERTED = "converted"  # bundle id of events that were not made by a bundle
_MAX_NUMBER = 1e15


def read_events(source: Source, options: ReadOptions) -> Timelines:
    """Read final events, one per line. Provisional ones are skipped and counted."""
    rows, streams, early, again = [], [], 0, 0
    seen: set[str] = set()  # a resumed stream may repeat lines
    for number, line in enumerate(source.text().split("\n"), 1):
        if not line.strip():
            continue
        if line in seen:
            again += 1
            continue
        seen.add(line)
        where = f"{source.name} line {number}"
        try:
            event = Event.from_json(line)
            mark = _mark(event)
            streams.append(event.stream)
            if event.phase != "final":
                early += 1
                continue
            rows.append((where, mark))
        except InputError as error:
            raise source.wrong(f"line {number}: {error.given}", f"one event per line, schema {SCHEMA}") from None
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise source.wrong(f"line {number}: {error}", f"one event per line, schema {SCHEMA}") from None
    left = f"left out: {counted(early, 'revision')} before the final one (open, update) or retracted"
    notes = [left] if early else []
    notes += [f"left out: {counted(again, 'line')} seen before"] if again else []
    return gather(rows, videos=streams, notes=notes)


def write_events(lines: Timelines, options: WriteOptions) -> Written:
    """Write one final event per line."""
    return Written("".join(e.to_json() + "\n" for e in _events(lines)), empty_videos(lines), _assumed(lines))


def read_parquet(path: Path) -> Timelines:
    """Read a folder of `punctum score`, or a Parquet file of events. Raises InputError, MissingDependencyError."""
    from ..archive.tables import events_of, load_pyarrow

    pa = load_pyarrow()
    try:
        if path.is_dir():
            return _archive(path)
        table = pa.parquet.read_table(path, use_threads=False)
        found = [(f"{path} row {row}", _mark(event)) for row, (_, event) in enumerate(events_of(table), 1)]
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise InputError(
            "convert-form",
            f"{path} is not Parquet of events ({error})",
            required="results of `punctum score`",
            next_step="check the file",
        ) from None
    return gather(found)


def _archive(folder: Path) -> Timelines:
    from ..archive.results import read_events as events_of_archive
    from ..archive.results import read_items

    items = read_items(folder)
    failed = sum(item["status"] == "failed" for item in items)
    notes = [f"left out: {counted(failed, 'recording')} that could not be scored"] if failed else []
    rows: Iterator[tuple[str, Mark]] = (
        (f"{folder}: {name}", _mark(event)) for name, event in events_of_archive(folder)
    )
    return gather(rows, videos=[str(i["stream"]) for i in items if i["status"] != "failed"], notes=notes)


def write_parquet(lines: Timelines, options: WriteOptions) -> Written:
    """Write one file with the columns of `punctum score`; the item is the name of the recording."""
    from ..archive.tables import EventRows, events_schema, load_pyarrow, to_bytes

    pa = load_pyarrow()
    rows: dict[str, EventRows] = {}
    degraded = 0
    for event in _events(lines):
        rows.setdefault(event.stream, EventRows(event.stream)).add([event])
        degraded += event.degraded
    batches = [batch for one in rows.values() for batch in one.batches()]
    table = pa.Table.from_batches(batches, schema=events_schema()).unify_dictionaries()
    lost = (f"that {counted(degraded, 'event')} had reduced scoring",) if degraded else ()
    return Written(to_bytes(table), (*empty_videos(lines), *lost), _assumed(lines))


def event_losses(marks: Iterable[Mark]) -> tuple[str, ...]:
    """What formats with class, times and confidence only cannot represent of events."""
    events = [mark.event for mark in marks if mark.event is not None]
    if not events:
        return ()
    lost = ["identity, bundle and delay of events"]
    marred = sum(e.interrupted or e.degraded or e.dropped > 0 for e in events)
    if marred:
        lost.append(f"that {counted(marred, 'event')} was interrupted, lost frames, or had reduced scoring")
    return tuple(lost)


def _mark(event: Event) -> Mark:
    """The mark of an event. Raises TypeError and ValueError for invalid fields."""
    event.check_types()
    check_numbers(event, limit=_MAX_NUMBER)
    times = float(event.start), float(event.end), float(event.score)
    return Mark(event.stream, event.label, times[0], times[1], times[2], event)


def _events(lines: Timelines) -> Iterator[Event]:
    for number, mark in enumerate(lines.marks):
        if mark.event is not None:
            yield mark.event
            continue
        end = mark.start if mark.end is None else mark.end
        yield Event(
            stream=mark.video,
            id=f"{mark.video}/{mark.label}/{number}",
            revision=0,
            phase="final",
            label=mark.label,
            score=1.0 if mark.score is None else mark.score,
            start=mark.start,
            end=end,
            emitted_at=end,
            delay_s=0.0,
            bundle=CONVERTED,
        )


def _assumed(lines: Timelines) -> tuple[str, ...]:
    new = sum(mark.event is None for mark in lines.marks)
    notes = (f"new identities, no delay and the bundle {CONVERTED!r} for {counted(new, 'event')}",) if new else ()
    return (*notes, *no_confidence(lines))


def no_confidence(lines: Timelines) -> tuple[str, ...]:
    """An assumption of formats whose entries must have a score."""
    unscored = sum(mark.score is None for mark in lines.marks)
    return (f"confidence 1 for {counted(unscored, 'action')} without any",) if unscored else ()


def empty_videos(lines: Timelines) -> tuple[str, ...]:
    """A loss of formats that list annotations only: videos without any."""
    empty = len(set(lines.videos) - {mark.video for mark in lines.marks})
    return (f"the names of {counted(empty, 'video')} without annotations",) if empty else ()
