"""SoccerNet: Labels.json, Labels-v2.json and predictions (results_spotting.json): one instant per action.

One game per file.

An instant is a click. Each half of a game is a video of its own, `<game>/1` and `<game>/2`, and times count from its
beginning: `position` in milliseconds, else `gameTime` ("2 - 03:02") in whole seconds.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TypeGuard

from ..errors import InputError
from ..text.json_types import JsonObject, JsonValue
from ._events import event_losses
from ._frames import grid_losses
from ._json import brief, listed, number, parse_json, record, text_of
from ._model import Mark, Timelines, counted, gather
from ._options import ReadOptions, Source, WriteOptions, Written

_GAME_TIME = re.compile(r"^\s*(\d{1,2})\s*-\s*(\d{1,4}):(\d{1,2})\s*$", re.ASCII)
_HALF = re.compile(r"^(.+)/([1-9])$")
_VIDEOS = "punctum_videos"  # what videos are called whose names are not those of halves
_ALLOWED = '{"UrlLocal": game, "annotations": [{"gameTime": "1 - 00:13", "label", "position": ms}]}'


def looks_like_soccernet(found: JsonValue) -> TypeGuard[JsonObject]:
    """Whether JSON may hold instants of a game."""
    if not isinstance(found, dict):
        return False
    items = listed(found.get("annotations")) or listed(found.get("predictions"))
    return "UrlLocal" in found or (bool(items) and all("gameTime" in record(item) for item in items))


def read_soccernet(source: Source, options: ReadOptions) -> Timelines:
    """Labels, or predictions with their confidence."""
    found = parse_json(source)
    if not looks_like_soccernet(found):
        raise source.wrong("it holds no instants of a game", _ALLOWED)
    predicted = "annotations" not in found and "predictions" in found
    items = found.get("predictions" if predicted else "annotations", [])
    if not isinstance(items, list):
        raise source.wrong("its annotations are not a list", _ALLOWED)
    game = options.video or text_of(found.get("UrlLocal")).strip().replace("\\", "/").strip("/")
    game = game or PurePosixPath(source.stem).as_posix()
    called = record(found.get(_VIDEOS))
    counts: Counter[str] = Counter()
    notes: list[str] = []

    def read() -> Iterator[tuple[str, Mark]]:
        for row, item in enumerate(items):
            where = f"annotation {row}"
            try:
                entry = record(item)
                half, start = _instant(entry, counts)
                label = entry["label"]
                if not isinstance(label, str):
                    raise TypeError(f"label {brief(label)}")
                score = number(entry["confidence"]) if predicted and "confidence" in entry else None
            except (KeyError, TypeError, ValueError) as error:
                what = f"no {error}" if isinstance(error, KeyError) else str(error)
                raise source.wrong(f"{where}: {brief(item)} ({what})", _ALLOWED) from None
            counts["team"] += "team" in entry or "visibility" in entry
            video = text_of(called.get(str(half))) or f"{game}/{half}"
            yield source.at(where), Mark(video, label, start, None, score)

    rows = list(read())
    if counts["team"]:
        notes.append(f"left out: team and visibility of {counted(counts['team'], 'annotation')}")
    if counts["second"]:
        notes.append(f"times of {counted(counts['second'], 'annotation')} are whole seconds: the file has no position")
    if counts["apart"]:
        notes.append(
            f"gameTime and position of {counted(counts['apart'], 'annotation')} differ by seconds: position counts"
        )
    return gather(rows, notes=notes)


def _instant(item: JsonObject, counts: Counter[str]) -> tuple[int, float]:
    """Half and second. Raises ValueError."""
    text = text_of(item.get("gameTime"))
    clock = _GAME_TIME.match(text)
    if clock is None and not (text == "" and "position" in item):
        raise ValueError(f"gameTime {brief(item.get('gameTime'))}")
    half = int(clock[1]) if clock else 1
    if "half" in item:
        half = int(number(item["half"]))
    if not 1 <= half <= 9:
        raise ValueError(f"half {half}")
    seconds = int(clock[2]) * 60 + int(clock[3]) if clock else 0
    if item.get("position") in (None, ""):
        counts["second"] += 1
        return half, float(seconds)
    position = number(item["position"]) / 1000
    counts["apart"] += clock is not None and abs(position - seconds) > 2
    return half, position


def game_of(video: str) -> str:
    """The game that a half belongs to."""
    half = _HALF.match(video)
    return half[1] if half else video


def write_soccernet(lines: Timelines, options: WriteOptions) -> Written:
    """Labels of one game, or predictions where every mark has a confidence."""
    scored = bool(lines.marks) and all(mark.score is not None for mark in lines.marks)
    halves: dict[str, str] = {}
    for video in lines.videos:
        found = _HALF.match(video)
        halves[video] = found[2] if found else "1"
    if len(set(halves.values())) < len(halves):
        raise InputError(
            "convert-names",
            f"The videos {', '.join(map(repr, halves))} cannot be halves of one game",
            required="video names such as game/1 and game/2",
            next_step="rename them",
        )
    entries = []
    for mark in sorted(lines.marks, key=lambda m: (halves[m.video], m.start)):
        half, ms = halves[mark.video], round(mark.start * 1000)
        entry = {"gameTime": f"{half} - {ms // 60_000:02}:{ms // 1000 % 60:02}", "label": mark.label}
        entry["position"] = str(ms)
        if scored:
            entry |= {"half": half, "confidence": str(mark.score)}
        else:
            entry |= {"team": "not applicable", "visibility": "visible"}
        entries.append(entry)
    made: dict[str, object] = {"UrlLocal": game_of(lines.videos[0]) if lines.videos else ""}
    if any(not _HALF.match(video) for video in lines.videos):
        made[_VIDEOS] = {halves[video]: video for video in lines.videos}
    made["predictions" if scored else "annotations"] = entries
    lost = ["confidence"] if not scored and any(mark.score is not None for mark in lines.marks) else []
    lost += grid_losses(lines.marks, 1000, "0.001 s")
    if empty := len(set(lines.videos) - {mark.video for mark in lines.marks}):
        lost.append(f"the names of {counted(empty, 'video')} without annotations")
    assumed = () if scored else ("no team and visibility",)
    return Written(json.dumps(made, ensure_ascii=False, indent=1) + "\n", (*event_losses(lines.marks), *lost), assumed)
