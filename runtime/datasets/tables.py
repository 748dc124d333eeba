"""Readers of the small text files of a data set: JSON, lists of videos and tables of points. Errors name file and line.

Tables, numbers and names are read by `text.delimited`, `text.numbers` and `text.names`, as in `punctum convert`.
"""

from __future__ import annotations

import codecs
import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..text.delimited import Row, TableError, read_table
from ..text.numbers import Style, shown

# Names of the three columns that are read. Other columns of a points file are ignored.
_ALIASES = {
    "label": ("class", "class_name", "label"),
    "video": ("video_id", "video", "video_name"),
    "frame": ("point", "frame"),
}
# Seconds on the media clock, instead of frame numbers. Takes precedence if a file has both.
_SECONDS = ("time_s", "seconds")


def read_text(path: Path) -> str:
    """Read text in UTF-8 or UTF-16 (with a byte order mark), with any line ends. Raises OSError, UnicodeDecodeError."""
    raw = path.read_bytes()
    encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
    text = raw.decode(encoding).lstrip("\ufeff")  # programs that append their own mark to one that is there
    if "\0" in text:
        at = max(raw.find(b"\0"), 0)
        raise UnicodeDecodeError(encoding, raw, at, at + 1, "NUL: it is no text, or UTF-16 without a byte order mark")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_input(path: Path, code: str, *, required: str, parameter: str) -> str:
    """The text of a file that the caller names. Raises InputError.

    Args:
        path: The file.
        code: The code of the error.
        required: What the file has to be.
        parameter: The parameter that names it.
    """
    try:
        return read_text(path)
    except FileNotFoundError:
        raise InputError(code, f"{path} does not exist", required=required, next_step=f"check `{parameter}`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            code, f"{path} cannot be read ({error})", required=required, next_step=f"check `{parameter}`"
        ) from None


def read_json(path: Path) -> Any:
    """Read JSON. Raises InputError if the file is missing or damaged, or an object contains a key twice."""
    try:
        return parse_json(read_text(path))
    except FileNotFoundError:
        raise InputError(
            "file-missing",
            f"{path} does not exist",
            required="a data set folder with this file",
            next_step="run `punctum data check`",
        ) from None
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(
            "json-unreadable",
            f"{path} is not JSON ({error})",
            required="one JSON document",
            next_step="check the file",
        ) from None


def parse_json(text: str) -> Any:
    """Parse JSON. Raises ValueError, also for an object that contains a key twice, and RecursionError."""
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse repeated keys: `json` would keep the last one silently."""
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError(f"{shown(repeated_keys(pairs)[0])} is twice in one object")
    return record


def repeated_keys(pairs: list[tuple[str, Any]]) -> tuple[str, ...]:
    """The keys that occur more than once, in the order of their first occurrence."""
    return tuple(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)


def read_list(path: Path) -> list[str]:
    """Read a list with one video id per line. Blank lines are ignored. Raises InputError."""
    try:
        return [line.strip() for line in read_text(path).split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "list-unreadable",
            f"{path} cannot be read ({error})",
            required="a text file with one video per line",
            next_step="check `split` and the lists",
        ) from None


@dataclass(frozen=True, slots=True)
class PointRow:
    """One line of a points file.

    Attributes:
        line: Line in the file, from 1.
        label: Name of the class as written.
        video: Name of the video as written.
        frame: Frame number, or seconds; NaN if it cannot be read.
        written: Frame or time as written.
        seconds: Whether `frame` is in seconds on the media clock.
        problem: Why `frame` cannot be read.
        annotator: Who clicked, if the file says so (column annotator).
        id: Identifier of the click, if the file has one (column id).
    """

    line: int
    label: str
    video: str
    frame: float
    written: str
    seconds: bool = False
    problem: str = ""
    annotator: str = ""
    id: str = ""

    def time_s(self, fps: float) -> float:
        """Seconds on the media clock of a video with `fps` frames per second."""
        return self.frame if self.seconds else self.frame / fps


def scan_points(path: Path) -> list[PointRow]:
    """Read all rows of a points file, valid or not.

    Separators are commas, semicolons or tabs; decimal commas and clock times are accepted. Names are as written.
    Published files also contain start and stop frames. These are ground truth and are never read, so that training
    cannot use them (docs/method/defects.md, P14).

    Raises:
        InputError: The file cannot be read, or is no table with the three columns.
    """
    try:
        return points_of(read_text(path), path)
    except FileNotFoundError:
        raise InputError(
            "points-missing", f"{path} does not exist", required="a points file", next_step="check `points`"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "points-unreadable",
            f"{path} cannot be read ({error})",
            required="a CSV file in UTF-8",
            next_step="check `points`",
        ) from None


def points_of(text: str, path: Path) -> list[PointRow]:
    """The rows of the text of a points file, as `scan_points` reads it. Raises InputError; path: the file it names."""
    try:
        table = read_table(text)
        columns = {}
        seconds = table.column(*_SECONDS) is not None
        for role, names in _ALIASES.items():
            if role == "frame" and seconds:
                names = _SECONDS
            if (column := table.column(*names)) is None:
                raise InputError(
                    "points-columns",
                    f"{path} line {table.line} has no column {names[0]} (it has: {table.written})",
                    required="columns class, video_id, point (a frame) or time_s (seconds)",
                    next_step="add a header line",
                )
            columns[role] = column
        style = table.style(columns["frame"])
        annotator, ident = table.column("annotator"), table.column("id")
        return [_point(row, columns, style, seconds, annotator, ident) for row in table.rows]
    except TableError as error:
        raise InputError(
            "points-unreadable", f"{path} {error}", required="a CSV file", next_step="fix the line"
        ) from None


def _point(
    row: Row, columns: dict[str, int], style: Style, seconds: bool, annotator: int | None, ident: int | None
) -> PointRow:
    written, problem, frame = row.cell(columns["frame"]), row.problem, math.nan
    if not problem:
        try:
            frame = style.seconds(written) if seconds else style.number(written)
        except ValueError as error:
            problem = str(error)
    label, video = row.cell(columns["label"]), row.cell(columns["video"])
    return PointRow(row.line, label, video, frame, written, seconds, problem, row.cell(annotator), row.cell(ident))


def read_points(path: Path) -> list[PointRow]:
    """Read the rows of a points file. Raises InputError at the first invalid one."""
    return check_rows(scan_points(path), path)


def check_rows(rows: list[PointRow], path: Path) -> list[PointRow]:
    """The rows as they are. Raises InputError at the first invalid one."""
    for row in rows:
        if not math.isfinite(row.frame) or not row.label or not row.video:
            raise InputError(
                "points-row",
                f"{path} line {row.line}: class {row.label!r}, video {row.video!r}, point {row.written!r}"
                + (f" ({row.problem})" if row.problem else ""),
                required="a class, a video and a frame number (or seconds in a column time_s)",
                next_step="run `punctum data check`",
            )
    return rows
