"""THUMOS text: lines of `video start_s end_s`, one class per file, which is named `<class>_val.txt`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from ..errors import InputError
from ..text.numbers import Style, shown
from ._events import empty_videos, event_losses
from ._model import Mark, Timelines, gather
from ._options import ReadOptions, Source, WriteOptions, Written

_LINE = re.compile(r"^\s*(\S+)\s+([-+.,\deE]{1,40})\s+([-+.,\deE]{1,40})\s*$", re.ASCII)
_SUBSET = re.compile(r"_(?:val|validation|test|train|training)$")
_ALLOWED = "lines of a video, its start and its end in seconds, separated by blanks"


def looks_like_thumos(text: str) -> bool:
    """Whether every line is a name and two numbers."""
    lines = [line for line in text.split("\n", 1000)[:1000] if line.strip()]
    return bool(lines) and all(_LINE.match(line) for line in lines)


def read_thumos(source: Source, options: ReadOptions) -> Timelines:
    """Read actions of the class in the file name."""
    if source.name == "standard input":
        raise source.wrong("the class is the file name, which standard input does not have", "a file or a folder")
    label = _SUBSET.sub("", PurePosixPath(source.stem).name)

    lines = source.text().split("\n")
    style = Style.of((cell for line in lines if (found := _LINE.match(line)) for cell in found.groups()[1:]), " ")

    def read() -> Iterator[tuple[str, Mark]]:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            if (found := _LINE.match(line)) is None:
                raise source.wrong(f"line {number}: {shown(line)}", _ALLOWED)
            try:
                start, end = (style.number(found[i]) for i in (2, 3))
            except ValueError as error:
                raise source.wrong(f"line {number}: {error}", _ALLOWED) from None
            yield source.at(f"line {number}"), Mark(found[1], label, start, end)

    return gather(read(), labels=[label])


def write_thumos(lines: Timelines, options: WriteOptions) -> Written:
    """Write actions of one class. Raises InputError for the name of a video that contains blanks."""
    for video in lines.videos:
        if re.search(r"\s", video):
            raise InputError(
                "convert-names",
                f"The video name {video!r} cannot be written in THUMOS text",
                required="names without blanks",
                next_step="rename it",
            )
    lost = ["confidence"] if any(mark.score is not None for mark in lines.marks) else []
    text = "".join(f"{m.video} {m.start!r} {m.end!r}\n" for m in lines.marks)
    return Written(text, (*event_losses(lines.marks), *empty_videos(lines), *lost))
