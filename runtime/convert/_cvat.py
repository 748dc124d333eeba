"""CVAT for video 1.1: tracks. One video per file.

An action is the time in which a track is visible; an action written here is a small box in the corner, because
CVAT needs a shape. A click is a track of the shape "points", visible for one frame: what CVAT's tool for points
makes. Exports as CVAT for images are read as well: tags on frames that follow each other are an action, a tag on a
single frame is a click. Frame f of the video begins f / fps seconds after its start. CVAT's files name no frame rate.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element, SubElement

from ..text.numbers import shown
from ._events import event_losses
from ._frames import frame_losses, span_in_frames
from ._model import Mark, Timelines, counted, gather
from ._naming import Origin, settle
from ._options import ReadOptions, Source, WriteOptions, Written
from ._xml import parse_xml, to_xml

SIZE = (1280, 720)
_BOX, _ROOM = 48.0, 12  # pixels of a box; how many lie beside each other
_ALLOWED = "annotations.xml of CVAT for video 1.1 (or CVAT for images 1.1), or the zip that CVAT exports"
_SHAPES = ("box", "polygon", "polyline", "points", "ellipse", "cuboid", "skeleton", "mask")
_LARGEST = 1 << 30


def read_cvat(source: Source, options: ReadOptions) -> Timelines:
    """Read visible spans of all tracks, and tags. Raises InputError without a frame rate."""
    source = _unzipped(source)
    root = parse_xml(source, _ALLOWED)
    if root.tag != "annotations":
        raise source.wrong(f"its root is {root.tag[:80]}", _ALLOWED)
    tasks, notes = _tasks(source, root, options)
    meta = root.find("meta")
    labels = [] if meta is None else [n.strip() for item in meta.iter("label") if (n := item.findtext("name", ""))]
    rows: list[tuple[str, Mark]] = []
    single = 0
    for track in root.iterfind("track"):
        where = source.at(f"track {track.get('id', '')[:40]}")
        task = _task_of(source, tasks, track, where)
        rate = options.rates.need(task.video, where)
        label = track.get("label", "")
        for first, behind, shape in _visible_spans(source, where, track, task):
            click = shape == "points" and options.clicks != "none"
            single += not click and behind - first == task.step
            rows.append((where, Mark(task.video, label, first / rate, None if click else behind / rate)))
    tagged, others = _tags(source, root, tasks)
    for (task, label), frames in tagged.items():
        rate = options.rates.need(task.video, source.at(f"tag {label!r}"))
        for first, behind in _runs(frames, task.step):
            click = behind - first == task.step and options.clicks == "marked"
            mark = Mark(task.video, label, first / rate, None if click else behind / rate)
            rows.append((source.at(f"tag {label!r} at frame {first}"), mark))
    notes += [f"left out: {counted(others, 'shape')} on single images"] if others else []
    if single:
        notes.append(f"{counted(single, 'action')} of a single frame (`clicks=all` reads every annotation as a click)")
    return gather(rows, videos=[task.video for task in tasks.values()], labels=labels, notes=notes)


@dataclass(frozen=True, slots=True)
class _Task:
    """A task of the file. first, last: frames of its video that were annotated, where stated; step: from one to the
    next; offset: what an export of the project adds to them; whole: every visible frame is listed."""

    video: str
    first: int | None
    last: int | None
    step: int = 1
    offset: int = 0
    whole: bool = False


def _tasks(source: Source, root: Element, options: ReadOptions) -> tuple[dict[str | None, _Task], list[str]]:
    """The tasks by their id; None is the id of a file of one task.

    An export of a project numbers the frames of all tasks of a subset in one go: each task begins where the frames of
    those before it would end, counted from the first frame of their videos.
    """
    meta = root.find("meta")
    meta = Element("meta") if meta is None else meta
    found = root.findall("meta/project/tasks/task")
    if not found:
        main = next((meta.find(kind) for kind in ("task", "job") if meta.find(kind) is not None), None)
        main = meta if main is None else main
        video = options.video or _video(main, meta) or source.stem
        return {None: _task(source, main, video)}, []
    if options.video is not None and len(found) > 1:
        raise source.wrong(f"`video` is set, but there are {counted(len(found), 'task')}", "one task")
    numbers = [(task.findtext("id") or "").strip() for task in found]
    if len(set(numbers)) < len(numbers):
        raise source.wrong("two tasks of the project have one id", _ALLOWED)
    names = [options.video or _video(t, t) or f"task-{n}" for n, t in zip(numbers, found, strict=True)]
    paths = [(t.findtext("source") or "").strip() for t in found]
    origins = [Origin(n, p, f"task {i}") for n, p, i in zip(names, paths, numbers, strict=True)]
    names = settle(source.name, origins, options.same_video)
    tasks: dict[str | None, _Task] = {}
    sizes = [_integer(source, task.findtext("size")) for task in found]
    stated = any(size is not None for size in sizes)
    subset, offset = None, 0
    for number, task, video, size in zip(numbers, found, names, sizes, strict=True):
        if (name := (task.findtext("subset") or "").strip()) != subset:
            subset, offset = name, 0
        one = _task(source, task, video)
        tasks[number] = replace(one, offset=offset, whole=stated)
        if stated and size is None:
            raise source.wrong(f"task {number} has no size, so the frames of the others are unknown", _ALLOWED)
        offset += (one.first or 0) + one.step * (size or 0)
    notes = (
        []
        if stated or len(found) == 1
        else ["tasks without their sizes: frames are counted from the start of each task"]
    )
    return tasks, notes


def _task(source: Source, task: Element, video: str) -> _Task:
    first, last = (_integer(source, task.findtext(name)) for name in ("start_frame", "stop_frame"))
    text = (task.findtext("frame_filter") or "").replace(" ", "")
    step = _integer(source, text.removeprefix("step=")) if text.startswith("step=") else 1
    return _Task(video, first, last, max(step or 1, 1))


def _task_of(source: Source, tasks: dict[str | None, _Task], element: Element, where: str) -> _Task:
    if None in tasks:
        return tasks[None]
    number = element.get("task_id")
    if number is None and len(tasks) == 1:
        return next(iter(tasks.values()))
    if number not in tasks:
        raise source.wrong(f"{where.removeprefix(source.name + ': ')} belongs to no task of the project", _ALLOWED)
    return tasks[number]


def _frame(source: Source, where: str, text: str | None, task: _Task) -> int:
    """Frame of the task's video. Raises InputError for one that the task does not have."""
    frame = _integer(source, text)
    if frame is None or frame < 0:
        raise source.wrong(f"{where}: a shape without a frame", _ALLOWED)
    inside = frame - task.offset
    lowest, highest = task.first or 0, None if task.last is None else task.last + task.step
    if task.whole and (inside < lowest or (highest is not None and inside > highest)):
        raise source.wrong(
            f"{where}: frame {frame} lies outside its task, whose frames are {lowest + task.offset} to "
            f"{'the end' if task.last is None else task.last + task.offset}",
            "frames as an export of the project counts them",
        )
    return inside


