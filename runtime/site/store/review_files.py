"""Reviews as a folder that `punctum label` and `punctum train` take: clips, clicks and certified background.

    STATE/reviews/CAMERA/
      videos/        the clips of reviewed events
      points.csv     right, another class, other edges: a click at the middle of the action
      background.csv wrong: the class does not occur in the span. Other edges: nor does it in the part cut off
      withheld.csv   such spans of classes that have no click yet: readers refuse classes without clicks
      labeling.json  the clips are labeled in part: only one event of each was looked at

Times are relative to the start of the clip. The rows of an event have ids that are made of its own, so that a later
review replaces them; rows of others, such as those of `punctum label` in this folder, are kept.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...datasets.background import FILE as BACKGROUND
from ...datasets.background import WITHHELD, BackgroundRow, scan_background, write_background
from ...datasets.labeled import RECORD, read_labeling
from ...datasets.tables import read_text
from ...errors import PunctumError
from ...files.atomic import atomic_write
from ...text.delimited import column_key, read_table
from ...text.names import clean_name
from .rows import EventRow, MediaRow, Review

POINTS, PREFIX = "points.csv", "review-"
COLUMNS = ("class", "video_id", "time_s", "annotator", "created", "id", "note", "start_s", "end_s")
_NAMES = {"class": ("class", "class_name", "label"), "video_id": ("video_id", "video", "video_name")}
_LEAST_S = 0.001  # a shorter span is none


@dataclass(frozen=True, slots=True)
class _Filed:
    """What one review adds to the files."""

    clicks: tuple[dict[str, str], ...] = ()
    spans: tuple[BackgroundRow, ...] = ()


class ReviewFiles:
    """Writes reviews below a folder. Not safe for several threads at a time; `Store` calls it one after another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, row: EventRow) -> bool:
        """Write the review of an event in place of an earlier one.

        Without a clip there is nothing to learn from, and nothing is written until there is one.

        Returns:
            Whether the files have the review now.

        Raises:
            PunctumError, OSError: The files cannot be read or written.
        """
        folder = self._folder / row.camera
        ident = _ident(row.camera, row.id)
        video = self._video(folder, row, ident)
        if video is None or row.clip is None or row.review is None:
            self.remove(row.camera, row.id)
            return False
        filed = _filed(row, row.review, row.clip, video.stem, ident)
        self._replace(folder, ident, filed)
        self._mark(folder, video.stem, row)
        return True

    def remove(self, camera: str, event: str) -> None:
        """Remove the rows of an event whose review was withdrawn. Raises PunctumError, OSError."""
        folder = self._folder / camera
        if folder.is_dir():
            self._replace(folder, _ident(camera, event), _Filed())

    def _video(self, folder: Path, row: EventRow, ident: str) -> Path | None:
        """The clip in the folder, linked there so that it outlives the one that retention deletes."""
        clip = Path(row.clip.path) if row.clip is not None and row.clip.path is not None else None
        stamp = "" if row.start_unix is None else time.strftime("%Y%m%d-%H%M%S-", time.gmtime(row.start_unix))
        if clip is None or not clip.is_file():
            found = sorted((folder / "videos").glob(f"{stamp}{ident}.*")) if (folder / "videos").is_dir() else []
            return found[0] if found and row.clip is not None else None
        target = folder / "videos" / f"{stamp}{ident}{clip.suffix}"
        if target.exists():
            return target
        draft = target.with_name(f".{target.name}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            draft.unlink(missing_ok=True)
            try:
                os.link(clip, draft)
            except OSError:  # another file system, or one without links
                shutil.copyfile(clip, draft)
            draft.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise PunctumError(
                "write-failed",
                f"Cannot write {target} ({error})",
                required="free space in a folder that this user may write to",
                next_step="free space",
            ) from None
        return target

    def _replace(self, folder: Path, ident: str, filed: _Filed) -> None:
        """Replace the rows of one event in both tables."""
        path = folder / POINTS
        rows = [row for row in _read_rows(path) if not _belongs(row.get("id", ""), ident)]
        self._save(path, _table([*rows, *filed.clicks]), wanted=bool(rows or filed.clicks))
        classes = {clean_name(row.get("class", "")) for row in [*rows, *filed.clicks]}
        before = {place: scan_background(folder / place) for place in (BACKGROUND, WITHHELD)}
        spans = {span.id or f"line {span.line}": span for place in before for span in before[place]}
        spans = {key: span for key, span in spans.items() if not _belongs(key, ident)}
        spans |= {span.id: span for span in filed.spans}
        held = [s for s in spans.values() if s.id.startswith(PREFIX) and clean_name(s.label) not in classes]
        taken = [span for span in spans.values() if span not in held]
        # A row that moves is written where it goes to before it is removed where it was.
        order = [(WITHHELD, held), (BACKGROUND, taken)]
        for place, some in order if len(held) > len(before[WITHHELD]) else reversed(order):
            self._save(folder / place, write_background(some), wanted=bool(some))

    @staticmethod
    def _save(path: Path, text: str, *, wanted: bool) -> None:
        if wanted or path.exists():
            atomic_write(path, text)

    @staticmethod
    def _mark(folder: Path, video: str, row: EventRow) -> None:
        """Note that only a part of the clip was looked at, unless somebody labels it as a whole."""
        record = read_labeling(folder)
        known = {*record.partly, *record.finished, *record.nothing}
        labels = [row.event.label, *([row.review.label] if row.review is not None and row.review.label else [])]
        new = [label for label in dict.fromkeys(labels) if label not in record.classes]
        if video in known and not new:
            return
        record.classes += new
        if video not in known and row.review is not None:
            record.partly[video] = {row.review.by or "reviews": _iso(row.review.unix)}
        atomic_write(folder / RECORD, json.dumps(record.to_record(), indent=1, ensure_ascii=False) + "\n")


def _filed(row: EventRow, review: Review, clip: MediaRow, video: str, ident: str) -> _Filed:
    """What a review says about the clip of its event."""
    event, length = row.event, clip.end_s - clip.start_s
    start, end = event.start, max(event.end, event.start)
    created = _iso(review.unix)

    def span(first: float, last: float, number: int = 1) -> tuple[BackgroundRow, ...]:
        first, last = max(first - clip.start_s, 0.0), min(last - clip.start_s, length)
        if last - first < _LEAST_S:
            return ()
        return (BackgroundRow(0, video, first, last, event.label, review.by, created, f"{ident}-{number}"),)

    if review.verdict == "wrong":
        return _Filed((), span(start, end))
    bounds = ("", "")
    spans: tuple[BackgroundRow, ...] = ()
    if review.verdict == "edges" and review.start is not None and review.end is not None:
        spans = span(start, min(review.start, end), 1) + span(max(review.end, start), end, 2)
        start, end = review.start, review.end
        bounds = (f"{max(start - clip.start_s, 0.0):.3f}", f"{min(end - clip.start_s, length):.3f}")
    shown = max(start - clip.start_s, 0.0), min(end - clip.start_s, length)
    if shown[1] < shown[0]:  # the clip does not show the action
        return _Filed((), spans)
    click = {
        "class": review.label or event.label,
        "video_id": video,
        "time_s": f"{(shown[0] + shown[1]) / 2:.3f}",
        "annotator": review.by,
        "created": created,
        "id": ident,
        "note": " ".join(review.note.split()),
        "start_s": bounds[0],
        "end_s": bounds[1],
    }
    return _Filed((click,), spans)


def _ident(camera: str, event: str) -> str:
    return PREFIX + hashlib.sha256(f"{camera}\0{event}".encode()).hexdigest()[:12]


def _belongs(found: str, ident: str) -> bool:
    return found == ident or found.startswith(f"{ident}-")


def _iso(unix: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix))


def _read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a points file with all its columns, under the names that are written here."""
    if not path.exists():
        return []
    try:
        table = read_table(read_text(path))
    except (OSError, ValueError) as error:
        raise PunctumError(
            "site-review-files",
            f"{path} cannot be read ({error})",
            required="a points file",
            next_step="correct it, or move it away",
        ) from None
    keys = [column_key(name) for name in table.header]
    other = {name: key for key, names in _NAMES.items() for name in names}
    return [{other.get(key, key): row.cell(at) for at, key in enumerate(keys) if key} for row in table.rows]


def _table(rows: Iterable[dict[str, Any]]) -> str:
    ordered = sorted(rows, key=lambda row: (row.get("video_id", ""), row.get("time_s", ""), row.get("id", "")))
    extra = list(dict.fromkeys(name for row in ordered for name in row if name not in COLUMNS))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*COLUMNS, *extra], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(ordered)
    return stream.getvalue()
