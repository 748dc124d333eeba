"""Events that BORIS exported as a table, tab- or comma-separated: tabular (an instant a row), aggregated (an action).

Times are those of the observation, as in a project (`_boris`): they count through its media files, one after the
other, and from its time offset on. Exports of old versions have a preamble, or no list of all media files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from ..text.delimited import Row, Table, TableError, column_key, read_table
from ..text.names import media_name
from ..text.numbers import Style
from ._boris import Coded, Media, marks_of, notes_of, pair, read_project
from ._model import Mark, Timelines, gather
from ._naming import Origin, settle
from ._options import ReadOptions, Source

_ALLOWED = "events that BORIS exported as a table: tabular or aggregated"
_NONE = ("", "NA", "Not found")
_HEADER = ("time", "behavior", "status")  # of the table in an export with a preamble


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where the table keeps what; None for what it does not have."""

    observation: int | None
    source: int | None
    media: int | None
    lengths: int | None
    offset: int | None
    fps: int | None
    subject: int | None
    behavior: int
    kind: int
    time: int | None
    start: int | None
    stop: int | None
    modifiers: tuple[int, ...]


def looks_like_boris_table(table: Table) -> bool:
    """Whether a table may be an export of events by BORIS."""
    keys = {column_key(name) for name in table.header}
    first = column_key(table.header[0]) if table.header else ""
    return {"observation_id", "behavior", "behavior_type"} <= keys or (
        first == "observation_id" and "behavior" not in keys and any(_is_header(row.cells) for row in table.rows[:200])
    )


def read_boris(source: Source, options: ReadOptions) -> Timelines:
    """A project of BORIS, or a table of events, by what the file holds."""
    if options.video is not None:
        raise source.wrong("`video` does not apply to BORIS, whose files name their videos", "a file without `video`")
    if source.text().lstrip()[:1] == "{":
        return read_project(source, options)
    return read_table_events(source, options)


def read_table_events(source: Source, options: ReadOptions) -> Timelines:
    """Actions and clicks of all observations of media."""
    text = source.text()
    try:
        table, preamble = _without_preamble(text)
        columns = _columns(table)
    except TableError as error:
        raise source.wrong(str(error), _ALLOWED) from None
    if columns is None:
        raise source.wrong(f"line {table.line} lacks columns (it has: {table.written})", _ALLOWED)
    style = table.style(columns.time, columns.start, columns.stop, columns.offset, columns.lengths, columns.fps)
    groups: dict[str, list[Row]] = {}
    for row in table.rows:
        if row.problem:
            raise source.wrong(f"line {row.line} has {row.problem}", "a cell a column; quoted where it holds commas")
        groups.setdefault(row.cell(columns.observation) or preamble.get("observation_id", ""), []).append(row)
    counts: Counter[str] = Counter()
    reels = []
    for name, rows in groups.items():
        media = _media(source, name, rows, columns, style, preamble.get("time_offset_s", ""))
        if media:
            reels.append((rows, media))
        else:
            counts["observation|left out: {n} without media (live, or of images)"] += 1
    origins = [m.origin for _, media in reels for m in media]
    names = dict(zip(origins, settle(source.name, origins, options.same_video), strict=True))
    marks: list[tuple[str, Mark]] = []
    for rows, media in reels:
        if columns.time is not None:
            actions = pair(_instants(source, rows, columns, style), counts)
        else:
            actions = _actions(source, rows, columns, style, counts)
        marks += marks_of(source, actions, media, names, counts)
    return gather(
        marks,
        videos=[names[o] for o in origins],
        fps={names[m.origin]: m.fps for _, media in reels for m in media if m.fps},
        duration={names[m.origin]: m.seconds for _, media in reels for m in media if m.seconds},
        notes=notes_of(counts),
    )


def _is_header(cells: tuple[str, ...]) -> bool:
    return set(_HEADER) <= {column_key(cell) for cell in cells}


def _without_preamble(text: str) -> tuple[Table, dict[str, str]]:
    """The table, and facts from the lines before it. Raises TableError."""
    table = read_table(text)
    if column_key(table.header[0] if table.header else "") != "observation_id" or table.column("behavior") is not None:
        return table, {}
    facts = {"observation_id": table.header[1] if len(table.header) > 1 else ""}
    lines = text.removeprefix("\ufeff").split("\n")
    for row in table.rows:
        if _is_header(row.cells):
            rest = read_table("\n" * (row.line - 1) + "\n".join(lines[row.line - 1 :]))
            return rest, facts
        if len(row.cells) > 1:
            facts.setdefault(column_key(row.cells[0]), row.cells[1].strip())
    raise TableError("has no line with the columns Time, Behavior and Status")