def write_cvat(lines: Timelines, options: WriteOptions) -> Written:
    """Tracks to upload into a task of the same video, with the same labels. Raises InputError without a frame rate."""
    (video,) = lines.videos
    rate = options.rates.need(video, "CVAT", lines.fps.get(video))
    seconds = lines.duration.get(video, options.rates.duration.get(video))
    frames = None if seconds is None else max(round(seconds * rate), 1)
    spans = [span_in_frames(m.start, m.start if m.end is None else m.end, rate) for m in lines.marks]
    last = frames if frames is not None else max((behind for _, behind in spans), default=1)
    place = {label: i for i, label in enumerate(lines.classes)}
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    _meta(root, lines, video, last, options)
    cut = 0
    for number, (mark, (first, behind)) in enumerate(zip(lines.marks, spans, strict=True)):
        if frames is not None and behind > frames:
            cut += behind > frames + 1 or first >= frames
            first, behind = min(first, frames - 1), frames
        facts = {"id": str(number), "label": mark.label, "source": "auto" if mark.score is not None else "manual"}
        track = SubElement(root, "track", facts)
        row, column = divmod(place[mark.label], _ROOM)
        for frame, outside in ((first, 0), (behind, 1)):
            if outside and frames is not None and frame >= frames:
                continue  # the last frame of the task ends it: CVAT refuses frames beyond
            _shape(track, frame, outside, column * _BOX, row * _BOX, click=mark.is_click)
    lost = ["confidence"] if any(mark.score is not None for mark in lines.marks) else []
    lost += frame_losses(lines.marks, rate)
    lost += [f"parts of {counted(cut, 'annotation')} beyond the end of the video"] if cut else []
    assumed = []
    if options.size is None:
        assumed.append(f"videos of {SIZE[0]}x{SIZE[1]} pixels (`size`); only the position of boxes depends on it")
    if frames is None and lines.marks:
        assumed.append("videos that continue after the last annotation: CVAT refuses frames beyond the end")
    return Written(to_xml(root), (*event_losses(lines.marks), *lost), tuple(assumed))


