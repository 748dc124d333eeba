"""CSV: actions (class, video_id, start_s, end_s, score) or clicks (class, video_id, time_s), many videos in one file.

Reading also takes frames (start_frame and stop_frame, or point), with the frame rate given, and the names that other
tools use for the same columns. A file with a column of clicks is a file of clicks: its start and stop columns, which
published points files carry, are ground truth and are never read (`_tables`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from ._events import empty_videos, event_losses
from ._model import Mark, Timelines, gather
from ._options import ReadOptions, Source, WriteOptions, Written

_LABEL = ("class", "class_name", "label")
_VIDEO = ("video_id", "video", "video_name")
_TIME = ("time_s",)
_FRAME = ("point", "frame")
_START = ("start_s", "start", "t_start")
_END = ("end_s", "end", "t_end", "stop_s")
_START_FRAME = ("start_frame",)
_END_FRAME = ("stop_frame", "end_frame")
_SCORE = ("score", "confidence")
_ALLOWED = "columns class, video_id and time_s (clicks), or class, video_id, start_s, end_s and perhaps score (actions)"


def read_csv(source: Source, options: ReadOptions) -> Timelines:
    """Clicks or actions, by the header."""
    reader = csv.reader(io.StringIO(source.text()), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        rows = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise source.wrong(f"line {reader.line_num} is broken ({error})", "a CSV file") from None
    place = {name: i for i, name in reversed(list(enumerate(header)))}
    notes = []
    label, video = _find(place, _LABEL), _find(place, _VIDEO)
    if video is None and options.video is None and label is not None:
        raise source.wrong("line 1 names no column of videos", f"{_ALLOWED}, or --video for a file of one video")
    if video is not None and options.video is not None:
        raise source.wrong("--video beside a column of videos", "one of the two")
    click = _find(place, _TIME)
    in_frames = click is None and _find(place, _FRAME) is not None
    click = _find(place, _FRAME) if in_frames else click
    span = (_find(place, _START), _find(place, _END))
    span_frames = None in span
    if span_frames:
        span = (_find(place, _START_FRAME), _find(place, _END_FRAME))
    if label is None or (click is None and None in span):
        raise source.wrong(f"line 1 lacks columns (it has: {', '.join(header) or 'nothing'})", _ALLOWED)
    if click is not None and any(n in place for n in (*_START_FRAME, *_END_FRAME, *_START, *_END)):
        notes.append("left out: start and stop columns beside clicks, which are ground truth")

    def cell(cells: list[str], column: int | None) -> str:
        return cells[column].strip() if column is not None and column < len(cells) else ""

    def read() -> Iterator[tuple[str, Mark]]:
        score = _find(place, _SCORE)
        for number, cells in rows:
            name = cell(cells, video) or options.video or ""
            where = f"{source.name} line {number}"
            if click is not None:
                times = [_number(source, number, cell(cells, click))]
            else:
                times = [_number(source, number, cell(cells, column)) for column in span]
            if in_frames if click is not None else span_frames:
                rate = options.rates.need(name or "a video", where)
                times = [t / rate for t in times]
            written = cell(cells, score) if click is None else ""
            confidence = _number(source, number, written) if written else None
            end = times[1] if click is None else None
            yield where, Mark(name, cell(cells, label), times[0], end, confidence)

    return gather(read(), notes=notes)


def write_csv(lines: Timelines, options: WriteOptions) -> Written:
    """Clicks or actions; the caller sees to it that there is one kind only."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    lost = (*event_losses(lines.marks), *empty_videos(lines))
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


def _find(place: dict[str, int], names: tuple[str, ...]) -> int | None:
    return next((place[name] for name in names if name in place), None)


def _number(source: Source, line: int, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise source.wrong(f"line {line}: {text!r} is no number", _ALLOWED) from None
