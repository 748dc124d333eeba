"""Label Studio: tasks with ranges of frames (`timelinelabels`), many videos in one file.

Reads exports (JSON, JSON-MIN and CSV) and the files of `_labelstudio_write`. Frames count from 1, and both ends belong
to a range, as in Label Studio's own code. Actions and clicks have controls of their own ("actions", "clicks"); in other
projects a range of a single frame is a click. Regions of audio are in seconds.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TypeGuard
from urllib.parse import unquote

from ..text.delimited import Table, TableError, column_key, read_table
from ..text.json_types import JsonObject, JsonValue
from ..text.names import media_path
from ._json import brief, number, parse_json, positive, record, text_of
from ._model import Mark, Timelines, counted, gather
from ._naming import Origin, settle
from ._options import ReadOptions, Source

ACTIONS, CLICKS, VIDEO = "actions", "clicks", "video"
_ALLOWED = (
    'a list of tasks: {"data": {"video": ...}, "annotations": [{"result": [{"type": "timelinelabels", "value": '
    '{"ranges": [{"start", "end"}], "timelinelabels": [...]}}]}]}, or an export as JSON-MIN'
)
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the name of an uploaded file
Region = tuple[str, str, JsonObject, float | None]  # place, control, value, score


def looks_like_tasks(record: JsonValue) -> TypeGuard[list[JsonObject]]:
    """Whether JSON may be an export of Label Studio."""
    tasks = _objects(record)
    return bool(tasks) and (all("data" in task for task in tasks) or any(_minimal(task) for task in tasks))


def looks_like_table(table: Table) -> bool:
    """Whether a table may be an export of Label Studio as CSV."""
    keys = {column_key(name) for name in table.header}
    return {"id", "annotation_id", "lead_time"} <= keys or {"id", "annotator", "annotation_id"} <= keys


def read_labelstudio(source: Source, options: ReadOptions) -> Timelines:
    """Read the ranges of all tasks of an export as JSON, JSON-MIN or CSV. Annotations take precedence over predictions;
    canceled ones are ignored."""
    json_text = source.text().lstrip()[:1] in ("", "[", "{")
    found = parse_json(source) if json_text else _table_tasks(source)
    if not looks_like_tasks(found):
        raise source.wrong("it is not a list of tasks", _ALLOWED)
    if options.video is not None and len(found) > 1:
        raise source.wrong(f"`video` is set, but there are {counted(len(found), 'task')}", "one task")
    counts: Counter[str] = Counter()
    rows: list[tuple[str, Mark]] = []
    fps: dict[str, float] = {}
    tasks = _chosen(found, options, counts)
    origins = []
    for position, task in enumerate(tasks):
        name = f"task {text_of(task.get('id')) or brief(task.get('id', position))}"
        data = record(task.get("data")) or task
        address = _address(data)
        origins.append(Origin((options.video or _video_of(data) or name.replace(" ", "-")).strip(), address, name))
    videos = settle(source.name, origins, options.same_video)
    for origin, video, task in zip(origins, videos, tasks, strict=True):
        where = f"{source.name} {origin.owner}"
        if stated := positive((record(task.get("data")) or task).get("fps"), 1e6):
            fps[video] = max(stated, 1e-6)
        for place, control, value, score in _regions(source, where, task, options, counts):
            rows += [(place, m) for m in _marks(source, place, control, value, score, video, options, fps, counts)]
    notes = [what.replace("{n}", str(n)).replace("(s)", "" if n == 1 else "s") for what, n in counts.items()]
    return gather(rows, videos=videos, fps=fps, notes=notes)


def _table_tasks(source: Source) -> list[JsonValue]:
    """The rows of a CSV export as tasks of JSON-MIN, which have the same content."""
    try:
        table = read_table(source.text())
    except TableError as error:
        raise source.wrong(str(error), _ALLOWED) from None
    tasks: list[JsonValue] = []
    for row in table.rows:
        if row.problem:
            raise source.wrong(f"line {row.line} has {row.problem}", _ALLOWED)
        task: JsonObject = {}
        for name, cell in zip(table.header, row.cells, strict=False):
            task[name] = cell
            if cell.strip()[:1] in ("[", "{"):
                try:
                    task[name] = json.loads(cell)
                except (ValueError, RecursionError):
                    continue  # a text that begins with a bracket
        if (fps := positive(_float(task.get("fps")), 1e6)) is not None:
            task["fps"] = fps
        tasks.append(task)
    return tasks


def _float(value: JsonValue) -> float | None:
    try:
        return number(value)
    except ValueError:
        return None


def _chosen(tasks: list[JsonObject], options: ReadOptions, counts: Counter[str]) -> list[JsonObject]:
    """JSON-MIN and CSV have one entry per annotation: merge those of each task, or keep the last."""
    entries: dict[str, list[JsonObject]] = {}
    for position, task in enumerate(tasks):
        short = "data" not in task and "annotation_id" in task and "id" in task
        entries.setdefault(f"{brief(task['id'])} {_address(task)}" if short else f"#{position}", []).append(task)
    chosen = []
    for group in entries.values():
        if len(group) > 1 and options.annotations == "last":
            counts["{n} task(s) annotated more than once: the last annotation counts (or `annotations=all`)"] += 1
            group = [max(enumerate(group), key=lambda one: (text_of(one[1].get("updated_at")), one[0]))[1]]
        if len(group) == 1:
            chosen.append(group[0])
            continue
        spans: dict[str, list[JsonValue]] = {}
        for task in group:
            for control, values in _minimal(task).items():
                spans.setdefault(control, []).extend(values)
        chosen.append({**group[0], **spans})
    return chosen


def _regions(
    source: Source, where: str, task: JsonObject, options: ReadOptions, counts: Counter[str]
) -> Iterator[Region]:
    """The regions of a task that are used."""
    if "data" not in task:
        if boxes := sum("sequence" in v and not _is_span(v) for values in task.values() for v in _objects(values)):
            counts["left out: {n} result(s) of type videorectangle"] += boxes
        for control, values in _minimal(task).items():
            for row, value in enumerate(values):
                yield f"{where}, {control} {row}", control, value, None
        return
    existing = _records(source, where, task, "annotations")
    chosen = [one for one in existing if not one.get("was_cancelled")]
    if len(chosen) < len(existing):
        counts["left out: {n} canceled annotation(s)"] += len(existing) - len(chosen)
    if existing and task.get("predictions"):
        counts["left out: predictions of {n} annotated task(s)"] += 1
    if not existing and isinstance(predicted := task.get("predictions"), list):
        chosen = [one for one in predicted if isinstance(one, dict)]  # some exports contain numbers here
        if chosen:
            counts["{n} task(s) without annotations: predictions are read instead"] += 1
    if len(chosen) > 1 and options.annotations == "last":
        counts["{n} task(s) annotated more than once: the last annotation counts (or `annotations=all`)"] += 1
        chosen = [max(enumerate(chosen), key=lambda one: (str(one[1].get("updated_at") or ""), one[0]))[1]]
    for one in chosen:
        for row, item in enumerate(_records(source, where, one, "result")):
            place = f"{where}, result {row}"
            region, score = item.get("value"), item.get("score")
            if not isinstance(region, dict) or not _is_span(region):
                counts[f"left out: {{n}} result(s) of type {text_of(item.get('type'))[:40]}"] += 1
                continue
            sound = isinstance(score, int | float) and not isinstance(score, bool)
            yield place, text_of(item.get("from_name")), region, _float(score) if sound else None


def _marks(
    source: Source,
    where: str,
    control: str,
    value: JsonObject,
    score: float | None,
    video: str,
    options: ReadOptions,
    fps: dict[str, float],
    counts: Counter[str],
) -> Iterator[Mark]:
    """A mark for every class of every range of a region."""
    if _is_phantom(value):
        counts["left out: {n} video rectangle(s), which the export repeats as timeline labels without a range"] += 1
        return
    framed = "ranges" in value
    try:
        given = value["timelinelabels" if framed else "labels"]
        labels = [label for label in given if isinstance(label, str)] if isinstance(given, list) else []
        if not isinstance(given, list) or len(labels) < len(given):
            raise ValueError(f"{brief(given)} is not a list of classes")
        numbers = [
            (number(b if a is None else a), number(a if b is None else b)) for a, b in _spans(value, framed=framed)
        ]
    except (KeyError, ValueError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise source.wrong(f"{where[len(source.name) :].strip()}: {what}", _ALLOWED) from None
    if not numbers:
        counts["left out: {n} region(s) without a range"] += 1
    if not labels:
        counts["left out: {n} region(s) without a class"] += 1
    for start, end in numbers:
        click = control == CLICKS
        if framed:
            rate = options.rates.need(video, where, fps.get(video))
            if control != ACTIONS and not click and start == end and options.clicks == "marked":
                counts[
                    "{n} range(s) of a single frame: read as clicks (with `clicks=none`: as actions of one frame)"
                ] += 1
                click = True
            start = max(start, 1.0)
            start, end, middle = (start - 1) / rate, end / rate, (start + end - 2) / 2 / rate
        else:
            middle = (start + end) / 2
        click = click and options.clicks != "none"
        for label in labels:
            yield Mark(video, label, max(middle, 0.0), None, score) if click else Mark(video, label, start, end, score)


def _spans(value: JsonObject, *, framed: bool) -> list[tuple[JsonValue, JsonValue]]:
    """Starts and ends as written. Raises KeyError and ValueError."""
    if not framed:
        return [(value["start"], value["end"])]
    ranges = _objects(value["ranges"])
    if not ranges and value["ranges"] != []:
        raise ValueError(f"{brief(value['ranges'])} is not a list of ranges")
    return [(one.get("start"), one.get("end")) for one in ranges]


def _is_span(value: JsonObject) -> bool:
    """Whether a value is ranges of frames or a region of audio. A span of text has start, end and labels too."""
    audio = "start" in value and "text" not in value and isinstance(value.get("labels"), list)
    return isinstance(value.get("timelinelabels"), list) or audio


def _is_phantom(value: JsonObject) -> bool:
    """Whether a value is a video rectangle, exported a second time as timeline labels of its class."""
    return "ranges" not in value and "start" not in value and "sequence" in value


def _minimal(task: JsonObject) -> dict[str, list[JsonObject]]:
    """Controls with spans of a task exported as JSON-MIN."""
    spans = {name: [v for v in _objects(values) if _is_span(v)] for name, values in task.items()}
    return {name: values for name, values in spans.items() if values}


def _objects(values: JsonValue) -> list[JsonObject]:
    """A list of objects; an empty one for anything else."""
    found = [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
    return found if isinstance(values, list) and len(found) == len(values) else []


def _records(source: Source, where: str, holder: JsonObject, name: str) -> list[JsonObject]:
    items = _objects(holder.get(name))
    if holder.get(name) and not items:
        raise source.wrong(f"{where[len(source.name) :].strip()}: {name} is not a list of objects", _ALLOWED)
    return items


def _address(data: JsonObject) -> str:
    """Where the media of a task is."""
    texts = [v for k, v in sorted(data.items(), key=lambda kv: kv[0] != VIDEO) if isinstance(v, str) and v.strip()]
    known = [v for v in texts if media_path(_path(v)) is not None] or [v for v in texts if "/" in v]
    return texts[0] if texts and data.get(VIDEO) == texts[0] else next(iter(known or texts), "")


def _path(address: str) -> str:
    path = unquote(address).replace("\\", "/")
    return path.partition("?d=")[2] or path.partition("?")[0]


def _video_of(data: JsonObject) -> str:
    """Our own name for it, else the name of its file without the ending."""
    if isinstance(name := data.get("video_id"), str) and name.strip():
        return name
    path = _path(_address(data))
    stem = PurePosixPath(path).stem
    return _UPLOADED.sub("", stem) if "/upload/" in path else stem
