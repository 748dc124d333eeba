"""Certified background: spans of videos in which, as a person says, no action takes place, or none of one class.

`punctum label` writes them to background.csv beside the points file, one row for each question that was answered with
"no". An empty class means that no action of any class takes place.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..text.delimited import Row, TableError, read_table
from ..text.numbers import Style
from .other_columns import cells_of, header_of, other_columns
from .tables import read_text

FILE = "background.csv"
WITHHELD = "withheld.csv"
"""Spans of classes that have no click yet, in the data sets that reviews become: readers take no others."""
COLUMNS = ("video_id", "start_s", "end_s", "class", "annotator", "created", "id")
_VIDEO, _LABEL = ("video_id", "video", "video_name"), ("class", "class_name", "label")


class BackgroundSpan(NamedTuple):
    """A span without an action: start and end in seconds, and the index of the class; None: of no class."""

    start_s: float
    end_s: float
    label: int | None


@dataclass(frozen=True, slots=True)
class BackgroundRow:
    """One line of background.csv.

    Attributes:
        line: Line in the file, from 1; 0 for a row that is not in a file yet.
        video: Name of the video as written.
        start_s: Start on the media clock; NaN if it cannot be read.
        end_s: End on the media clock; NaN if it cannot be read.
        label: Class that does not occur in the span; empty: none does.
        annotator: Who says so.
        created: When (UTC).
        id: Identifies the row.
        problem: Why the row cannot be used; empty if it can.
        extra: Cells of other columns, which are kept.
    """

    line: int
    video: str
    start_s: float
    end_s: float
    label: str = ""
    annotator: str = ""
    created: str = ""
    id: str = ""
    problem: str = ""
    extra: dict[str, str] = field(default_factory=dict, compare=False)


def scan_background(path: Path) -> list[BackgroundRow]:
    """Read all rows of the file, valid or not; none if it does not exist.

    Raises:
        InputError: The file cannot be read, or is no table with video, start and end.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, f"cannot be read ({error})") from None
    return background_of(text, path)


def background_of(text: str, path: Path) -> list[BackgroundRow]:
    """All rows of the text of the file, valid or not. Raises InputError; path: the file that it names."""
    try:
        table = read_table(text)
        columns = {"video": table.column(*_VIDEO), "start": table.column("start_s"), "end": table.column("end_s")}
        label, annotator = table.column(*_LABEL), table.column("annotator")
        created, ident = table.column("created"), table.column("id")
    except TableError as error:
        raise _unreadable(path, str(error)) from None
    if None in columns.values():
        raise _unreadable(path, f"line {table.line} lacks one of the columns (it has: {table.written})")
    others = other_columns(table, [*columns.values(), label, annotator, created, ident], COLUMNS)
    styles = {name: table.style(columns[name]) for name in ("start", "end")}
    found = []
    for row in table.rows:
        start_s, end_s, problem = _times(row, columns, styles)
        video = row.cell(columns["video"])
        if not problem and not video:
            problem = "the video is missing"
        found.append(
            BackgroundRow(
                row.line,
                video,
                start_s,
                end_s,
                row.cell(label),
                row.cell(annotator),
                row.cell(created),
                row.cell(ident),
                problem,
                cells_of(row, others),
            )
        )
    return found


def read_background(path: Path) -> list[BackgroundRow]:
    """Read the rows of the file; none if it does not exist. Raises InputError at the first invalid one."""
    rows = scan_background(path)
    for row in rows:
        if row.problem:
            raise InputError(
                "background-row",
                f"{path} line {row.line}: {row.problem}",
                required="a video, and a start_s before an end_s in seconds",
                next_step="run `punctum data check`",
            )
    return rows


def write_background(rows: Iterable[BackgroundRow]) -> str:
    """The text of a file, ordered by video and time, with the other columns of the file that the rows are from."""
    found = sorted(rows, key=lambda row: (row.video, row.start_s, row.end_s, row.label, row.id))
    others = list(dict.fromkeys(name for row in found for name in row.extra))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*COLUMNS, *header_of(others)])
    for row in found:
        cells = (row.label, row.annotator, row.created, row.id, *(row.extra.get(name, "") for name in others))
        writer.writerow([row.video, *written_times(row.start_s, row.end_s), *cells])
    return stream.getvalue()


def written_times(start_s: float, end_s: float) -> tuple[str, str]:
    """Start and end of a span in a file: to the millisecond, of which a span of another program has one at least."""
    first = round(start_s * 1000)
    last = max(round(end_s * 1000), first + 1)
    return f"{first / 1000:.3f}", f"{last / 1000:.3f}"


def _times(row: Row, columns: dict[str, int | None], styles: dict[str, Style]) -> tuple[float, float, str]:
    """Start and end of a row, and why they cannot be used."""
    if row.problem:
        return math.nan, math.nan, row.problem
    values = []
    for name in ("start", "end"):
        written = row.cell(columns[name])
        try:
            values.append(styles[name].seconds(written))
        except ValueError as error:
            return math.nan, math.nan, f"{name}_s is {written!r} ({error})"
    start_s, end_s = values
    if not (math.isfinite(start_s) and math.isfinite(end_s) and 0 <= start_s < end_s):
        return start_s, end_s, f"the span runs from {start_s:g} to {end_s:g} s"
    return start_s, end_s, ""


def _unreadable(path: Path, what: str) -> InputError:
    return InputError(
        "background-unreadable",
        f"{path} {what}",
        required="a CSV file with the columns video_id, start_s, end_s and class",
        next_step="correct it, or remove it",
    )
