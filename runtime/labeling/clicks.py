"""Clicks as rows of points.csv: reading with all columns of the file, and writing.

Columns: class, video_id and time_s, which training reads; clicked_s (media time of the frame on screen when the key was
pressed, before correction by the reaction time), speed (of playback; 0: paused), annotator, created (UTC), id and note.
Other columns of a file are kept.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..datasets.other_columns import cells_of, header_of, other_columns
from ..datasets.tables import check_rows, points_of, read_text
from ..errors import InputError
from ..text.delimited import TableError, read_table
from .fields import FORMULA

COLUMNS = ("class", "video_id", "time_s", "clicked_s", "speed", "annotator", "created", "id", "note")
_READ = (("class", "class_name", "label"), ("video_id", "video", "video_name"), ("time_s", "seconds"))
_FRAMES = {"point", "frame", "seconds"}  # wrong once a click has moved


@dataclass(slots=True)
class Click:
    """One click. `rev` counts its changes, so that a change based on an old state is noticed. Not in the file."""

    id: str
    label: str
    video: str
    time_s: float
    clicked_s: float | None = None
    speed: float | None = None
    annotator: str = ""
    created: str = ""
    note: str = ""
    rev: int = 1
    extra: dict[str, str] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """What pages get."""
        return {
            "id": self.id,
            "label": self.label,
            "video": self.video,
            "time_s": self.time_s,
            "clicked_s": self.clicked_s,
            "speed": self.speed,
            "annotator": self.annotator,
            "created": self.created,
            "note": self.note,
            "rev": self.rev,
        }

    def moved(self) -> None:
        """Forget frame numbers and times of another program: the click has another time now."""
        for name in _FRAMES & self.extra.keys():
            self.extra[name] = ""


def read_clicks(path: Path, seconds: Callable[[str, float], float] | None = None) -> list[Click]:
    """Read a points file. Raises InputError for a row that cannot be read, and for a column that is there twice.

    Args:
        path: The file; none gives no clicks.
        seconds: Media time of a frame number of a video, for files with frame numbers. None refuses them.
    """
    if not path.exists():
        return []
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, f"cannot be read ({error})") from None
    return clicks_of(text, path, seconds)


def clicks_of(text: str, path: Path, seconds: Callable[[str, float], float] | None = None) -> list[Click]:
    """The clicks in the text of a points file; see `read_clicks`. path: the file that errors name."""
    rows = check_rows(points_of(text, path), path)
    try:
        table = read_table(text)
        own = {name: table.column(name) for name in COLUMNS}
        read = [table.column(*names) for names in _READ]
    except TableError as error:
        raise _unreadable(path, str(error)) from None
    others = other_columns(table, [*read, *own.values()], COLUMNS)
    cells = {row.line: row for row in table.rows}
    used: dict[str, int] = {}
    found = []
    for row in rows:
        line = cells[row.line]
        time_s = row.frame if row.seconds or seconds is None else seconds(row.video, row.frame)
        content = "\0".join(line.cells)
        used[content] = used.get(content, 0) + 1
        made = hashlib.sha256(f"{content}\0{used[content]}".encode()).hexdigest()[:12]
        found.append(
            Click(
                id=line.cell(own["id"]) or made,
                label=row.label,
                video=row.video,
                time_s=time_s,
                clicked_s=_number(line.cell(own["clicked_s"])),
                speed=_number(line.cell(own["speed"])),
                annotator=row.annotator,
                created=line.cell(own["created"]),
                note=line.cell(own["note"]),
                extra=cells_of(line, others),
            )
        )
    return _distinct(found)


def _unreadable(path: Path, what: str) -> InputError:
    return InputError(
        "points-unreadable",
        f"{path} {what}",
        required="a CSV file with each column once",
        next_step="correct the file",
    )


def _distinct(clicks: list[Click]) -> list[Click]:
    """Rows copied in a spreadsheet have the id of their original."""
    seen: set[str] = set()
    numbers: dict[str, int] = {}
    for click in clicks:
        given = click.id
        while click.id in seen:
            numbers[given] = numbers.get(given, 1) + 1
            click.id = f"{given}-{numbers[given]}"
        seen.add(click.id)
    return clicks


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def columns_of(clicks: Iterable[Click]) -> list[str]:
    """Names of the other columns of clicks."""
    return list(dict.fromkeys(name for click in clicks for name in click.extra))


def write_clicks(clicks: Iterable[Click], columns: Iterable[str] | None = None) -> str:
    """The text of a points file, ordered by video and time.

    columns: the other columns; None for those of the clicks.
    """
    rows = sorted(clicks, key=lambda click: (click.video, click.time_s, click.label, click.id))
    extra = columns_of(rows) if columns is None else list(columns)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*COLUMNS, *header_of(extra)])
    for click in rows:
        writer.writerow(
            [
                click.label,
                click.video,
                f"{click.time_s:.3f}",
                "" if click.clicked_s is None else f"{click.clicked_s:.3f}",
                "" if click.speed is None else f"{click.speed:g}",
                _plain(click.annotator),
                click.created,
                click.id,
                _plain(click.note),
                *(click.extra.get(name, "") for name in extra),
            ]
        )
    return stream.getvalue()


def _plain(text: str) -> str:
    """Text that spreadsheets do not take for a formula: readers drop the space."""
    return f" {text}" if text.startswith(FORMULA) else text