def _meta(root: Element, lines: Timelines, video: str, frames: int, options: WriteOptions) -> None:
    task = SubElement(SubElement(root, "meta"), "task")
    facts = {"name": video, "size": frames, "mode": "interpolation", "overlap": 0, "start_frame": 0}
    for name, value in {**facts, "stop_frame": frames - 1}.items():
        SubElement(task, name).text = str(value)
    labels = SubElement(task, "labels")
    for label in lines.classes:
        item = SubElement(labels, "label")
        SubElement(item, "name").text = label
        SubElement(item, "type").text = "any"
        SubElement(item, "attributes")
    size = SubElement(task, "original_size")
    for name, pixels in zip(("width", "height"), options.size or SIZE, strict=True):
        SubElement(size, name).text = str(pixels)
    SubElement(task, "source").text = PurePosixPath(options.media_of(video)).name


def _shape(track: Element, frame: int, outside: int, x: float, y: float, *, click: bool) -> None:
    facts = {"frame": str(frame), "keyframe": "1", "outside": str(outside), "occluded": "0"}
    if click:
        SubElement(track, "points", {**facts, "points": f"{x + _BOX / 2:.2f},{y + _BOX / 2:.2f}", "z_order": "0"})
        return
    corners = {"xtl": x, "ytl": y, "xbr": x + _BOX, "ybr": y + _BOX}
    SubElement(track, "box", {**facts, **{name: f"{value:.2f}" for name, value in corners.items()}, "z_order": "0"})


def _visible_spans(source: Source, where: str, track: Element, task: _Task) -> Iterator[tuple[int, int, str]]:
    """(first frame, the one behind the last, shape) of every time in which a track is visible.

    Between two shapes it stays as it was. Behind its last shape a visible track goes on to the end of the task, where
    the file names that; an export lists every frame up to there anyway. A single shape in the export of a project is
    no track: CVAT writes its end with the frame numbers of the task, and leaves it out where it counts on.
    """
    place = where.removeprefix(source.name + ": ")
    found = []
    for shape in track:
        if shape.tag in _SHAPES:
            frame = _frame(source, place, shape.get("frame"), task)
            found.append((frame, shape.get("outside") == "1", shape.tag))
    found.sort()
    begun: tuple[int, str] | None = None
    for frame, outside, kind in found:
        if outside and begun is not None:
            if frame > begun[0]:
                yield begun[0], frame, begun[1]
            begun = None
        elif not outside and begun is None:
            begun = (frame, kind)
    if begun is not None:
        last = found[-1][0]
        stop = last if task.whole and len(found) == 1 else task.last
        yield begun[0], max(last if stop is None else stop, last) + task.step, begun[1]


def _tags(
    source: Source, root: Element, tasks: dict[str | None, _Task]
) -> tuple[dict[tuple[_Task, str], list[int]], int]:
    """Frames of every (task, class) that is tagged, and how many shapes there are on images."""
    tagged: dict[tuple[_Task, str], list[int]] = {}
    others = 0
    for image in root.iterfind("image"):
        others += sum(item.tag in _SHAPES for item in image)
        for tag in image.iterfind("tag"):
            where = f"image {image.get('id', '')[:40]}"
            task = _task_of(source, tasks, image, where)
            frame = _frame(source, where, image.get("id"), task)
            tagged.setdefault((task, tag.get("label", "")), []).append(frame)
    return tagged, others


def _runs(frames: list[int], step: int) -> Iterator[tuple[int, int]]:
    ordered = sorted(set(frames))
    first = 0
    for i, frame in enumerate(ordered):
        if i + 1 == len(ordered) or ordered[i + 1] > frame + step:
            yield ordered[first], frame + step
            first = i + 1


def _video(task: Element, meta: Element) -> str:
    """What the task was made from, else its name."""
    name, made_from = (task.findtext("name") or "").strip(), task.findtext("source") or meta.findtext("source") or ""
    stem = PurePosixPath(made_from.strip().replace("\\", "/")).stem
    return name if not stem or PurePosixPath(name).name == stem else stem


def _integer(source: Source, text: str | None) -> int | None:
    if text is None or not text.strip():
        return None
    if not re.fullmatch(r"[-+]?\d{1,12}", text.strip(), re.ASCII):
        raise source.wrong(f"{shown(text)} is not a frame number", _ALLOWED)
    return int(text)


def _unzipped(source: Source) -> Source:
    if not source.data.startswith(b"PK"):
        return source
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive, archive.open("annotations.xml") as file:
            data = file.read(_LARGEST + 1)
    except (KeyError, zipfile.BadZipFile, zlib.error, OSError, ValueError, RuntimeError, EOFError) as error:
        raise source.wrong(f"no annotations.xml can be read from it ({error})", _ALLOWED) from None
    if len(data) > _LARGEST:
        raise source.wrong("annotations.xml is larger than 1 GiB", _ALLOWED)
    return replace(source, data=data)