def _columns(table: Table) -> _Columns | None:
    behavior, kind = table.column("behavior"), table.column("behavior type", "status")
    time, start, stop = table.column("time"), table.column("start (s)", "start"), table.column("stop (s)", "stop")
    if behavior is None or kind is None or (time is None and (start is None or stop is None)):
        return None
    return _Columns(
        table.column("observation id"),
        table.column("source"),
        table.column("media file name", "media file", "media file path"),
        table.column("media duration (s)"),
        table.column("time offset (s)"),
        table.column("fps (frame/s)", "fps"),
        table.column("subject"),
        behavior,
        kind,
        time,
        start,
        stop,
        tuple(i for i, name in enumerate(table.header) if re.match(r"modifiers?(_\d+)?$", column_key(name))),
    )


def _media(source: Source, name: str, rows: list[Row], columns: _Columns, style: Style, offset: str) -> list[Media]:
    """Media files of an observation, from its rows; none for a live observation."""
    owner = f"observation {name}"
    row = rows[0]
    written = row.cell(columns.offset) or offset
    try:
        begins = style.number(written) if written else 0.0
        files, lengths = _players(row.cell(columns.source)), _first_player(row.cell(columns.lengths))
        rates = [_number(text, style) for text in _first_player(row.cell(columns.fps))]
        seconds = [_number(text, style) for text in lengths]
    except ValueError as error:
        raise source.wrong(f"line {row.line}: {error}", _ALLOWED) from None
    named = list(dict.fromkeys(text for r in rows if (text := r.cell(columns.media)) not in _NONE))
    files = files or named
    if len(files) > 1 and (len(seconds) < len(files) or any(not s for s in seconds[: len(files)])):
        raise source.wrong(
            f"observation {name!r} has several media files, whose times follow each other, and not the length of each",
            "an export with the column Media duration (s), or the project (.boris)",
        )
    media = []
    for i, file in enumerate(files):
        length = seconds[i] if i < len(seconds) else None
        origin = Origin(media_name(file), file, owner)
        media.append(Media(origin, begins, length or None, rates[i] if i < len(rates) else None))
        begins += length or 0.0
    return media


def _players(text: str) -> list[str]:
    """`player #1:a.mp4;b.mp4|player #2:c.mp4`: the files of the first."""
    found = re.match(r"player #1:\s*(.*?)(?:\|player #\d+:.*)?$", text, re.DOTALL)
    return [file.strip() for file in found[1].split(";") if file.strip()] if found else []


def _first_player(text: str) -> list[str]:
    return [] if text in _NONE else [part.strip() for part in text.split("|")[0].split(";")]


def _number(text: str, style: Style) -> float | None:
    return None if text in _NONE else style.number(text)


def _instants(source: Source, rows: list[Row], columns: _Columns, style: Style) -> Iterator[Coded]:
    for row in rows:
        kind = row.cell(columns.kind).upper()
        if kind not in ("START", "STOP", "POINT"):
            raise source.wrong(f"line {row.line}: an event of type {row.cell(columns.kind)[:40]!r}", _ALLOWED)
        yield Coded(f"line {row.line}", _time(source, row, columns.time, style), _key(row, columns), kind)


def _actions(
    source: Source, rows: list[Row], columns: _Columns, style: Style, counts: Counter[str]
) -> Iterator[tuple[str, str, float, float | None]]:
    for row in rows:
        subject, behavior, modifiers = _key(row, columns)
        if subject and subject != "No focal subject":
            counts["event|left out: subjects of {n}"] += 1
        if modifiers.strip(" |") not in ("", "None"):
            counts["event|left out: modifiers of {n}"] += 1
        if "NA" in (row.cell(columns.start), row.cell(columns.stop)):
            counts["event|left out: {n} without a time"] += 1
            continue
        start, stop = (_time(source, row, column, style) for column in (columns.start, columns.stop))
        point = row.cell(columns.kind).upper().startswith("POINT")
        yield f"line {row.line}", behavior, start, None if point else stop


def _key(row: Row, columns: _Columns) -> tuple[str, str, str]:
    return row.cell(columns.subject), row.cell(columns.behavior), "|".join(row.cell(i) for i in columns.modifiers)


def _time(source: Source, row: Row, column: int | None, style: Style) -> float:
    try:
        return style.seconds(row.cell(column))
    except ValueError as error:
        raise source.wrong(f"line {row.line}: {error}", _ALLOWED) from None
