"""WebVTT: what players show as captions, one cue per annotation. One video per file.

    12
    00:00:01.234 --> 00:00:02.345
    take (0.873)

A click is a cue of half a second from the click on, whose identifier begins with "click-". Confidence in brackets is
read only from files with the NOTE that punctum writes: in other files it is part of the text.
A class that itself ends like that, such as `jump (0.500)`, is followed by a character that players do not show.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..text.display import short
from ._events import event_losses
from ._frames import grid_losses
from ._model import Mark, Timelines, counted, gather
from ._options import ReadOptions, Source, WriteOptions, Written

SHOWN_S = 0.5  # how long a click stays on the screen
_OURS = "punctum.webvtt/1"
_CLICK = "click-"
_TIME = r"(?:(\d{2,9}):)?([0-5]\d):([0-5]\d)\.(\d{3})"
_TIMING = re.compile(rf"^\s*{_TIME}\s+-->\s+{_TIME}(?:\s.*)?$", re.ASCII)
_SCORED = re.compile(r"^(.*) \((-?\d{1,20}\.\d{3,20})\)$", re.ASCII)
# Ends a class that would be read as one with its confidence: a mark that players do not show.
_UNSCORED = "\u200e"
_ASIDE = re.compile(r"(?:NOTE|STYLE|REGION)(?:[ \t]|$)")
_TAG = re.compile(r"<[^>]*>")
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&nbsp;": "\u00a0", "&lrm;": "\u200e", "&rlm;": "\u200f"}
_ALLOWED = "WEBVTT, then cues: HH:MM:SS.mmm --> HH:MM:SS.mmm and the class below"


def read_webvtt(source: Source, options: ReadOptions) -> Timelines:
    """Cues in their order. Raises InputError at a line that is no part of WebVTT."""
    lines = source.text().split("\n")
    if not re.match(r"^WEBVTT(?:[ \t].*)?$", lines[0]):
        raise source.wrong("line 1 is not WEBVTT", _ALLOWED)
    blocks = list(_blocks(lines))
    ours = any(block[1][0] == f"NOTE {_OURS}" for block in blocks)
    video = options.video or _named(blocks) or source.stem
    notes = []
    if any(line.startswith("X-TIMESTAMP-MAP") for line in lines[:4]):
        notes.append("X-TIMESTAMP-MAP is not followed: times are read as written")
    rows, empty = [], 0
    for first, block in blocks:
        if _ASIDE.match(block[0]):
            continue
        name = "" if "-->" in block[0] else block[0]
        timing = block[1:] if name else block
        found = _TIMING.match(timing[0]) if timing else None
        if found is None:
            raise source.wrong(f"line {first + bool(name)} is no timing: {(timing or [''])[0][:60]!r}", _ALLOWED)
        start, end = _seconds(found.groups()[:4]), _seconds(found.groups()[4:])
        text = " ".join(timing[1:]).strip()
        score = None
        if ours and (scored := _SCORED.match(text)):
            text, score = scored[1], float(scored[2])
        label = _plain(text)
        if ours and score is None:
            label = label.removesuffix(_UNSCORED).strip()
        if not label:
            empty += 1
            continue
        if end <= start:
            raise source.wrong(
                f"line {first + bool(name)}: a cue from {short(start)} to {short(end)} s", "cues that end later"
            )
        click = name.startswith(_CLICK) and options.clicks != "none"
        mark = Mark(video, label, start, None if click else end, score)
        rows.append((f"{source.name} line {first}", mark))
    if empty:
        notes.append(f"left out: {counted(empty, 'cue')} without text")
    return gather(rows, videos=[video], notes=notes)


def write_webvtt(lines: Timelines, options: WriteOptions) -> Written:
    """Cues by time, as the format demands."""
    (video,) = lines.videos
    parts = ["WEBVTT", f"NOTE {_OURS}\nvideo: {_escape(video)}"]
    for number, mark in enumerate(sorted(lines.marks, key=lambda m: m.start), 1):
        start = _ms(mark.start)
        end = _ms(mark.start + SHOWN_S) if mark.end is None else max(_ms(mark.end), start + 1)
        text = _escape(mark.label) + (_unscored(mark.label) if mark.score is None else f" ({mark.score:.3f})")
        name = f"{_CLICK if mark.is_click else ''}{number}"
        parts.append(f"{name}\n{_clock(start)} --> {_clock(end)}\n{text}")
    lost = [*grid_losses(lines.marks, 1000, "0.001 s")]
    if any(mark.score is not None and round(mark.score, 3) != mark.score for mark in lines.marks):
        lost.append("confidence finer than 0.001")
    return Written("\n\n".join(parts) + "\n", (*event_losses(lines.marks), *lost))


def _blocks(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """(number of its first line, lines) of what stands between blank lines, behind the header.

    A timing also begins a cue where the blank line before it is missing, as the standard has it: within the text of
    another cue, and directly below the header.
    """
    block: list[str] = []
    number = next((i for i, line in enumerate(lines) if i and (not line.strip() or _TIMING.match(line))), len(lines))
    timed = False  # whether the block is a cue whose timing has been seen
    for i, line in enumerate([*lines[number:], ""], number + 1):
        timing = _TIMING.match(line) is not None
        if timing and timed:
            yield i - len(block), block
            block = [line]
            continue
        timed = (timed and bool(line.strip())) or (timing and not (block and _ASIDE.match(block[0])))
        if line.strip():
            block.append(line)
        elif block:
            yield i - len(block), block
            block = []


def _named(blocks: list[tuple[int, list[str]]]) -> str:
    for _, block in blocks:
        if block[0] == f"NOTE {_OURS}" and len(block) > 1 and block[1].startswith("video: "):
            return _plain(block[1].removeprefix("video: "))
    return ""


def _unscored(label: str) -> str:
    return "&lrm;" if _SCORED.match(label) or label.endswith(_UNSCORED) else ""


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str) -> str:
    closed = text.rfind(">") + 1  # without a ">" behind it, a "<" is no tag, and a search for one takes quadratic time
    text = _TAG.sub("", text[:closed]) + text[closed:]
    return re.sub("|".join(_ENTITIES), lambda found: _ENTITIES[found[0]], text).strip()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _clock(ms: int) -> str:
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, ms = (int(part or 0) for part in parts)
    return ((hours * 60 + minutes) * 60 + seconds) + ms / 1000
