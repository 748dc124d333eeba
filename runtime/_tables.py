"""Read the small text files of a data set: JSON, lists of videos, point tables. Each refusal names file and line."""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InputError

# What people's tools call the three columns that count. Everything else in a points file is never looked at.
_ALIASES = {
    "label": ("class", "class_name", "label"),
    "video": ("video_id", "video", "video_name"),
    "frame": ("point", "frame"),
}
# Instead of a frame number: seconds on the media clock. Where a file has both, this column wins.
_SECONDS = "time_s"


def read_text(path: Path) -> str:
    """Text in UTF-8 or UTF-16 (with its mark), any line ends. Raises OSError and UnicodeDecodeError."""
    raw = path.read_bytes()
    encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    return raw.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path) -> Any:
    """Parsed JSON; InputError where the file is missing or broken."""
    try:
        return json.loads(read_text(path))
    except FileNotFoundError:
        raise InputError(
            "file-missing", f"{path} does not exist", "a data set folder with this file", "see `punctum data check`"
        ) from None
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(
            "json-unreadable", f"{path} is not JSON ({error})", "one JSON document", "check the file"
        ) from None


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
    """One line of a points file, as written: frame is NaN where it is not a number.

    seconds: the file gives seconds on the media clock, and `frame` holds these instead of a frame number.
    """

    line: int
    label: str
    video: str
    frame: float
    written: str
    seconds: bool = False

    def time_s(self, fps: float) -> float:
        """Seconds on the media clock of a video with `fps` frames a second."""
        return self.frame if self.seconds else self.frame / fps


def scan_points(path: Path) -> list[PointRow]:
    """Every row, right or wrong. Raises InputError where the file is no table with the three columns.

    Published files carry start and stop frames as well. Those are ground truth: this never looks at them, so nothing
    downstream can learn from them (method.md 4.4, P14).
    """
    try:
        reader = csv.reader(io.StringIO(read_text(path)), strict=True)
        header = [name.strip() for name in next(reader, [])]
        columns = {}
        seconds = _SECONDS in header
        for role, names in _ALIASES.items():
            if role == "frame" and seconds:
                names = (_SECONDS,)
            found = [name for name in names if name in header]
            if not found:
                raise InputError(
                    "points-columns",
                    f"{path} line 1 lacks the column {names[0]} (it has: {', '.join(header) or 'nothing'})",
                    "columns class, video_id, point (a frame) or time_s (seconds), separated by commas",
                    "add a header line",
                )
            columns[role] = header.index(found[0])
        rows = []
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            label, video, written = (
                cells[columns[role]].strip() if columns[role] < len(cells) else ""
                for role in ("label", "video", "frame")
            )
            rows.append(PointRow(reader.line_num, label, video, _number(written), written, seconds))
        return rows
    except csv.Error as error:
        raise InputError(
            "points-unreadable", f"{path} line {reader.line_num} is broken ({error})", "a CSV file", "fix the line"
        ) from None
    except FileNotFoundError:
        raise InputError("points-missing", f"{path} does not exist", "a points file", "check --points") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "points-unreadable", f"{path} cannot be read ({error})", "a CSV file in UTF-8", "check --points"
        ) from None


def read_points(path: Path) -> list[PointRow]:
    """Rows of a points file. Raises InputError at the first broken one."""
    rows = scan_points(path)
    for row in rows:
        if not math.isfinite(row.frame) or not row.label or not row.video:
            raise InputError(
                "points-row",
                f"{path} line {row.line}: class {row.label!r}, video {row.video!r}, point {row.written!r}",
                "a class, a video and a frame number (or seconds in a column time_s)",
                "see `punctum data check`",
            )
    return rows


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
