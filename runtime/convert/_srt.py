"""SubRip (.srt): captions that every player shows, one cue per annotation. One video per file.

SubRip contains times and text only: the text of a cue is the class. Confidence is not written, because it could not be
distinguished from the text. A click is a cue of half a second around it, so that `clicks=all` reads its time back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..errors import InputError
from ..text.numbers import shown
from ._events import event_losses
from ._frames import grid_losses
from ._model import Mark, Timelines, counted, gather
from ._options import ReadOptions, Source, WriteOptions, Written

SHOWN_S = 0.5  # how long a click stays on the screen
_TIME = r"(\d{1,7}):(\d{1,2}):(\d{1,2})[,.](\d{3})"
_TIMING = re.compile(rf"^\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?$", re.ASCII)
_NUMBER = re.compile(r"\s*\d{1,9}\s*", re.ASCII)
_STYLE = re.compile(r"</?(?:b|i|u|s|font[^<>]*)>|\{\\[^{}]*\}", re.IGNORECASE)
_ALLOWED = "cues: a number, HH:MM:SS,mmm --> HH:MM:SS,mmm and the class below, with blank lines between"


def looks_like_srt(text: str) -> bool:
    """Whether the first cue is one of SubRip."""
    lines = [line for line in text.lstrip("\ufeff\n ").split("\n", 3)[:3] if line.strip()]
    return any(_TIMING.match(line) and "," in line for line in lines[:2])


def read_srt(source: Source, options: ReadOptions) -> Timelines:
    """Cues in their order. Raises InputError at a line that is no part of SubRip."""
    video = options.video or source.stem
    rows, empty = [], 0
    for first, block in _blocks(source.text().split("\n")):
        numbered = _NUMBER.fullmatch(block[0]) is not None and len(block) > 1
        found = _TIMING.match(block[1] if numbered else block[0])
        line = first + numbered
        if found is None:
            raise source.wrong(f"line {line} is no timing: {shown(block[int(numbered)])}", _ALLOWED)
        start, end = _seconds(found.groups()[:4]), _seconds(found.groups()[4:])
        label = _plain(" ".join(block[1 + numbered :]))
        if not label:
            empty += 1
            continue
        if end < start:
            raise source.wrong(f"line {line}: a cue from {start:g} to {end:g} s", "cues that end later")
        rows.append((source.at(f"line {first}"), Mark(video, label, start, end)))
    if not rows and not empty:
        raise source.wrong("it contains no cue", _ALLOWED)
    return gather(rows, videos=[video], notes=[f"left out: {counted(empty, 'cue')} without text"] if empty else [])


def write_srt(lines: Timelines, options: WriteOptions) -> Written:
    """Cues by time, numbered from 1."""
    if (odd := next((label for label in lines.classes if _TIMING.match(label)), None)) is not None:
        raise InputError(
            "convert-names",
            f"In SubRip, the class name {shown(odd)} would be read as the timing of a cue",
            required="names that are no timings",
            next_step="rename the class, or choose another format",
        )
    parts = []
    for number, mark in enumerate(sorted(lines.marks, key=lambda m: m.start), 1):
        if mark.end is None:
            half = min(SHOWN_S / 2, mark.start)
            start, end = round((mark.start - half) * 1000), round((mark.start + half) * 1000)
        else:
            start, end = round(mark.start * 1000), round(mark.end * 1000)
        parts.append(f"{number}\n{_clock(start)} --> {_clock(max(end, start + 1))}\n{mark.label}\n")
    lost = ["confidence"] if any(mark.score is not None for mark in lines.marks) else []
    lost += ["names of videos, which become names of files"]
    if lines.clicks:
        lost.append(f"that {counted(lines.clicks, 'click')} are clicks: cues of {SHOWN_S} s (`clicks=all` reads them)")
    if marked := sum(_plain(label) != label for label in lines.classes):
        lost.append(f"formatting tags in {counted(marked, 'class name')}")
    lost += grid_losses(lines.marks, 1000, "0.001 s")
    return Written("\n".join(parts), (*event_losses(lines.marks), *lost))


def _blocks(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """(number of its first line, lines) of what stands between blank lines.

    A timing begins a cue also where the blank line before it, or before its number, is missing.
    """
    block: list[str] = []
    timed = False
    for i, line in enumerate([*lines, ""], 1):
        timing = _TIMING.match(line) is not None
        if timing and timed:
            number = [block.pop()] if len(block) > 1 and _NUMBER.fullmatch(block[-1]) else []
            yield i - len(block) - len(number), block
            block = [*number, line]
            continue
        timed = timing or (timed and bool(line.strip()))
        if line.strip():
            block.append(line)
        elif block:
            yield i - len(block), block
            block = []


def _plain(text: str) -> str:
    return _STYLE.sub("", text).strip()


def _clock(ms: int) -> str:
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"


def _seconds(parts: tuple[str, ...]) -> float:
    hours, minutes, seconds = (int(part) for part in parts[:3])
    return float(f"{(hours * 60 + minutes) * 60 + seconds}.{parts[3]}")
