"""Tab-delimited text exported by ELAN: one row per annotation, or one column per tier. Usually one video per file.

Rows without a header hold tier, participant, begin, end, duration and value, each time in one or more of the formats
h:mm:ss.ms, ss.ms, milliseconds and h:mm:ss:ff (time codes, which need `rates`). Lines that begin with "#file:"
name the media. With a header, columns of other names than ELAN's own are tiers with their values.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from ..text.delimited import Row, Table, TableError, column_key, read_table
from ..text.names import media_name
from ..text.numbers import Style, is_timecode
from ._events import event_losses
from ._frames import grid_losses
from ._model import Mark, Timelines, counted, gather
from ._options import ReadOptions, Source, WriteOptions, Written

_MEDIA = re.compile(r'^"?#(?P<url>file:.+?|\S.*?) -- offset: *(?P<offset>\d{1,12}), *duration: *(?P<clock>[\d:.]+)')
_CLOCK = re.compile(r"\d+:\d\d:\d\d(?:[.,]\d+)?$", re.ASCII)
_CODE = re.compile(r"\d+:\d\d:\d\d[:;]\d\d$", re.ASCII)
_SECONDS = re.compile(r"\d+[.,]\d+$", re.ASCII)
_WHOLE = re.compile(r"\d+$", re.ASCII)
_TIME_KEY = re.compile(r"(?P<which>begin_time|start_time|end_time|duration)(?:_(?P<form>.*))?$")
_OTHER_KEYS = ("tier", "participant", "annotator", "file", "file_path", "annotation", "value", "")
_ALLOWED = "tab-delimited text of ELAN: tier, participant, begin and end time, value"


@dataclass(frozen=True, slots=True)
class _Columns:
    """begin, end: of one format; unit: seconds of 1 in them. tier, value: texts of a row; tiers: columns of tiers."""

    begin: int
    end: int
    unit: float
    tier: int | None
    value: int | None
    tiers: tuple[int, ...]
    file: int | None


def looks_like_elan_text(text: str) -> bool:
    """Whether a text may be such an export."""
    body = _body(text)[0]
    try:
        with_header = read_table(body)
        if _by_header(with_header) is not None:
            return True
        bare = read_table(body, header=False)
        return bare.delimiter == "\t" and bool(bare.rows) and _by_content(bare) is not None
    except TableError:
        return False


def read_elan_text(source: Source, options: ReadOptions) -> Timelines:
    """Annotations of all rows; those without a value go by the name of their tier."""
    body, media = _body(source.text())
    try:
        table = read_table(body)
        columns = _by_header(table)
        if columns is None:
            table = read_table(body, header=False)
            columns = _by_content(table)
    except TableError as error:
        raise source.wrong(str(error), _ALLOWED) from None
    if columns is None:
        raise source.wrong("there are no columns of begin and end times", _ALLOWED)
    named = next((m["url"] for m in media if m["url"].startswith("file:")), "")
    video = options.video or media_name(unquote(named)) or source.stem
    style = table.style(columns.begin, columns.end)
    rows: list[tuple[str, Mark]] = []
    without = 0
    for row in table.rows:
        where = f"line {row.line}"
        if row.problem:
            raise source.wrong(f"{where} has {row.problem}", _ALLOWED)
        name = _file_of(row, columns) if columns.file is not None and options.video is None else video
        cells = [row.cell(i) for i in (columns.begin, columns.end)]
        rate = options.rates.known(name) if any(map(is_timecode, cells)) else None
        try:
            start, end = (style.seconds(cell, rate) for cell in cells)
        except ValueError as error:
            raise source.wrong(f"{where}: {error}", _ALLOWED) from None
        labels = list(_labels(row, table, columns, options))
        without += not labels
        for label in labels:
            rows.append((source.at(where), Mark(name, label, start * columns.unit, end * columns.unit)))
    notes = [f"left out: {counted(without, 'row')} without a value and a tier"] if without else []
    if any(int(m["offset"]) for m in media):
        notes.append("media with a time offset: times are read as written (ELAN can add the offset when it exports)")
    length = _length(media[0]) if media and columns.file is None else None
    seconds = {} if length is None else {video: length}
    return gather(rows, videos=[] if columns.file is not None else [video], duration=seconds, notes=notes)


def _body(text: str) -> tuple[str, list[re.Match[str]]]:
    """The table, in its lines, and the lines before it about media."""
    lines = text.removeprefix("\ufeff").split("\n")
    media = []
    for i, line in enumerate(lines):
        found = _MEDIA.match(line)
        if found or (
            line.startswith(('"#', "#")) and "\t" not in line
        ):  # with tabs it is a row of a tier called "#..."
            media += [found] if found else []
            lines[i] = ""
        elif line.strip():
            break
    return "\n".join(lines), media


def _length(media: re.Match[str]) -> float | None:
    """Seconds of the media, where the line says so."""
    try:
        return Style(point=True).seconds(media["clock"]) or None
    except ValueError:
        return None


def _by_header(table: Table) -> _Columns | None:
    keys = [column_key(name) for name in table.header]
    found: dict[str, dict[str, int]] = {}
    for i, key in enumerate(keys):
        if match := _TIME_KEY.match(key):
            which = "begin" if match["which"] in ("begin_time", "start_time") else match["which"].removesuffix("_time")
            found.setdefault(which, {})[match["form"] or ""] = i
    form = next((f for f in _best(found.get("begin", {})) if f in found.get("end", {})), None)
    if form is None or not any(key.startswith("begin_time") for key in keys):
        return None
    place = {key: i for i, key in reversed(list(enumerate(keys)))}
    value = place.get("annotation", place.get("value"))
    tiers = tuple(i for i, key in enumerate(keys) if not _TIME_KEY.match(key) and key not in _OTHER_KEYS)
    if value is None and place.get("tier") is not None and tiers:
        value, tiers = tiers[-1], ()
    unit = 0.001 if form == "msec" else 1.0
    file = place.get("file_path", place.get("file"))
    return _Columns(
        found["begin"][form],
        found["end"][form],
        unit,
        place.get("tier"),
        value,
        () if value is not None else tiers,
        file,
    )


def _best(forms: dict[str, int]) -> list[str]:
    """Formats from the finest on; time codes last."""
    order = ("hh_mm_ss_ms", "ss_msec", "msec", "")
    return [*(form for form in order if form in forms), *(form for form in forms if form not in order)]


def _by_content(table: Table) -> _Columns | None:
    """Columns that hold times in all rows: begin, end and perhaps duration, in the same format."""
    width = min((len(row.cells) for row in table.rows), default=0)
    longest = max((len(row.cells) for row in table.rows), default=0)
    kinds = {}
    for name, pattern in (("clock", _CLOCK), ("seconds", _SECONDS), ("code", _CODE), ("whole", _WHOLE)):
        kinds[name] = [i for i in range(width) if all(pattern.match(row.cell(i)) for row in table.rows)]
    for name in ("clock", "seconds", "code", "whole"):
        places = kinds[name]
        if len(places) < 2 or len(places) > 3 or (name == "whole" and len(places) < 3):
            continue
        begin, end = places[0], places[1]
        style = table.style(begin, end)
        if name != "code" and any(not _in_order(style, r.cell(begin), r.cell(end)) for r in table.rows):
            continue
        behind = begin + (end - begin) * len(places)  # all formats of begin stand before those of end, and so on
        texts = [i for i in range(longest) if not begin <= i < behind]
        files = [i for i in texts if any(re.search(r"\.eaf$", row.cell(i), re.I) for row in table.rows)]
        texts = [i for i in texts if i not in files and not (files and i > min(files))]
        after = [i for i in texts if i >= behind]
        before = [i for i in texts if i < begin]
        unit = 0.001 if name == "whole" else 1.0
        file = files[-1] if files else None
        return _Columns(begin, end, unit, before[0] if before else None, after[0] if after else None, (), file)
    return None


def _in_order(style: Style, begin: str, end: str) -> bool:
    try:
        return style.seconds(begin) <= style.seconds(end)
    except ValueError:
        return False


def _labels(row: Row, table: Table, columns: _Columns, options: ReadOptions) -> Iterator[str]:
    if columns.tiers:
        for i in columns.tiers:
            if value := row.cell(i):
                yield table.header[i].strip() if options.names == "tier" else _value(value)
        return
    tier, value = row.cell(columns.tier), row.cell(columns.value)
    if label := tier if options.names == "tier" or not value else _value(value):
        yield label.strip()


def _value(text: str) -> str:
    """Line ends in a value are spaces."""
    return " ".join(text.split("\n"))


def _file_of(row: Row, columns: _Columns) -> str:
    return re.sub(r"\.eaf$", "", row.cell(columns.file).replace("\\", "/").rpartition("/")[2], flags=re.IGNORECASE)


def write_elan_text(lines: Timelines, options: WriteOptions) -> Written:
    """Write rows as ELAN exports them, for its import of tab-delimited text: one tier per class."""
    rows = []
    for mark in sorted(lines.marks, key=lambda m: m.start):
        start = round(mark.start * 1000)
        end = start if mark.end is None else max(round(mark.end * 1000), start)
        times = [text for ms in (start, end, end - start) for text in (_clock(ms), f"{ms // 1000}.{ms % 1000:03}")]
        rows.append([mark.label, "", *times, mark.label])
    out = io.StringIO()
    csv.writer(out, delimiter="\t", lineterminator="\n").writerows(rows)
    lost = ["confidence"] if any(mark.score is not None for mark in lines.marks) else []
    lost += ["names of videos, which become names of files"]
    if unused := len(set(lines.classes) - {mark.label for mark in lines.marks}):
        lost.append(f"{counted(unused, 'class')} without annotations")
    lost += grid_losses(lines.marks, 1000, "0.001 s")
    return Written(out.getvalue(), (*event_losses(lines.marks), *lost))


def _clock(ms: int) -> str:
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"
