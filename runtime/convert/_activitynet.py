"""ActivityNet JSON: detections (`results`) and ground truth (`database`)."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..text.json_types import JsonObject
from ._events import event_losses, no_confidence
from ._json import brief, number, parse_json, positive, record
from ._model import Mark, Timelines, counted, gather
from ._naming import Origin, settle
from ._options import ReadOptions, Source, WriteOptions, Written

_ALLOWED = (
    '{"results": {video: [{"label", "score", "segment": [start_s, end_s]}]}} or '
    '{"database": {video: {"annotations": [{"label", "segment"}]}}}'
)


def read_activitynet(source: Source, options: ReadOptions) -> Timelines:
    """Read detections or ground truth, whichever the file contains."""
    found = parse_json(source)
    if not isinstance(found, dict) or ("results" in found) == ("database" in found):
        raise source.wrong("it must contain either results or a database", _ALLOWED)
    truth = "database" in found
    videos = found["database" if truth else "results"]
    if not isinstance(videos, dict):
        raise source.wrong("the list of videos is not an object", _ALLOWED)
    fps: dict[str, float] = {}
    duration: dict[str, float] = {}
    entries: JsonObject = videos
    notes = []
    if truth:
        marked = 0
        for video, entry in videos.items():
            if not isinstance(entry, dict):
                raise source.wrong(f"{video[:80]} is not an object", _ALLOWED)
            for name, table in (("fps", fps), ("duration", duration)):
                if value := positive(entry.get(name)):
                    table[video] = value
            marked += "subset" in entry
        entries = {video: record(entry).get("annotations", []) for video, entry in videos.items()}
        if marked:
            notes.append(f"left out: which subset {counted(marked, 'video')} belongs to")
    names = settle(source.name, [Origin(video.strip(), owner=repr(video)) for video in videos], options.same_video)
    named = dict(zip(videos, names, strict=True))
    entries = {video: entries[video] for video in videos}
    fps, duration = ({named[v]: x for v, x in table.items()} for table in (fps, duration))
    rows = _rows(source, entries, named, scored=not truth)
    return gather(rows, videos=names, fps=fps, duration=duration, notes=notes)


def _rows(source: Source, entries: JsonObject, names: dict[str, str], *, scored: bool) -> Iterator[tuple[str, Mark]]:
    for video, items in entries.items():
        if not isinstance(items, list):
            raise source.wrong(f"the entry of {video[:80]} is {type(items).__name__}, not a list", _ALLOWED)
        for row, item in enumerate(items):
            try:
                if not isinstance(item, dict) or not isinstance(item["segment"], list):
                    raise TypeError(f"{brief(item)} has no segment")
                start, end = (number(x) for x in item["segment"])
                score = number(item["score"]) if scored else None
                label = item["label"]
                if not isinstance(label, str):
                    raise TypeError(f"label {brief(label)}")
            except (KeyError, TypeError, ValueError) as error:
                what = f"no {error}" if isinstance(error, KeyError) else str(error)
                raise source.wrong(f"{video[:80]} entry {row}: {brief(item)} ({what})", _ALLOWED) from None
            yield f"{source.name}: {video[:80]} entry {row}", Mark(names[video], label, start, end, score)


def write_results(lines: Timelines, options: WriteOptions) -> Written:
    """Detections."""
    results = {
        video: [
            {"label": m.label, "score": 1.0 if m.score is None else m.score, "segment": [m.start, m.end]} for m in marks
        ]
        for video, marks in lines.by_video().items()
    }
    text = json.dumps({"version": "punctum", "results": results, "external_data": {}}, ensure_ascii=False, indent=1)
    return Written(text + "\n", event_losses(lines.marks), no_confidence(lines))


def write_truth(lines: Timelines, options: WriteOptions) -> Written:
    """Ground truth, with duration and fps where they are known."""
    database: dict[str, dict[str, object]] = {}
    for video, marks in lines.by_video().items():
        entry: dict[str, object] = {}
        seconds = lines.duration.get(video, options.rates.duration.get(video))
        rate = options.rates.known(video, lines.fps.get(video))
        if seconds is not None:
            entry["duration"] = seconds
        if rate is not None:
            entry["fps"] = rate
        entry["annotations"] = [{"label": m.label, "segment": [m.start, m.end]} for m in marks]
        database[video] = entry
    scored = any(mark.score is not None for mark in lines.marks)
    text = json.dumps({"version": "punctum", "database": database}, ensure_ascii=False, indent=1)
    return Written(text + "\n", (*event_losses(lines.marks), *(("confidence",) if scored else ())))
