"""Tables of actions (class, video_id, start_s, end_s, score) or clicks (class, video_id, time_s), many videos in one.

Read are tables separated by commas, semicolons or tabs, with decimal commas, clock times, milliseconds or frames, and
with the column names of other tools; EPIC-KITCHENS is one of them (class: verb and noun). A table with a column of
clicks is one of clicks: its start and stop columns, which published points files carry, are ground truth and are never
read (`datasets.tables`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..text.delimited import Table, TableError, column_key, read_table
from ..text.names import media_path
from ..text.numbers import Style, is_timecode
from ._events import empty_videos, event_losses
from ._model import Mark, Timelines, counted, gather
from ._naming import Origin, settle
from ._options import ReadOptions, Source, WriteOptions, Written

_LABEL: tuple[str, ...] = (
    "class",
    "class_name",
    "label",
    "action",
    "action_name",
    "activity",
    "behavior",
    "behaviour",
    "annotation",
)
_LABEL += ("trial_type",)
_VIDEO = ("video_id", "video", "video_name", "video_file", "filename", "file_name", "media", "media_file", "file")
_VERB, _NOUN = ("verb",), ("noun",)
_TIME = ("time_s", "time_ms")
_FRAME = ("point", "frame")
_LOOSE_TIME = ("time", "timestamp", "seconds")  # of clicks, where no column says start
_START: tuple[str, ...] = (
    "start_s",
    "start",
    "t_start",
    "start_time",
    "start_timestamp",
    "begin",
    "begin_s",
    "begin_time",
    "onset",
)
_START += ("start_ms", "begin_ms")
_END: tuple[str, ...] = (
    "end_s",
    "end",
    "t_end",
    "stop_s",
    "stop",
    "end_time",
    "stop_time",
    "end_timestamp",
    "stop_timestamp",
)
_END += ("end_ms", "stop_ms")
_LENGTH = ("duration_s", "duration", "duration_ms")
_START_FRAME = ("start_frame", "begin_frame")
_END_FRAME = ("stop_frame", "end_frame")
_SCORE = ("score", "confidence")
_RENAME = (
    "rename the columns, or name that of the class with `label_column` (and set `video` if all rows are of one video); "
    "set `source_form` if it is no such table"
)
_ALLOWED = "columns class, video_id and time_s (clicks), or class, video_id, start_s, end_s and perhaps score (actions)"


@dataclass(frozen=True, slots=True)
class _Columns:
    """Columns of a table. times: of a click, or start and end; lasting: the second one is a duration."""

    label: tuple[int, ...]
    video: int | None
    times: tuple[int, ...]
    frames: bool
    lasting: bool
    score: int | None
    notes: tuple[str, ...]


def looks_like_csv(table: Table) -> bool:
    """Whether the header names classes and times."""
    try:
        columns = _columns(table, None)
    except (TableError, ValueError):
        return False
    return bool(columns.label)


def read_csv(source: Source, options: ReadOptions) -> Timelines:
    """Clicks or actions, by the header."""
    try:
        table = read_table(source.text())
        columns = _columns(table, options.label_column)
        style = table.style(*columns.times, columns.score)
    except TableError as error:
        raise source.wrong(str(error), "a table with one header line") from None
    except ValueError as error:
        raise source.wrong(f"line {table.line} {error} (it has: {table.written})", _ALLOWED, _RENAME) from None
    if columns.video is None and options.video is None:
        raise source.wrong(
            f"line {table.line} names no column of videos (it has: {table.written})",
            _ALLOWED,
            "rename the column with the video, or set `video` if all rows are of one video",
        )
    if columns.video is not None and options.video is not None:
        raise source.wrong("`video` is set, but the table has a column of videos", "one of the two")
    for row in table.rows:
        if row.problem:
            raise source.wrong(
                f"line {row.line} has {row.problem}", "one cell per column, quoted if it contains commas"
            )
    origins = [_origin(row.cell(columns.video) if options.video is None else options.video) for row in table.rows]
    names = settle(source.name, origins, options.same_video)
    unit = tuple(0.001 if column_key(table.header[i]).endswith("_ms") else 1.0 for i in columns.times)

    def read() -> Iterator[tuple[str, Mark]]:
        for row, name in zip(table.rows, names, strict=True):
            where = source.at(f"line {row.line}")
            label = " ".join(filter(None, (row.cell(i) for i in columns.label)))
            cells = [row.cell(i) for i in columns.times]
            rate = options.rates.known(name) if any(map(is_timecode, cells)) else None
            try:
                times = [_time(cell, style, columns, rate) * u for cell, u in zip(cells, unit, strict=True)]
                written = row.cell(columns.score)
                score = style.number(written) if written else None
            except ValueError as error:
                raise source.wrong(f"line {row.line}: {error}", _ALLOWED) from None
            if columns.frames:
                rate = options.rates.need(name or "a video", where)
                times = [t / rate for t in times]
            if columns.lasting:
                times[1] += times[0]
            yield where, Mark(name, label, times[0], times[1] if len(times) > 1 else None, score)

    rows = list(read())
    notes = [*columns.notes, *_shortened(origins)]
    if odd := sum(mark.score is not None and not 0 <= mark.score <= 1 for _, mark in rows):
        notes.append(f"confidence outside 0 to 1: of {counted(odd, 'annotation')}")
    return gather(rows, notes=notes)


def _columns(table: Table, label_column: str | None) -> _Columns:
    """Raises ValueError for a table without what is needed, TableError for two columns of one name."""
    find: Callable[..., int | None] = table.column
    label: tuple[int, ...] = ()
    notes: list[str] = []
    if label_column is not None:
        if (chosen := find(label_column)) is None:
            raise ValueError(f"has no column {label_column!r}, which `label_column` names")
        label = (chosen,)
    elif (named := find(*_LABEL)) is not None:
        label = (named,)
    elif (verb := find(*_VERB)) is not None and (noun := find(*_NOUN)) is not None:
        label = (verb, noun)
        notes.append("classes are made of verb and noun (`label_column` for another one)")
    click, start, end = find(*_TIME), find(*_START), find(*_END)
    frames = lasting = False
    if click is None:
        click = find(*_FRAME)
        frames = click is not None
    times: tuple[int, ...] = ()
    if click is not None:
        times = (click,)
        if any(find(name) is not None for name in (*_START, *_END, *_START_FRAME, *_END_FRAME)):
            notes.append("left out: start and stop columns beside clicks, which are ground truth")
    elif start is not None and end is not None:
        times = (start, end)
    elif start is not None and (length := find(*_LENGTH)) is not None:
        times, lasting = (start, length), True
    elif (first := find(*_START_FRAME)) is not None and (last := find(*_END_FRAME)) is not None:
        times, frames = (first, last), True
    elif start is None and end is None and (loose := find(*_LOOSE_TIME)) is not None:
        times = (loose,)
    lacking = [what for what, there in (("the class", label), ("times", times)) if not there]
    if lacking:
        raise ValueError(f"has no column that is known for {' or '.join(lacking)}")
    score = find(*_SCORE) if len(times) > 1 else None
    return _Columns(label, find(*_VIDEO), times, frames, lasting, score, tuple(notes))


def _time(text: str, style: Style, columns: _Columns, rate: float | None) -> float:
    if columns.frames:
        return style.number(text)
    return style.seconds(text, rate)


def _origin(text: str) -> Origin:
    return Origin.of(text) if text.strip() else Origin("")


def _shortened(origins: list[Origin]) -> list[str]:
    """A note for videos that were named by a path."""
    paths = {o.path: o.name for o in origins if o.path}
    if not paths:
        return []
    path, name = next(iter(paths.items()))
    return [f"{counted(len(paths), 'video')} named by a file: {name!r} for {path!r}"]


def write_csv(lines: Timelines, options: WriteOptions) -> Written:
    """Clicks or actions, by tabs for a file called .tsv; all of one kind."""
    out = io.StringIO()
    tabs = options.target.suffix.lower() == ".tsv"
    table = csv.writer(out, delimiter="\t" if tabs else ",", lineterminator="\n")
    lost = (*event_losses(lines.marks), *empty_videos(lines))
    if any(media_path(video) is not None for video in lines.videos):
        lost = (*lost, "endings and folders of video names, when this table is read again")
    if lines.clicks:
        rates = {video: options.rates.known(video) for video in lines.videos}
        framed = all(rates.values())
        table.writerow(["class", "video_id", "time_s", *(["point"] if framed else [])])
        for mark in lines.marks:
            rate = rates[mark.video]
            table.writerow(
                [mark.label, mark.video, mark.start, *([round(mark.start * rate)] if framed and rate else [])]
            )
        scored = any(mark.score is not None for mark in lines.marks)
        return Written(out.getvalue(), (*lost, *(("confidence",) if scored else ())))
    table.writerow(["class", "video_id", "start_s", "end_s", "score"])
    for mark in lines.marks:
        table.writerow([mark.label, mark.video, mark.start, mark.end, "" if mark.score is None else mark.score])
    return Written(out.getvalue(), lost)
