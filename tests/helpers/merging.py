"""Folders of made-up videos and labels, for tests of `punctum data merge`. The videos are bytes that nobody decodes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from punctum.runtime.datasets.labeled import RECORD, SCHEMA

CLICKS = "class,video_id,time_s,annotator,id,note\n"
SPANS = "video_id,start_s,end_s,class,annotator,created,id\n"


def folder(
    place: Path,
    videos: Iterable[str] | Mapping[str, str] = (),
    *,
    clicks: Iterable[str] = (),
    spans: Iterable[str] = (),
    withheld: Iterable[str] = (),
    below: str = "videos",
    files: Mapping[str, str] | None = None,
    **record: Any,
) -> Path:
    """Write a folder.

    Args:
        place: Where.
        videos: Names, each with its content; by default a content of its own.
        clicks: Lines of points.csv; none: no file.
        spans: Lines of background.csv.
        withheld: Lines of withheld.csv.
        below: Folder of the videos.
        files: Other files, with their content.
        record: Entries of labeling.json.
    """
    (place / below).mkdir(parents=True, exist_ok=True)
    every = videos if isinstance(videos, Mapping) else {name: f"{place.name}/{name}" for name in videos}
    for name, content in every.items():
        (place / below / (name if "." in name else f"{name}.mp4")).write_text(content)
    for file, head, lines in (
        ("points.csv", CLICKS, clicks),
        ("background.csv", SPANS, spans),
        ("withheld.csv", SPANS, withheld),
    ):
        if rows := list(lines):
            (place / file).write_text(head + "".join(f"{row}\n" for row in rows))
    if record:
        (place / RECORD).write_text(json.dumps({"schema": SCHEMA, **record}))
    for file, text in (files or {}).items():
        (place / file).write_text(text)
    return place


def content(folder: Path) -> dict[str, bytes]:
    """Path below the folder -> bytes, of all files."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
