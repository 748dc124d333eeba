"""Read the small text files of a data set: JSON, lists of videos, point tables. Each refusal names file and line.

`_delimited` reads tables, `_numbers` their numbers and times, `_names` what videos are called; `punctum convert` uses
the same three.
"""

from __future__ import annotations

import codecs
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..text.delimited import Row, TableError, read_table
from ..text.numbers import Style, shown

# What people's tools call the three columns that count. Everything else in a points file is never looked at.
_ALIASES = {
    "label": ("class", "class_name", "label"),
    "video": ("video_id", "video", "video_name"),
    "frame": ("point", "frame"),
}
# Instead of a frame number: seconds on the media clock. Where a file has both, this column wins.
_SECONDS = ("time_s", "seconds")


def read_text(path: Path) -> str:
    """Text in UTF-8 or UTF-16 (with its mark), any line ends. Raises OSError and UnicodeDecodeError."""
    raw = path.read_bytes()
    encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    return raw.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path) -> Any:
    """Parsed JSON; InputError where the file is missing or broken, or where an object holds a key twice."""
    try:
        return parse_json(read_text(path))
    except FileNotFoundError:
        raise InputError(
            "file-missing", f"{path} does not exist", "a data set folder with this file", "see `punctum data check`"
        ) from None
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(
            "json-unreadable", f"{path} is not JSON ({error})", "one JSON document", "check the file"
        ) from None


def parse_json(text: str) -> Any:
    """Any JSON document. Raises ValueError, also for an object that holds a key twice, and RecursionError."""
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON keeps the last of two equal keys; which one was meant, nobody knows."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{shown(next(key for key in keys if keys.count(key) > 1))} stands in one object twice")
    return found


def read_list(path: Path) -> list[str]:
    """One video id a line; blank lines are ignored."""
    try:
        return [line.strip() for line in read_text(path).split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "list-unreadable",
            f"{path} cannot be read ({error})",
            "a text file, one video a line",
            "check --split and the lists",
        ) from None


@dataclass(frozen=True, slots=True)
class PointRow:
    """One line of a points file: frame is NaN where it cannot be read, and `problem` says why.

    seconds: the file gives seconds on the media clock, and `frame` holds these instead of a frame number.
    written: the frame or time as it stands in the file.
    """

    line: int
    label: str
    video: str
    frame: float
    written: str
    seconds: bool = False
    problem: str = ""

    def time_s(self, fps: float) -> float:
        """Seconds on the media clock of a video with `fps` frames a second."""
        return self.frame if self.seconds else self.frame / fps


def scan_points(path: Path) -> list[PointRow]:
    """Every row, right or wrong. Raises InputError where the file is no table with the three columns.

    Commas, semicolons or tabs; decimal commas; seconds may be clock times. Names are as written: `NameIndex` finds
    the class or video that is meant.
    Published files carry start and stop frames as well. Those are ground truth: this never looks at them, so nothing
    downstream can learn from them (docs/method/defects.md, P14).
    """
    try:
        table = read_table(read_text(path))
        columns = {}
        seconds = table.column(*_SECONDS) is not None
        for role, names in _ALIASES.items():
            if role == "frame" and seconds:
                names = _SECONDS
            if (column := table.column(*names)) is None:
                raise InputError(
                    "points-columns",
                    f"{path} line {table.line} lacks the column {names[0]} (it has: {table.written})",
                    "columns class, video_id, point (a frame) or time_s (seconds)",
                    "add a header line",
                )
            columns[role] = column
        style = table.style(columns["frame"])
        return [_point(row, columns, style, seconds) for row in table.rows]
    except TableError as error:
        raise InputError("points-unreadable", f"{path} {error}", "a CSV file", "fix the line") from None
    except FileNotFoundError:
        raise InputError("points-missing", f"{path} does not exist", "a points file", "check --points") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "points-unreadable", f"{path} cannot be read ({error})", "a CSV file in UTF-8", "check --points"
        ) from None


def _point(row: Row, columns: dict[str, int], style: Style, seconds: bool) -> PointRow:
    written, problem, frame = row.cell(columns["frame"]), row.problem, math.nan
    if not problem:
        try:
            frame = style.seconds(written) if seconds else style.number(written)
        except ValueError as error:
            problem = str(error)
    label, video = row.cell(columns["label"]), row.cell(columns["video"])
    return PointRow(row.line, label, video, frame, written, seconds, problem)


def read_points(path: Path) -> list[PointRow]:
    """Rows of a points file. Raises InputError at the first broken one."""
    rows = scan_points(path)
    for row in rows:
        if not math.isfinite(row.frame) or not row.label or not row.video:
            raise InputError(
                "points-row",
                f"{path} line {row.line}: class {row.label!r}, video {row.video!r}, point {row.written!r}"
                + (f" ({row.problem})" if row.problem else ""),
                "a class, a video and a frame number (or seconds in a column time_s)",
                "see `punctum data check`",
            )
    return rows
